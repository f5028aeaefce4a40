"""hazard-10's DiffLiveHead: its motion vectors, their post-processing, and conversion to LivePortrait motion.

A vector is 25 numbers: 20 of LivePortrait's 63 of expression, then pitch, yaw, roll (degrees) and two of
translation, each mapped from its range to -0.05 … 0.05. Source: diffpose spec sections 2.4 and 4.3. No weights are
published: this is for privately trained ones.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from ...lp_core.motion.keypoints import KEYPOINTS
from ...lp_core.motion.sequence import MotionFrame, MotionSequence
from ...lp_core.motion.smoothers import savitzky_golay

KEPT = (4, 6, 7, 22, 33, 34, 40, 43, 45, 46, 48, 51, 52, 53, 57, 58, 59, 60, 61, 62)  # of the 63 of expression
POSE_LOW = (-21.0, -30.0, -23.0, -0.3, -0.3)  # degrees and crop units, relative to the window's typical pose
POSE_HIGH = (25.0, 30.0, 23.0, 0.3, 0.28)
REACH = 0.05  # magnitude that the ends of those ranges are mapped to
CONTEXT, NEW = 10, 65  # frames of a window in training

SMOOTHING, POSE_SMOOTHING = 5, 15  # frames of Savitzky-Golay filters of degree 2
LIDS = (5, 9)  # indices in the vector that close the left and the right eye
GAZE = {0: 0.0, 1: 0.0, 2: 0.0, 4: 0.008, 6: 0.0, 8: -0.001, 10: -0.001}  # what keeps the gaze on the viewer
OPEN, OPEN_NOISE, SPIKE_NOISE = -0.005, 2e-4, 2e-3  # the lids at rest, and standard deviations of their noise
SPIKE = (0.0015, 0.0085, 0.011, 0.0075, 0.002)  # a blink, frame by frame
FIRST_PERIOD, PERIODS = 12, (15, 17)  # frames between blinks: before the first one, and range of the later ones
USUAL_MOUTH = 0.25  # the mouth-open ratio of its demo


@dataclass(frozen=True, eq=False)
class Latents:
    """Per-frame output of hazard-10's motion encoder for a clip.

    Attributes:
        keypoints: (T, 63) canonical.
        expression: (T, 63).
        pose: (T, 5) pitch, yaw, roll in degrees, translation x and y.
        mouth: (T,) opening of the lips divided by the mouth's width.
    """

    keypoints: Tensor
    expression: Tensor
    pose: Tensor
    mouth: Tensor

    def frames(self, start: int, end: int) -> "Latents":
        """Frames start … end; frames past the clip's end are zero, as in training."""
        lacking = max(end - max(len(self.mouth), start), 0)

        def cut(part: Tensor) -> Tensor:
            return F.pad(part[start:end].mT, (0, lacking)).mT

        return Latents(cut(self.keypoints), cut(self.expression), cut(self.pose), cut(self.mouth[:, None])[:, 0])


@dataclass(frozen=True, eq=False)
class LiveHeadPerson:
    """Inputs of DiffLiveHead's person token.

    Attributes:
        shape: (63,) canonical keypoints.
        mouth_open_ratio: the typical opening of the lips divided by the mouth's width.
        mean: (25,) the mean vector of a clip; zeros stand for the mean face looking straight ahead.
    """

    shape: Tensor
    mouth_open_ratio: float = USUAL_MOUTH
    mean: Tensor = torch.zeros(25)  # noqa: RUF009 never written to

    @classmethod
    def of(cls, clip: Latents, limits: Tensor) -> "LiveHeadPerson":
        """The person of a clip, measured over its training windows; limits (63, 2) of each expression number."""
        cut = [clip.frames(start, start + CONTEXT + NEW) for start in window_starts(len(clip.mouth))]
        return cls(
            shape=torch.cat([window.keypoints for window in cut]).mean(0),
            mouth_open_ratio=float(torch.cat([window.mouth for window in cut]).median()),
            mean=torch.cat([vectors_of(window, limits) for window in cut]).mean(0),
        )


def window_starts(frames: int) -> range:
    """First frames of the windows of a clip; windows overlap by the context, and the last may be shorter."""
    return range(0, max(frames - CONTEXT, 1), NEW)


def vectors_of(window: Latents, limits: Tensor) -> Tensor:
    """Training vectors (T, 25) of a window: expression clamped to `limits`, pose relative to the typical one."""
    expression = window.expression.clamp(limits[:, 0], limits[:, 1])[:, list(KEPT)]
    return torch.cat((expression, straightened(window.pose)), 1)


def straightened(pose: Tensor) -> Tensor:
    """Poses (T, 5), as in vectors, relative to the typical pose of their window.

    The typical rotation is the medoid of all frames, the typical translation the median.
    """
    return in_range(pose - torch.cat((_middle_turn(pose[:, :3]), pose[:, 3:].median(0).values)))


def in_range(pose: Tensor) -> Tensor:
    """Poses (T, 5) clipped to their range and scaled to -0.05 … 0.05."""
    low, high = torch.tensor(POSE_LOW), torch.tensor(POSE_HIGH)
    return (pose.clamp(low, high) - low) / (high - low) * 2 * REACH - REACH


def _middle_turn(turns: Tensor) -> Tensor:
    """The medoid (3,) of rotations (T, 3): the one nearest to all others."""
    apart = (turns[:, None] - turns).abs()
    # The original wraps at 2π although these are degrees, and its training data was made so.
    return turns[torch.minimum(apart, 2 * math.pi - apart).norm(dim=-1).sum(1).argmin()]


def finished(vectors: Tensor, noise: Tensor, periods: Iterator[int]) -> Tensor:
    """Generated vectors (T, 25) after hazard-10's post-processing: smoothed, blinking, looking at the viewer.

    Args:
        vectors: each window less the mean of its unconditional prediction (WindowedMotion's `centred`).
        noise: (T, 2) standard normal, for both lids.
        periods: frames from each blink to the next, after the first.
    """
    made = savitzky_golay(vectors, SMOOTHING)
    made[:, list(LIDS)] = blinking(noise, periods)
    for number, value in GAZE.items():
        made[:, number] = value
    made[:, len(KEPT) :] = savitzky_golay(made[:, len(KEPT) :], POSE_SMOOTHING)
    return made


def blinking(noise: Tensor, periods: Iterator[int]) -> Tensor:
    """Closing of both lids (T, 2): five frames of a blink where the frame's index is a multiple of the period.

    A period counts the frames of rest in between, so that a blink may begin in its middle, as the original's do.
    """
    lids = OPEN + OPEN_NOISE * noise
    period, rested = FIRST_PERIOD, 0
    for frame in range(len(noise)):
        phase = frame % period
        if phase >= len(SPIKE) or rested < period:
            rested += 1
            continue
        lids[frame] = SPIKE[phase] + SPIKE_NOISE * noise[frame]
        if phase == len(SPIKE) - 1:
            period, rested = next(periods), 0
    return lids


@dataclass(frozen=True, eq=False)
class LiveHeadSpace:
    """Motion space of DiffLiveHead's vectors (see `normalise.MotionSpace`).

    Attributes:
        mean: (25,) the person's mean vector.
    """

    mean: Tensor

    def motion(self, vectors: Tensor, fps: Fraction, rest: MotionFrame | None = None) -> MotionSequence:
        """Motion of vectors (T, 25), measured from the mean face, which looks at the viewer."""
        low, high = torch.tensor(POSE_LOW), torch.tensor(POSE_HIGH)
        pose = (vectors[:, len(KEPT) :] + REACH) / (2 * REACH) * (high - low) + low
        return MotionSequence(
            expression=_expression(vectors),
            rotation=pose[:, :3],
            scale=torch.ones(len(vectors), 1),
            translation=F.pad(pose[:, 3:], (0, 1)),
            fps=fps,
            rest=self._rest() if rest is None else rest,
        )

    def _rest(self) -> MotionFrame:
        usual = self.mean.clone()
        for number, value in (GAZE | dict.fromkeys(LIDS, OPEN)).items():
            usual[number] = value
        return MotionFrame(_expression(usual[None])[0], torch.zeros(3), torch.ones(1), torch.zeros(3))


def _expression(vectors: Tensor) -> Tensor:
    """Expression (T, 21, 3) of vectors (T, 25); coordinates not in KEPT are zero."""
    expression = vectors.new_zeros(len(vectors), 3 * KEYPOINTS)
    expression[:, list(KEPT)] = vectors[:, : len(KEPT)]
    return expression.unflatten(1, (KEYPOINTS, 3))
