"""Face detection without downloads: scikit-image's cascade proposes, the landmark network verifies.

The cascade (local binary patterns, Liao et al. 2007; shipped with scikit-image) runs upright and tilted; when it
finds nothing, a grid of boxes is tried, then the cascade at larger tilts and a finer scale. Every proposal is
refined to landmarks, and kept when they are consistent.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .crop import apply_affine, sample
from .landmarks import Face
from .refine import BOTH_WAYS, FaceBox, Fit, look_closer, refine

MINIMUM_FACE = 16.0  # picture pixels, larger side of the landmarks' box; smaller faces are rejected

BOX_DOWN = 0.04  # share of its size by which the landmarks' box is below the cascade's, which is as large

# Disagreement of the network's predictions (refine.Fit.spread): for faces a few hundredths of the eye distance.
SPREAD_HALF = 0.04  # at which the score of a proposal is one half
SPREAD_WIDTH = 0.005
ENOUGH = 0.5  # lowest score of a face
SAME_OVERLAP = 0.3  # intersection over union from which two boxes are the same face


class Search(Protocol):
    """A source of proposals for faces."""

    def places(self, picture: Tensor) -> Iterator[FaceBox]:
        """Yields proposed boxes in a picture (H, W, 3)."""
        ...


@dataclass(frozen=True)
class CascadeSearch:
    """Proposals by the cascade.

    Attributes:
        side: pixels that the picture's longer side is resized to.
        smallest: smallest face, in pixels of the resized picture.
        angles: tilts of faces, degrees clockwise.
    """

    side: int
    smallest: int
    angles: tuple[int, ...]

    def places(self, picture: Tensor) -> Iterator[FaceBox]:
        """Yields the cascade's detections in a picture (H, W, 3)."""
        factor = self.side / max(picture.shape[:2])
        grey = _grey(picture, factor)
        for angle in self.angles:
            to_grey = _turned(grey, math.radians(angle))
            view = grey if angle == 0 else sample(grey[None, None], _pixels(to_grey, grey), "border")[0, 0]
            for found in _detect(view, self.smallest):
                size = float(found["width"])
                middle = torch.tensor([found["c"] + size / 2, found["r"] + size * (0.5 + BOX_DOWN)])
                x, y = ((apply_affine(to_grey, middle) + 0.5) / factor - 0.5).tolist()
                yield FaceBox(x, y, size / factor, math.radians(angle))


@dataclass(frozen=True)
class GridSearch:
    """A grid of large boxes over the picture: the landmark net converges from half a face away.

    Attributes:
        shares: box sizes over the picture's shorter side.
    """

    shares: tuple[float, ...]

    def places(self, picture: Tensor) -> Iterator[FaceBox]:
        """Yields boxes half a face apart that cover a picture (H, W, 3)."""
        height, width = picture.shape[:2]
        for share in self.shares:
            size = share * min(height, width)
            for y in _spaced(size, height):
                yield from (FaceBox(x, y, size) for x in _spaced(size, width))


def _spaced(size: float, length: int) -> list[float]:
    """Centres of faces of a size, half a face apart, along a side of `length` pixels."""
    count = max(2, round(2 * length / size) - 1)
    return torch.linspace(size / 2, length - size / 2, count).tolist()


# The searches of a group run together; the groups run one after the other until there is a face.
Searches = tuple[tuple[Search, ...], ...]
UPRIGHT: Searches = (
    (CascadeSearch(480, 36, (0,)), CascadeSearch(480, 44, (-15, 15)), CascadeSearch(480, 60, (-30, 30))),
    (CascadeSearch(480, 60, (-50, 50)),),
)
THOROUGH: Searches = (
    *UPRIGHT,
    (GridSearch((0.75, 0.5)),),
    (CascadeSearch(480, 60, (-90, 90, 180)),),
    (CascadeSearch(960, 32, (0,)),),
)


class BuiltinFinder:
    """Detects frontal and half-turned faces (implements faces.FaceFinder).

    Args:
        searches: THOROUGH for faces of any tilt, down to a thirtieth of the picture; UPRIGHT for faces tilted by up
            to 60 degrees, down to a thirteenth of the picture: four times as fast in pictures without a face.
    """

    def __init__(self, searches: Searches = THOROUGH) -> None:
        self._searches = searches

    def find(self, picture: Tensor) -> tuple[Face, ...]:
        """All faces in a picture (H, W, 3), largest first; empty when there is none."""
        if min(picture.shape[:2]) < MINIMUM_FACE:
            return ()
        for searches in self._searches:
            proposals = [each for search in searches for each in search.places(picture)]
            faces = distinct([_face(picture, refine(picture, each)) for each in _separate(proposals)])
            if faces:
                return tuple(sorted(faces, key=lambda face: -face.eye_distance))
        return ()

    def find_in(self, picture: Tensor, box: tuple[float, float, float, float]) -> Face:
        """The face inside a box (left, top, right, bottom), which is assumed to hold one.

        The box may be loose, the face tilted: several sizes and tilts are tried, and the most consistent is kept.
        """
        left, top, right, bottom = box
        side = max(right - left, bottom - top)
        starts = [
            FaceBox((left + right) / 2, (top + bottom) / 2, side * share, math.radians(angle))
            for share in (1.0, 0.75)
            for angle in (0, -30, 30)
        ]
        fits = [refine(picture, start, last=BOTH_WAYS) for start in starts]
        best = min(fits, key=lambda fit: fit.spread)
        return _face(picture, refine(picture, FaceBox.of(best.landmarks), passes=1))


def _detect(grey: Tensor, smallest: int) -> list[dict[str, Any]]:
    view = grey.cpu().double().numpy()
    largest = int(min(view.shape))
    if largest < smallest:
        return []
    return _cascade().detect_multi_scale(
        view, scale_factor=1.15, step_ratio=1, min_size=(smallest, smallest), max_size=(largest, largest)
    )


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _grey(picture: Tensor, factor: float) -> Tensor:
    """Luma (h, w) of a picture (H, W, 3), resized by a factor."""
    # By channel: the rounding of a matrix product depends on strides, and the cascade's proposals on the rounding.
    red, green, blue = picture.float().unbind(-1)
    luma = (0.299 * red + 0.587 * green + 0.114 * blue).contiguous()
    size = [max(1, round(side * factor)) for side in luma.shape]
    if factor < 1:
        return F.interpolate(luma[None, None], size, mode="area")[0, 0]
    return F.interpolate(luma[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _turned(grey: Tensor, angle: float) -> Tensor:
    """The map (2, 3) to the grey picture from a view that shows faces tilted clockwise by `angle` upright."""
    middle = torch.tensor([(grey.shape[1] - 1) / 2, (grey.shape[0] - 1) / 2])
    cosine, sine = math.cos(angle), math.sin(angle)
    linear = torch.tensor([[cosine, -sine], [sine, cosine]])
    return torch.cat([linear, (middle - linear @ middle)[:, None]], 1)


def _pixels(to_grey: Tensor, grey: Tensor) -> Tensor:
    """Positions (1, h, w, 2) of a turned view's pixels in the grey picture."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in grey.shape), indexing="ij")
    return apply_affine(to_grey, torch.stack([x, y], -1))[None].to(grey.device)


def _face(picture: Tensor, fit: Fit) -> Face:
    """The fit as a face; its landmarks are refined by the part networks where its spread is low enough."""
    landmarks = look_closer(picture, fit.landmarks) if fit.spread < 2 * SPREAD_HALF else fit.landmarks
    return Face(landmarks, score=1 / (1 + math.exp(min((fit.spread - SPREAD_HALF) / SPREAD_WIDTH, 60.0))))


def _separate(proposals: list[FaceBox]) -> list[FaceBox]:
    """The proposals without those close to an earlier one."""
    kept: list[FaceBox] = []
    for each in proposals:
        if not any(_near(each, other) for other in kept):
            kept.append(each)
    return kept


def _near(first: FaceBox, second: FaceBox) -> bool:
    """Whether the refinements of two proposals would converge to the same face."""
    apart = math.hypot(first.x - second.x, first.y - second.y)
    size = max(first.size, second.size)
    alike = min(first.size, second.size) > 0.75 * size
    return alike and apart < 0.15 * size and abs(first.angle - second.angle) < math.radians(10)


def distinct(faces: list[Face]) -> list[Face]:
    """Faces with scores from ENOUGH on and of at least MINIMUM_FACE, the best one where several overlap."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        large = max(face.box[2] - face.box[0], face.box[3] - face.box[1]) >= MINIMUM_FACE
        if face.score >= ENOUGH and large and all(overlap(face.box, other.box) < SAME_OVERLAP for other in kept):
            kept.append(face)
    return kept


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared) if shared else 0.0
