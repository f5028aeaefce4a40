"""Several frames of one person as sources (experimental): their selection, and the choice for each drawn frame.

Lu, Chai and Cao 2021, "Live Speech Portraits", section 3.4, gives its renderer four candidate pictures: widest and
narrowest mouth, and heads turned to both sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..motion.controls import from_expression
from ..motion.sequence import MotionFrame, MotionSequence
from .extractor import Extraction
from .portrait import Portrait, RenderOptions

MOUTH_WIDTH = 0.56  # eye distances, of the mean face
DEGREES_PER_OPENING = 60.0  # the distance of a fully open mouth in degrees of head rotation
EXTREMES = (0.02, 0.98)  # quantiles of the mouth openings of a clip
THIRDS = (1 / 3, 2 / 3)  # of the range of its head poses
HYSTERESIS = 2.0  # degrees by which another candidate must be nearer to be chosen


@dataclass(frozen=True, eq=False)
class Looks:
    """Head poses and mouth openings of N frames.

    Attributes:
        rotation: (N, 3) degrees pitch, yaw, roll.
        opening: (N,) inner-lip opening over mouth width (`layouts.lip_ratio`).
    """

    rotation: Tensor
    opening: Tensor

    def distances(self, other: "Looks") -> Tensor:
        """Distances (N, M) in degrees to M other frames; without roll, since crops are upright."""
        turn = torch.cdist(self.rotation[:, :2], other.rotation[:, :2])
        mouth = (self.opening[:, None] - other.opening).abs() * DEGREES_PER_OPENING
        return torch.hypot(turn, mouth)


def looks_of(motion: MotionSequence) -> Looks:
    """Head poses and mouth openings of a person's own motion."""
    return Looks(motion.rotation, from_expression(motion.expression).jaw / MOUTH_WIDTH)


def choose_candidates(clip: Looks) -> tuple[int, ...]:
    """Indices of up to four frames of a clip: narrow and wide mouth, heads at the thirds of the poses' range."""
    mouths = [int((clip.opening - clip.opening.quantile(share)).abs().argmin()) for share in EXTREMES]
    low, high = clip.rotation[:, :2].amin(0), clip.rotation[:, :2].amax(0)
    turns = [int((clip.rotation[:, :2] - torch.lerp(low, high, share)).norm(dim=-1).argmin()) for share in THIRDS]
    return tuple(dict.fromkeys([*mouths, *turns]))


def candidates_of(clip: Extraction) -> tuple[int, ...]:
    """Indices of candidate frames of a clip, by `choose_candidates`, among frames with a face."""
    seen = [frame for frame in range(len(clip.motion)) if frame not in set(clip.faceless)]
    looks = looks_of(clip.motion)
    return tuple(seen[index] for index in choose_candidates(Looks(looks.rotation[seen], looks.opening[seen])))


def nearest_candidates(wanted: Looks, candidates: Looks, hysteresis: float = HYSTERESIS) -> list[int]:
    """The index of the candidate for each of T frames; it changes only when another is clearly nearer.

    Args:
        wanted: looks of the T frames to draw.
        candidates: looks of the candidates.
        hysteresis: degrees by which another must be nearer; 0 chooses the nearest for every frame.
    """
    distances = wanted.distances(candidates)
    current, chosen = int(distances[0].argmin()), []
    for row in distances:
        best = int(row.argmin())
        if row[best] + hysteresis < row[current]:
            current = best
        chosen.append(current)
    return chosen


def render_from_candidates(
    portraits: Sequence[Portrait],
    chosen: Sequence[int],
    own: MotionSequence,
    options: RenderOptions | None = None,
) -> Iterator[Tensor]:
    """Yields frames (1, H, W, 3), each drawn from its candidate, with translation and scale relative to it.

    Args:
        portraits: one for each candidate, of pictures of one size.
        chosen: index of a portrait for each of T frames.
        own: the person's motion, from `retarget.relative_to` with the first portrait's rest.
        options: as for `render`; `relative` has no effect here.

    Raises:
        ValueError: there is not one choice for each frame.
    """
    if len(chosen) != len(own):
        raise ValueError(f"There are {len(chosen)} choices for {len(own)} frames; give one for each.")
    settings = options or RenderOptions()
    for index, candidate in enumerate(chosen):
        portrait = portraits[candidate]
        placed = _placed(own[index : index + 1], portraits[0].rest, portrait.rest)
        yield portrait.renderer.draw(portrait, placed, settings)


def _placed(own: MotionSequence, first: MotionFrame, other: MotionFrame) -> MotionSequence:
    """A person's motion with translation and scale relative to another picture than the first."""
    translation = own.translation - first.translation.to(own.translation) + other.translation.to(own.translation)
    scale = own.scale / first.scale.to(own.scale) * other.scale.to(own.scale)
    return replace(own, translation=translation, scale=scale)
