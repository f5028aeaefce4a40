"""The portrait, one face of one picture prepared for drawing, and the interface of renderers."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..faces.crop import Crop, CropOptions, Pasting
from ..faces.faces import Face, FaceFinder
from ..faces.search import find_faces
from ..media.picture import limited, load_picture
from ..motion.keypoints import KEYPOINTS, REGIONS
from ..motion.sequence import MotionFrame, MotionSequence
from ..options import check_options, option

LONGEST_SIDE = 1280  # pixels of a loaded picture, as in LivePortrait


@dataclass(frozen=True)
class RenderOptions:
    """Options of rendering; the defaults change nothing.

    From `multiplier` on, options apply to the LivePortrait renderer only; the mesh renderer ignores them.

    Attributes:
        mask: (H, W) in 0…1 on the picture, opacity of the face when it is pasted back; 1 everywhere when None.
    """

    batch_size: int = option(
        8,
        "Number of frames rendered in one pass. Larger batches are faster on a GPU and use more memory.",
        minimum=1,
        maximum=64,
        unit="frames",
    )
    paste_back: bool = option(
        True,
        "Pastes the face back into the whole picture; off: the frames are the face crop alone, 512×512 pixels.",
    )
    relative: bool = option(
        True, "Adds the motion to the portrait's own pose and expression; off: the motion replaces them."
    )
    regions: tuple[str, ...] = option(
        ("all",),
        "What of the motion is taken: all, or any of expression, lips, eyes, brows, pose together.",
        choices=REGIONS,
        label="choice of regions",
    )
    keep_identity: bool = option(
        True,
        (
            "With relative off: expression values that describe a face's shape rather than its movement stay the "
            "portrait's."
        ),
    )
    mask: Tensor | None = field(default=None, compare=False)
    multiplier: float = option(
        1.0,
        "Factor on all motion: 1 leaves it unchanged, 0 removes it. LivePortrait only.",
        minimum=0.0,
        maximum=3.0,
        step=0.01,
    )
    stitching: bool = option(
        True, "Keeps the shoulders in place, so that the crop fits the picture without a seam. LivePortrait only."
    )
    close_mouth: bool = option(
        False, "Closes the portrait's mouth before the motion is applied, if it is open. LivePortrait only."
    )
    eye_opening: float | None = option(
        None,
        "Lid opening over eye width that the portrait's own eyes are brought to: 0 closed. LivePortrait only.",
        minimum=0.0,
        maximum=1.0,
        optional=True,
    )
    anchored: bool = option(
        False,
        "With relative off: measures the motion from the driver's neutral frame and scales it to the size of the "
        "portrait's face. Use it for faces unlike the driver's. LivePortrait only.",
    )

    def __post_init__(self) -> None:
        check_options(self)
        if not self.regions:
            raise ValueError(f"No regions are taken; give one or more of {', '.join(REGIONS)}.")
        if self.mask is not None and (self.mask.ndim != 2 or not torch.isfinite(self.mask).all()):
            raise ValueError(f"The paste mask is (H, W) and finite; got shape {tuple(self.mask.shape)}.")


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture with a face that its renderer can move.

    Attributes:
        picture: (H, W, 3) RGB in 0…1.
        crop: the square around the face, with its map to the picture.
        landmarks: (478, 3) in picture pixels.
        keypoints: (21, 3) canonical keypoints, unrotated, in crop units before scaling.
        rest: the portrait's own pose and expression.
        renderer: the renderer that prepared it and draws it.
        drawing: data of that renderer, opaque to other code.
    """

    picture: Tensor
    crop: Crop
    landmarks: Tensor
    keypoints: Tensor
    rest: MotionFrame
    renderer: "Renderer"
    drawing: Any

    def __post_init__(self) -> None:
        if self.picture.ndim != 3 or self.picture.shape[-1] != 3:
            raise ValueError(f"A portrait's picture is (H, W, 3); got {tuple(self.picture.shape)}.")
        if tuple(self.keypoints.shape) != (KEYPOINTS, 3):
            raise ValueError(f"A portrait has {KEYPOINTS} keypoints (21, 3); got {tuple(self.keypoints.shape)}.")

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        renderer: "Renderer | None" = None,
        face: int = 0,
        box: tuple[float, float, float, float] | None = None,
        finder: FaceFinder | None = None,
        longest_side: int = LONGEST_SIDE,
    ) -> "Portrait":
        """Prepares one face in a picture file.

        Args:
            path: a PNG, JPEG or WebP file.
            renderer: prepares and draws the portrait; `choose_renderer()` when None.
            face: index of the face, counted from 0, largest first.
            box: left, top, right and bottom of the face, in pixels of the file's picture; detected when None.
            finder: face finder; the built-in finder when None. `BoxFinder()` takes any box for a face.
            longest_side: pixels; a larger picture is shrunk to it.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is not a picture, the box is outside it, or it has fewer faces.
            NoFaceError: there is no face in the picture.
        """
        whole = load_picture(path)
        picture = limited(whole, longest_side)
        scale = len(picture) / len(whole)
        inside = None if box is None else (box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale)
        faces = find_faces(picture, finder, inside)
        if not 0 <= face < len(faces):
            raise ValueError(
                f"There is no face {face}: {path} has {len(faces)}, counted from 0, the largest first."
            )
        return (renderer or _default_renderer()).portrait(picture, faces[face])

    def pasting_within(self, mask: Tensor | None) -> Pasting:
        """The pasting of crops into the picture, limited to a mask (H, W); everywhere when None."""
        if mask is None:
            return self._pasting
        return Pasting.of(self.crop.image, self.crop.to_picture, tuple(self.picture.shape[:2]), mask)

    @cached_property
    def _pasting(self) -> Pasting:
        return Pasting.of(self.crop.image, self.crop.to_picture, tuple(self.picture.shape[:2]))


class Renderer(Protocol):
    """Prepares portraits and draws them."""

    @property
    def name(self) -> str:
        """Name of the renderer in options and messages."""
        ...

    def portrait(self, picture: Tensor, face: Face, framing: CropOptions = ...) -> Portrait:
        """The portrait of one face in a picture (H, W, 3)."""
        ...

    def draw(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Tensor:
        """Frames (T, H, W, 3) in 0…1 of a portrait; `motion` holds its own, absolute poses and expressions."""
        ...


@runtime_checkable
class StartingRenderer(Renderer, Protocol):
    """A renderer that can start drawing asynchronously."""

    @property
    def batches_ahead(self) -> int:
        """Number of batches to start before waiting for the first of them."""
        ...

    def start(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Callable[[], Tensor]:
        """Starts drawing; returns a function that waits for the frames and returns them as `draw` does."""
        ...


_choices: list[Callable[[], Renderer]] = []


def set_default_renderer(choose: Callable[[], Renderer]) -> None:
    """Sets the function that chooses the renderer of `Portrait.load` by default.

    The renderers are above this module in the import order, so `choice` registers itself here.
    """
    _choices[:] = [choose]


def _default_renderer() -> Renderer:
    return _choices[0]()
