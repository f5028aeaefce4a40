"""Landmarks of one face through a clip, each frame looked at from where the last one left the face."""

from collections.abc import Iterable, Iterator

from torch import Tensor

from .faces import FaceFinder
from .finder import SPREAD_HALF
from .refine import FaceBox, follow, look_closer

SLACK = 0.02  # of the face's size, or radians, by which the crop may lie off


def track(frames: Iterable[Tensor], finder: FaceFinder) -> Iterator[Tensor | None]:
    """The landmarks (478, 3) of one face in each frame (H, W, 3), in its pixels, or None where it is not seen.

    The largest face of the first frame that has one is followed. When it is lost the whole frame is searched again,
    and the face nearest to the old place is taken.
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
    """Where a face now is that was at `place`, and its landmarks, or None when it is no longer there."""
    now, fit = follow(frame, place, SLACK)
    return (now, fit.landmarks) if fit.spread < SPREAD_HALF else None


def _search(frame: Tensor, finder: FaceFinder, last: FaceBox | None) -> FaceBox | None:
    """Where a search of the whole frame finds the face: the largest, or the one nearest to where the last stood."""
    places = [FaceBox.of(face.landmarks) for face in finder.find(frame)]
    if not places:
        return None
    return places[0] if last is None else min(places, key=last.distance)
