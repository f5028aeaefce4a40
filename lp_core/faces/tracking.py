"""Landmarks of one face through a clip; each frame is refined from the box of the frame before."""

from collections.abc import Iterable, Iterator

from torch import Tensor

from .faces import FaceFinder
from .finder import SPREAD_HALF
from .refine import FaceBox, follow, look_closer

SLACK = 0.02  # of the face's size, or radians, by which the crop may lag behind


def track(frames: Iterable[Tensor], finder: FaceFinder) -> Iterator[Tensor | None]:
    """Yields the landmarks (478, 3), in pixels, of one face in each frame (H, W, 3); None where it is not found.

    The largest face of the first frame that has one is followed. When it is lost, the whole frame is searched, and
    the face nearest to the last position is followed.
    """
    place: FaceBox | None = None
    for frame in frames:
        followed = None if place is None else _follow(frame, place)
        if followed is None:
            found = _search(frame, finder, place)
            followed = None if found is None else _follow(frame, found)
        if followed is None:
            yield None
            continue
        place, landmarks = followed
        yield look_closer(frame, landmarks)


def _follow(frame: Tensor, place: FaceBox) -> tuple[FaceBox, Tensor] | None:
    """The new box of the face that was at `place`, and its landmarks; None when it is no longer there."""
    now, fit = follow(frame, place, SLACK)
    return (now, fit.landmarks) if fit.spread < SPREAD_HALF else None


def _search(frame: Tensor, finder: FaceFinder, last: FaceBox | None) -> FaceBox | None:
    """The box of a face found in the whole frame: the largest, or the one nearest to `last`; None for none."""
    places = [FaceBox.of(face.landmarks) for face in finder.find(frame)]
    if not places:
        return None
    return places[0] if last is None else min(places, key=last.distance)
