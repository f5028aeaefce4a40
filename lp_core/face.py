"""Faces in a picture, whoever finds them."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

LANDMARKS = 478  # MediaPipe Face Mesh's numbering, irises included
OUTER_EYE_CORNERS = (33, 263)
ORDERS = ("large to small", "left to right", "top to bottom", "most certain")


@dataclass(frozen=True, eq=False)
class Face:
    """A face with its landmarks.

    Attributes:
        landmarks: (478, 3) in picture pixels; z has the same unit, away from the viewer, of no fixed origin.
        score: how certain the finder is, 0…1.
    """

    landmarks: Tensor
    score: float = 1.0

    def __post_init__(self) -> None:
        if tuple(self.landmarks.shape) != (LANDMARKS, 3):
            raise ValueError(f"A face has {LANDMARKS} landmarks (478, 3); got {tuple(self.landmarks.shape)}.")

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in picture pixels."""
        low, high = self.landmarks[:, :2].amin(0), self.landmarks[:, :2].amax(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def eye_distance(self) -> float:
        """Pixels between the outer eye corners: the unit of mouth and brow controls."""
        left, right = OUTER_EYE_CORNERS
        return float((self.landmarks[left] - self.landmarks[right]).norm())


class FaceFinder(Protocol):
    """Something that finds faces: the built-in cascade and landmark net, or an optional package."""

    def find(self, picture: Tensor) -> tuple[Face, ...]:
        """Every face in a picture (H, W, 3), the largest first; none is an empty tuple."""
        ...

    def find_in(self, picture: Tensor, box: tuple[float, float, float, float]) -> Face:
        """The face inside a box (left, top, right, bottom), trusted to be one."""
        ...


class NoFaceError(ValueError):
    """No face was found.

    Attributes:
        looked_at: the picture (H, W, 3) that was searched, as it was searched.
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


def box_of_mask(mask: Tensor) -> tuple[float, float, float, float]:
    """The box (left, top, right, bottom) around what a mask (H, W) marks with more than one half.

    Raises:
        ValueError: the mask marks nothing.
    """
    rows, columns = torch.nonzero(mask > 0.5, as_tuple=True)
    if not len(rows):
        raise ValueError("The face mask is empty; paint over the face, or leave the mask out.")
    left, top = float(columns.min()), float(rows.min())
    return left, top, float(columns.max()) + 1.0, float(rows.max()) + 1.0
