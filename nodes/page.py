"""What nodes show on ComfyUI's page beside their results, as plain JSON: a tensor there would end the server.

Keys of a node's `ui` result, each a list with one entry, and events:

* `talking_head_faces`, of LoadPortrait: `{"picture": {"filename", "subfolder", "type"}, "width", "height", "faces":
  [{"index", "box": [left, top, right, bottom], "landmarks": [[x, y], …]}], "chosen", "crop": [[x, y] × 4]}`.
  All places are pixels of the node's input picture, which is `width` × `height`; the picture to draw on may be
  smaller. `index` is what face_index takes with the present face_order, and `chosen` one of them. The corners of
  the crop go round from its top left one.
* `talking_head_curves`, of AudioToMotion, DriveFromVideo and MotionPlot: `{"fps", "frames", "seconds", "curves":
  [{"name", "panel", "unit", "values"}], "sound": [peaks in 0…1] or null, "sound_seconds"}`. Values are spread
  evenly over `seconds`, at most POINTS of them; curves of a panel ("mouth", "eyes", "gaze", "head") share a scale.
* `talking_head_expression`, of ExpressionEdit: `{"preview", "seconds"}`. The page asks preview.py's route for
  pictures by the name `preview`; the motion lasts `seconds`.
* the event `talking_head.notice`: `{"severity": "info" or "warn", "summary", "detail"}`, for a toast.
* the event `talking_head.frame`, of DubVideo, RenderToFile and SpeakLive while they work: `{"node", "picture"}`, a
  JPEG as a data: address for the node of that id; ids in subgraphs are such as "8:5". In nodes that show a video,
  the page takes ComfyUI's own previews for that video, which they are not.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from ..diffpose.diffusion.installed import DIFFUSION
from ..diffpose.ditto.installed import DITTO
from ..diffpose.generator import automatic_generator
from ..diffpose.talker.installed import TALKER
from ..lp_core.choice import automatic_renderer
from ..lp_core.faces.crop import CROP_SIZE, apply_affine
from ..lp_core.faces.faces import Face
from ..lp_core.liveportrait.entries import ANIMAL, HUMAN
from ..lp_core.media.audio import Audio
from ..lp_core.media.picture import limited
from ..lp_core.motion.plot import envelope, loudness, motion_curves
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait
from ..lp_core.weights.registry import WeightEntry
from . import host

FACES, CURVES, EXPRESSION = "talking_head_faces", "talking_head_curves", "talking_head_expression"
POINTS = 1200  # values of a curve and peaks of a sound
PICTURE_SIDE = 768  # pixels; the largest picture that faces are shown on
DIGITS = 4  # after the decimal point


def curves_shown(motion: MotionSequence, audio: Audio | None = None) -> list[dict[str, Any]]:
    """The curves of a motion, over the sound it belongs to, as `talking_head_curves`."""
    curves = [
        {
            "name": curve.name,
            "panel": curve.panel,
            "unit": curve.unit,
            "values": _rounded(envelope(curve.values, POINTS)),
        }
        for curve in motion_curves(motion)
    ]
    return [
        {
            "fps": float(motion.fps),
            "frames": len(motion),
            "seconds": float(len(motion) / motion.fps),
            "curves": curves,
            "sound": None if audio is None else _rounded(loudness(audio, POINTS)),
            "sound_seconds": 0.0 if audio is None else float(audio.duration),
        }
    ]


def _rounded(values: Tensor) -> list[float]:
    return [round(value, DIGITS) for value in values.tolist()]


def faces_shown(
    picture: Tensor, faces: Sequence[Face], chosen: int, portrait: Portrait, scale: float
) -> list[dict[str, Any]]:
    """The faces of a picture, and the crop of the chosen one, as `talking_head_faces`.

    Args:
        picture: (H, W, 3) that was searched.
        faces: what was found in it, in the order that face_index counts.
        chosen: which of them the portrait is of.
        portrait: the chosen face, prepared.
        scale: pixels of the node's input picture in one of `picture`.
    """
    height, width = picture.shape[:2]
    corners = Tensor([[0, 0], [CROP_SIZE, 0], [CROP_SIZE, CROP_SIZE], [0, CROP_SIZE]])
    shown = host.save_picture(limited(picture, PICTURE_SIDE), "talking_head_faces").shown
    found = [
        {
            "index": index,
            "box": _places(Tensor(face.box), scale),
            "landmarks": _places(face.landmarks[:, :2], scale),
        }
        for index, face in enumerate(faces)
    ]
    return [
        {
            "picture": shown,
            "width": round(width * scale),
            "height": round(height * scale),
            "faces": found,
            "chosen": chosen,
            "crop": _places(apply_affine(portrait.crop.to_picture.cpu(), corners), scale),
        }
    ]


def _places(values: Tensor, scale: float) -> list[Any]:
    """Pixels, to a tenth, of the node's input picture."""
    return (values.detach().cpu().double() * scale).mul(10).round().div(10).tolist()


def tell_renderer(wanted: str, animal: bool = False) -> None:
    """Say on the page, once, which renderer `auto` takes and why, and the licence of the weights that draw."""
    used, why = automatic_renderer(host.model_folders("liveportrait"), animal) if wanted == "auto" else (wanted, "")
    licence = _licences(ANIMAL if animal else HUMAN) if used == "liveportrait" else ""
    _tell(f"{used} draws the frames", why, licence)


def tell_generator(wanted: str) -> None:
    """Say on the page, once, which generator `auto` takes and why, and the licence of the weights it uses."""
    used, why = automatic_generator(host.model_folders("diffpose")) if wanted == "auto" else (wanted, "")
    weights = {"diffusion": DIFFUSION, "talker": TALKER, "ditto": DITTO}.get(used)
    _tell(f"{used} makes the motion", why, _licences(weights) if weights else "")


def _tell(summary: str, *sentences: str) -> None:
    detail = " ".join(sentence for sentence in sentences if sentence)
    if detail:
        host.notice(summary, detail)


def _licences(entries: Iterable[WeightEntry]) -> str:
    """The licences of weights and what they allow, in a sentence."""
    terms = dict.fromkeys(
        f"{entry.licence} ({'commercial use allowed' if entry.commercial_use else 'no commercial use'})"
        for entry in entries
    )
    return f"Licence of its weights: {', '.join(terms)}."
