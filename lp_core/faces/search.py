"""Face detection in a picture, by the built-in finder or another one."""

import torch
from torch import Tensor

from .faces import FaceFinder, NoFaceError
from .finder import BuiltinFinder
from .landmarks import Face


def find_faces(
    picture: Tensor, finder: FaceFinder | None = None, box: tuple[float, float, float, float] | None = None
) -> tuple[Face, ...]:
    """The faces of a picture, the largest first; at least one.

    Args:
        picture: (H, W, 3) RGB in 0…1.
        finder: the detector; the built-in finder when None.
        box: left, top, right and bottom, in picture pixels, of a known face; then only this face is returned, and
            always.

    Raises:
        ValueError: the picture is not (H, W, 3) or holds NaN, or the box is not inside it.
        NoFaceError: no face was found; it holds the searched picture.
    """
    _check_picture(picture)
    chosen_finder = finder or BuiltinFinder()
    if box is not None:
        return (chosen_finder.find_in(picture, _inside(box, picture)),)
    faces = chosen_finder.find(picture)
    if not faces:
        height, width = picture.shape[:2]
        raise NoFaceError(
            f"No face was found in the picture of {width}×{height} pixels. Faces are found from about "
            f"{max(16, max(height, width) // 30)} pixels on, frontal or half turned; crop closer to the face, or "
            "give a box or mask around it.",
            picture,
        )
    return faces


def _check_picture(picture: Tensor) -> None:
    if picture.ndim != 3 or picture.shape[-1] != 3 or not picture.numel():
        raise ValueError(f"Faces are sought in a picture (height, width, 3); got {tuple(picture.shape)}.")
    if not torch.isfinite(picture).all():
        raise ValueError("The picture holds NaN or infinite values; mend what made it.")


def _inside(box: tuple[float, float, float, float], picture: Tensor) -> tuple[float, float, float, float]:
    """The part of a box inside the picture, at least two pixels a side."""
    height, width = picture.shape[:2]
    left, top, right, bottom = box
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    if not (right - left >= 2 and bottom - top >= 2):
        raise ValueError(
            f"The face box {tuple(box)} has no part of 2 or more pixels in the picture of {width}×{height}; "
            "give left, top, right, bottom in picture pixels."
        )
    return left, top, right, bottom
