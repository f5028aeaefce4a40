"""The interface of face finders, and helpers for boxes, masks and the order of faces."""

from typing import Protocol

import torch
from torch import Tensor

from .face_model import face_model
from .landmarks import LANDMARKS, OUTER_EYE_CORNERS, Face

__all__ = [
    "LANDMARKS",
    "ORDERS",
    "OUTER_EYE_CORNERS",
    "BoxFinder",
    "Face",
    "FaceFinder",
    "NoFaceError",
    "box_of_mask",
    "face_in_box",
    "ordered",
]

ORDERS = ("large to small", "left to right", "top to bottom", "most certain")


class FaceFinder(Protocol):
    """A face detector: the built-in cascade and landmark net, or an optional package."""

    def find(self, picture: Tensor) -> tuple[Face, ...]:
        """All faces in a picture (H, W, 3), largest first; empty when there is none."""
        ...

    def find_in(self, picture: Tensor, box: tuple[float, float, float, float]) -> Face:
        """The face inside a box (left, top, right, bottom), which is assumed to hold one."""
        ...


class BoxFinder:
    """A FaceFinder for animals and drawings: detects no faces, and takes every given box for one."""

    def find(self, picture: Tensor) -> tuple[Face, ...]:  # noqa: ARG002 a FaceFinder is given the picture
        """An empty tuple."""
        return ()

    def find_in(self, picture: Tensor, box: tuple[float, float, float, float]) -> Face:  # noqa: ARG002
        """The mean face, fitted into the box by `face_in_box`."""
        return face_in_box(box)


class NoFaceError(ValueError):
    """No face was found.

    Attributes:
        looked_at: the searched picture (H, W, 3).
    """

    def __init__(self, message: str, looked_at: Tensor) -> None:
        super().__init__(message)
        self.looked_at = looked_at


def ordered(faces: tuple[Face, ...], order: str = "large to small") -> tuple[Face, ...]:
    """The faces in the given order (one of ORDERS).

    Raises:
        ValueError: an order that is not in ORDERS.
    """
    keys = {
        "large to small": lambda face: -face.eye_distance,
        "left to right": lambda face: face.box[0],
        "top to bottom": lambda face: face.box[1],
        "most certain": lambda face: -face.score,
    }
    if order not in keys:
        raise ValueError(f"Faces can be ordered {', '.join(ORDERS)}; got {order!r}.")
    return tuple(sorted(faces, key=keys[order]))


def face_in_box(box: tuple[float, float, float, float]) -> Face:
    """The mean face fitted into a box (left, top, right, bottom) of picture pixels, as large as possible.

    For animals and drawings, for which there are no landmarks: it gives the face's location, not its features.
    """
    left, top, right, bottom = box
    mean = face_model().mean
    low, high = mean.amin(0), mean.amax(0)
    size = min((right - left) / float(high[0] - low[0]), (bottom - top) / float(high[1] - low[1]))
    middle = mean.new_tensor([left + right, top + bottom, 0.0]) / 2
    return Face((mean - (low + high) / 2) * size + middle, score=0.0)


def box_of_mask(mask: Tensor) -> tuple[float, float, float, float]:
    """The bounding box (left, top, right, bottom) of the pixels of a mask (H, W) above one half.

    Raises:
        ValueError: no pixel is above one half.
    """
    rows, columns = torch.nonzero(mask > 0.5, as_tuple=True)
    if not len(rows):
        raise ValueError("The face mask is empty; paint over the face, or leave the mask out.")
    left, top = float(columns.min()), float(rows.min())
    return left, top, float(columns.max()) + 1.0, float(rows.max()) + 1.0
