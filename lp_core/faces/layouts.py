"""Landmark layouts: indices of eyes and mouth, by the number of points.

A layout is identified by its number of points: 478 (MediaPipe's mesh), 203 (LivePortrait), 106 (InsightFace), 101,
68, 9 (animals) and 5. "Left" is the picture's left. LivePortrait's spec, sections 4 and 5.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-6  # added to a width before dividing by it, as in the original


@dataclass(frozen=True)
class Layout:
    """Index groups of a face's points; the mean of each is an eye or a corner of the mouth."""

    left_eye: tuple[int, ...]
    right_eye: tuple[int, ...]
    mouth: tuple[int, ...]
    framed: tuple[int, ...] | None = None
    """Points whose bounding box is framed; all when None."""


@dataclass(frozen=True)
class Opening:
    """Indices of two points on opposite rims of an opening, and of its two corners."""

    upper: int
    lower: int
    corners: tuple[int, int]


# What LivePortrait's detector landmarks do not span: the forehead; and the irises, which are not of the mesh.
FOREHEAD = frozenset(
    (10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 151, 108, 69, 104, 68, 71, 337, 299, 333, 298, 301)
)
FRAMED = tuple(index for index in range(468) if index not in FOREHEAD)

LAYOUTS = {
    478: Layout((33, 133, 159, 145), (263, 362, 386, 374), (61, 291), FRAMED),
    203: Layout((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    106: Layout((33, 35, 39, 40), (87, 89, 93, 94), (52, 61)),
    101: Layout((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    68: Layout((36, 39), (42, 45), (48, 54)),
    9: Layout((2, 3), (0, 1), (5, 6)),
    5: Layout((0,), (1,), (3, 4)),
}

# Left eye, right eye, inner lips.
OPENINGS = {
    478: (Opening(159, 145, (33, 133)), Opening(386, 374, (263, 362)), Opening(13, 14, (61, 291))),
    203: (Opening(6, 18, (0, 12)), Opening(30, 42, (24, 36)), Opening(90, 102, (48, 66))),
}


def layout_of(points: Tensor) -> Layout:
    """The layout of landmarks (N, 2 or 3).

    Raises:
        ValueError: no layout has N points.
    """
    if len(points) not in LAYOUTS:
        known = ", ".join(str(count) for count in LAYOUTS)
        raise ValueError(f"There are {len(points)} landmarks; layouts of {known} points are known.")
    return LAYOUTS[len(points)]


def eye_ratios(points: Tensor) -> Tensor:
    """Lid opening over eye width (2,) of the left and right eye, from 478 or 203 landmarks (N, 2 or 3)."""
    left, right, _ = _openings_of(points)
    return torch.stack([_ratio(points, left), _ratio(points, right)])


def lip_ratio(points: Tensor) -> Tensor:
    """Inner-lip opening over mouth width (), from 478 or 203 landmarks (N, 2 or 3)."""
    return _ratio(points, _openings_of(points)[2])


def mouth_width(points: Tensor) -> Tensor:
    """Distance () between the corners of the mouth, in the landmarks' unit."""
    first, second = _openings_of(points)[2].corners
    return _distance(points, first, second)


def _openings_of(points: Tensor) -> tuple[Opening, Opening, Opening]:
    if len(points) not in OPENINGS:
        raise ValueError(f"Openings are told by 478 or 203 landmarks; got {len(points)}.")
    return OPENINGS[len(points)]


def _ratio(points: Tensor, opening: Opening) -> Tensor:
    return _distance(points, opening.upper, opening.lower) / (_distance(points, *opening.corners) + TINY)


def _distance(points: Tensor, first: int, second: int) -> Tensor:
    return (points[first, :2] - points[second, :2]).norm()
