"""Finding faces with nothing to download: scikit-image's cascade proposes, our landmark net disposes.

The cascade (local binary patterns, Liao et al. 2007; shipped with scikit-image) is asked upright and tilted; when
that finds nothing, places are guessed, and the cascade is asked turned further and finer. Every proposal is refined
to landmarks, and kept when they hold.
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

MINIMUM_FACE = 16.0  # picture pixels, larger side of the landmarks' box; below that nothing can be told

BOX_DOWN = 0.04  # the landmarks' box lies so much of its size below the cascade's, and is as large

# Agreement of the network's looks (refine.Fit.spread): faces stay below a few hundredths of the eye distance.
SPREAD_HALF = 0.04  # where a proposal counts as half a face
SPREAD_WIDTH = 0.005
ENOUGH = 0.5  # the least score of a face
SAME_OVERLAP = 0.3  # intersection over union of two boxes from which they are one face


class Search(Protocol):
    """A way of guessing where faces may stand."""

    def places(self, picture: Tensor) -> Iterator[FaceBox]:
        """Guesses for a picture (H, W, 3)."""
        ...


@dataclass(frozen=True)
class CascadeSearch:
    """The places that the cascade takes for faces.

    Attributes:
        side: the picture's longer side is brought to this many pixels.
        smallest: the smallest face sought, pixels of that.
        angles: degrees clockwise by which sought faces are tilted.
    """

    side: int
    smallest: int
    angles: tuple[int, ...]

    def places(self, picture: Tensor) -> Iterator[FaceBox]:
        """Where the cascade sees faces in a picture (H, W, 3)."""
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
    """Large faces everywhere: the landmark net finds its way from half a face off.

    Attributes:
        shares: sizes of faces over the picture's shorter side.
    """

    shares: tuple[float, ...]

    def places(self, picture: Tensor) -> Iterator[FaceBox]:
        """Guesses half a face apart that cover a picture (H, W, 3)."""
        height, width = picture.shape[:2]
        for share in self.shares:
            size = share * min(height, width)
            for y in _spaced(size, height):
                yield from (FaceBox(x, y, size) for x in _spaced(size, width))


def _spaced(size: float, length: int) -> list[float]:
    """Middles of faces of a size, half a face apart, along a side of the picture."""
    count = max(2, round(2 * length / size) - 1)
    return torch.linspace(size / 2, length - size / 2, count).tolist()


# Each group is asked together, the groups one after the other until there is a face.
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
    """Finds frontal and half-turned faces (implements lp_core.face.FaceFinder).

    Args:
        searches: THOROUGH for faces of any tilt and down to a thirtieth of the picture; UPRIGHT, which says four
            times sooner that there is none, for faces tilted by up to 60 degrees and a thirteenth of the picture.
    """

    def __init__(self, searches: Searches = THOROUGH) -> None:
        self._searches = searches

    def find(self, picture: Tensor) -> tuple[Face, ...]:
        """Every face in a picture (H, W, 3), the largest first; none is an empty tuple."""
        if min(picture.shape[:2]) < MINIMUM_FACE:
            return ()
        for searches in self._searches:
            proposals = [each for search in searches for each in search.places(picture)]
            faces = distinct([_face(picture, refine(picture, each)) for each in _separate(proposals)])
            if faces:
                return tuple(sorted(faces, key=lambda face: -face.eye_distance))
        return ()

    def find_in(self, picture: Tensor, box: tuple[float, float, float, float]) -> Face:
        """The face inside a box (left, top, right, bottom), trusted to be one.

        The box may be loose or tilted: several sizes and tilts are tried, and the one that holds best is taken.
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
    # By channel: a matrix product rounds otherwise for other strides, and the cascade proposes other places.
    red, green, blue = picture.float().unbind(-1)
    luma = (0.299 * red + 0.587 * green + 0.114 * blue).contiguous()
    size = [max(1, round(side * factor)) for side in luma.shape]
    if factor < 1:
        return F.interpolate(luma[None, None], size, mode="area")[0, 0]
    return F.interpolate(luma[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _turned(grey: Tensor, angle: float) -> Tensor:
    """The map (2, 3) from a view in which faces tilted clockwise by `angle` stand upright to the grey picture."""
    middle = torch.tensor([(grey.shape[1] - 1) / 2, (grey.shape[0] - 1) / 2])
    cosine, sine = math.cos(angle), math.sin(angle)
    linear = torch.tensor([[cosine, -sine], [sine, cosine]])
    return torch.cat([linear, (middle - linear @ middle)[:, None]], 1)


def _pixels(to_grey: Tensor, grey: Tensor) -> Tensor:
    """Positions (1, h, w, 2) of a turned view's pixels in the grey picture."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in grey.shape), indexing="ij")
    return apply_affine(to_grey, torch.stack([x, y], -1))[None].to(grey.device)


def _face(picture: Tensor, fit: Fit) -> Face:
    """The fit as a face, looked at closely where it may be one."""
    landmarks = look_closer(picture, fit.landmarks) if fit.spread < 2 * SPREAD_HALF else fit.landmarks
    return Face(landmarks, score=1 / (1 + math.exp(min((fit.spread - SPREAD_HALF) / SPREAD_WIDTH, 60.0))))


def _separate(proposals: list[FaceBox]) -> list[FaceBox]:
    """The proposals without near repetitions of earlier ones."""
    kept: list[FaceBox] = []
    for each in proposals:
        if not any(_near(each, other) for other in kept):
            kept.append(each)
    return kept


def _near(first: FaceBox, second: FaceBox) -> bool:
    """Whether refining the one would end where refining the other does."""
    apart = math.hypot(first.x - second.x, first.y - second.y)
    size = max(first.size, second.size)
    alike = min(first.size, second.size) > 0.75 * size
    return alike and apart < 0.15 * size and abs(first.angle - second.angle) < math.radians(10)


def distinct(faces: list[Face]) -> list[Face]:
    """Faces that hold, one for each place: the most certain."""
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
