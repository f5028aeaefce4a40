"""The expression editor's live picture: a portrait is published by a run, and drawn as often as the page asks.

The page posts JSON to ROUTE, with where the sliders stand,

    {"preview": "<id that the run gave>", "amounts": {"smile": 0.5}}

or with keyframes and a moment of them, `{"preview": …, "keyframes": "[…]", "seconds": 1.2}`, and gets
`{"picture": "data:image/jpeg;base64,…", "handles": {"nose": [x, y], …}}`, places in 0…1 of the picture's sides. The
picture is the square around the face, drawn by the built-in renderer whatever draws the portrait itself.
"""

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from ..diffpose.expression_keys import MAXIMUM_SECONDS, amounts_at, parse_expression_keys
from ..lp_core.faces.crop import CROP_SIZE
from ..lp_core.faces.faces import Face
from ..lp_core.mesh.drawing import in_square
from ..lp_core.mesh.handles import handles
from ..lp_core.mesh.renderer import MeshRenderer
from ..lp_core.motion.expression import expressed, expression_named
from ..lp_core.motion.sequence import MotionFrame, MotionSequence
from ..lp_core.render.portrait import Portrait, RenderOptions
from ..lp_core.render.render import own_motion
from . import host

ROUTE = "/talking_head/expression"
KEPT = 8  # portraits; each takes 3 MB, and about 20 MB from its first picture on
DIGITS = 4  # of a place, after the decimal point
GONE = "This portrait is not kept any more; run the workflow to see it again."


@dataclass(frozen=True, eq=False)
class Sitter:
    """Somebody who can be drawn at once.

    Attributes:
        image: (512, 512, 3) the portrait's crop.
        landmarks: (478, 3) in pixels of the image.
        base: one frame, that the sliders move on from.
    """

    image: Tensor
    landmarks: Tensor
    base: MotionSequence

    @cached_property
    def portrait(self) -> Portrait:
        """The crop as a picture of its own, prepared by the built-in renderer."""
        return MeshRenderer().portrait(self.image, Face(self.landmarks))

    @cached_property
    def name(self) -> str:
        """What tells the sitter from every other: a hash of all that is drawn."""
        digest = hashlib.sha256()
        base = self.base.frame(0)
        for tensor in (self.image, self.landmarks, *(getattr(base, name) for name in MotionFrame.SHAPES)):
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]


class Gallery:
    """The sitters of the last runs, at most KEPT of them; one is drawn at a time."""

    def __init__(self) -> None:
        self._sitters: OrderedDict[str, Sitter] = OrderedDict()
        self._lock = Lock()

    def publish(self, portrait: Portrait, base: MotionSequence) -> str:
        """Keep a portrait for the page, and the one frame its sliders move on from; gives its name."""
        landmarks = in_square(portrait.landmarks, portrait.crop.to_picture).cpu()
        sitter = Sitter(portrait.crop.image.cpu(), landmarks, base.to("cpu"))
        with self._lock:
            self._sitters.setdefault(sitter.name, sitter)
            self._sitters.move_to_end(sitter.name)
            while len(self._sitters) > KEPT:
                self._sitters.popitem(last=False)
        return sitter.name

    def answer(self, body: bytes) -> dict[str, Any]:
        """What the page gets for a request.

        Raises:
            ValueError: no such request.
            host.GoneError: the portrait is not kept any more, or never was.
        """
        name, amounts = _request(body)
        with self._lock, torch.inference_mode():
            sitter = self._sitters.get(name)
            if sitter is None:
                raise host.GoneError(GONE)
            self._sitters.move_to_end(name)
            return _drawn(sitter, amounts)


GALLERY = Gallery()


def _request(body: bytes) -> tuple[str, Tensor]:
    """The portrait's name and amounts (1, sliders) of a request."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The request is not JSON: {error}.") from error
    if not isinstance(request, dict) or not isinstance(request.get("preview"), str):
        raise ValueError("A request names the preview that a run gave.")
    if "amounts" in request:
        return request["preview"], expression_named(request["amounts"]).amounts()[None]
    keyframes, seconds = request.get("keyframes"), request.get("seconds")
    if not (isinstance(keyframes, str) and isinstance(seconds, int | float) and 0 <= seconds <= MAXIMUM_SECONDS):
        raise ValueError(f"A request has amounts, or keyframes as text and seconds in 0 … {MAXIMUM_SECONDS}.")
    keys = parse_expression_keys(keyframes)
    if not keys:
        raise ValueError("There are no keyframes to draw.")
    return request["preview"], amounts_at(keys, torch.tensor([float(seconds)]))


def _drawn(sitter: Sitter, amounts: Tensor) -> dict[str, Any]:
    portrait, options = sitter.portrait, RenderOptions()
    own = own_motion(portrait, expressed(sitter.base, amounts), options)
    (frame,) = portrait.renderer.draw(portrait, own, options)
    places = {name: (place[0] / CROP_SIZE).tolist() for name, place in handles(portrait, own).items()}
    return {
        "picture": host.picture_address(frame),
        "handles": {name: [round(x, DIGITS), round(y, DIGITS)] for name, (x, y) in places.items()},
    }
