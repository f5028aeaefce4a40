"""Dubbing: a clip with new lip motion; head, eyes, brows and all pixels outside the mouth region are the clip's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice

import torch
from torch import Tensor

from ..faces.faces import FaceFinder
from ..faces.landmarks import Face
from ..media.video import Video
from ..motion.keypoints import LIPS
from ..motion.sequence import MotionSequence
from ..motion.smoothers import OBSERVATION_VARIANCE, kalman
from .portrait import Renderer, RenderOptions

# Landmarks of the 478-point mesh: outer eye corners, corners of the mouth, base of the nose, chin.
EYE_CORNERS, MOUTH_CORNERS, NOSE_BASE, CHIN = (33, 263), (61, 291), 2, 152
SIDE, BELOW = 0.62, 0.35  # of the distance of the eye corners: half the region's width; its depth below the chin
FEATHER = 0.30  # of the distance from the region's border to its centre
BACKWARD_BLOCK = 64  # frames in memory while a file is played backwards


def ping_pong(length: int, frames: int) -> Tensor:
    """Frame indices (frames,) that play `length` frames forwards and backwards: 0 … N-1, N-1 … 0, 0 … and so on."""
    place = torch.arange(frames) % (2 * length)
    return torch.minimum(place, 2 * length - 1 - place)


def play(video: Video, length: int, frames: int) -> Iterator[Tensor]:
    """Yields `frames` frames (H, W, 3) of a video of `length` frames, in `ping_pong` order, decoded lazily."""

    def forwards() -> Iterator[Tensor]:
        return islice(chain.from_iterable(video.frames()), length)

    def backwards() -> Iterator[Tensor]:
        for stop in range(length, 0, -BACKWARD_BLOCK):
            block = video.stretch(max(stop - BACKWARD_BLOCK, 0), stop)
            yield from (pixels.float().div_(255.0) for pixels in block.flip(0))

    return islice(chain.from_iterable(way() for way in cycle((forwards, backwards))), frames)


def dubbed(clip: MotionSequence, lips: MotionSequence) -> MotionSequence:
    """The clip's motion with the lip motion of another, of the latter's duration.

    The lip motion of `lips` from its rest frame is added to the clip's rest frame, smoothed as by
    LivePortraitTalker; the clip's own lip motion is dropped. A clip that is too short plays back and forth, one too
    long is cut.

    Args:
        clip: the motion of the clip's own face.
        lips: motion with the new lips; resampled to the clip's frame rate.
    """
    wanted = lips.resampled(clip.fps)
    places = ping_pong(len(clip), len(wanted))
    own = replace(
        clip,
        **{name: getattr(clip, name)[places] for name in ("expression", "rotation", "scale", "translation")},
    )
    delta = (wanted.expression - wanted.rest.expression)[:, list(LIPS)]
    moved = kalman(clip.rest.expression[list(LIPS)] + delta, observation=OBSERVATION_VARIANCE)
    return replace(own, expression=own.expression.index_copy(1, torch.tensor(LIPS), moved))


def clip_faces(frames: Iterable[Tensor], finder: FaceFinder | None = None) -> tuple[Face | None, ...]:
    """One face tracked through frames (H, W, 3); None in frames where it is not found.

    Args:
        frames: the clip.
        finder: face finder for the start of tracking; the built-in finder when None.
    """
    from ..faces.finder import UPRIGHT, BuiltinFinder
    from ..faces.tracking import track

    seen = track(frames, finder or BuiltinFinder(UPRIGHT))
    return tuple(None if landmarks is None else Face(landmarks) for landmarks in seen)


def dub(
    frames: Iterable[Tensor],
    faces: Sequence[Face | None],
    clip: MotionSequence,
    lips: MotionSequence,
    renderer: Renderer,
    on_frame: Callable[[Tensor, bool], None] | None = None,
) -> Iterator[Tensor]:
    """Yields frames (H, W, 3) of the clip with new lips, as many as the lips' motion has at the clip's rate.

    Every frame is a portrait of its own, drawn with the difference between the new and its own lips; only the
    region of mouth and chin is replaced by the drawn frame. Frames without a face pass through.

    Args:
        frames: (H, W, 3) in 0…1 each, in the order in which they are shown: the clip's at `ping_pong`, see `play`.
        faces: face of each of the clip's frames, from `clip_faces`.
        clip: the clip's motion, from an extractor.
        lips: motion with the new lips.
        renderer: prepares and draws every frame.
        on_frame: called with each finished frame and whether it was dubbed; may raise to stop.

    Raises:
        ValueError: there is not one face (or None) for each motion frame.
    """
    if len(faces) != len(clip):
        raise ValueError(f"A clip has a face or None for each motion frame; got {len(faces)} for {len(clip)}.")
    target = dubbed(clip, lips)
    places = ping_pong(len(clip), len(target))
    own = clip.expression[places]
    change = torch.zeros_like(own)
    change[:, list(LIPS)] = (target.expression - own)[:, list(LIPS)]
    for frame, place, moved in zip(frames, places.tolist(), change, strict=True):
        face = faces[place]
        drawn = frame if face is None else _dubbed_frame(frame, face, moved, renderer)
        if on_frame is not None:
            on_frame(drawn, face is not None)
        yield drawn


def mouth_region(landmarks: Tensor, height: int, width: int) -> Tensor:
    """Weights (H, W) 0 … 1 of the mouth and chin of a face (478, 2 or 3): an ellipse with a soft border.

    It reaches from the base of the nose to below the chin; outside of it the weight is exactly zero.
    """
    points = landmarks[:, :2].float()
    eyes = points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]]
    size = eyes.norm()
    right = eyes / size
    down = torch.stack([-right[1], right[0]])
    mouth = points[list(MOUTH_CORNERS)].mean(0)
    top = ((points[NOSE_BASE] - mouth) * down).sum()
    bottom = ((points[CHIN] - mouth) * down).sum() + BELOW * size
    middle = mouth + down * (top + bottom) / 2
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    offset = torch.stack([x, y], -1).to(middle) - middle
    across, along = offset @ right / (SIDE * size), offset @ down / ((bottom - top) / 2)
    return ((1 - torch.hypot(across, along)) / FEATHER).clamp(0, 1)


def _dubbed_frame(frame: Tensor, face: Face, change: Tensor, renderer: Renderer) -> Tensor:
    portrait = renderer.portrait(frame, face)
    rest = portrait.rest.to("cpu")
    still = MotionSequence.still(1, 1)
    pose = {name: getattr(rest, name)[None] for name in ("rotation", "scale", "translation")}
    moved = replace(still, expression=(rest.expression + change)[None], rest=rest, **pose)
    drawn = renderer.draw(portrait, moved, RenderOptions(batch_size=1))[0].to(frame)
    weight = mouth_region(face.landmarks, *frame.shape[:2]).to(frame)[..., None]
    return frame + weight * (drawn - frame)
