"""The motion filter: smoothing, gain by axis, lips that do not cross, and a shift in time, in this order."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .edits import shift, smooth_with
from .keypoints import LIPS, rotation_degrees, rotation_matrix
from .sequence import MotionSequence
from .smoothers import OBSERVATION_VARIANCE, exponential, gaussian, kalman, savitzky_golay

SMOOTHINGS = ("none", "gaussian", "kalman", "savitzky-golay", "exponential")
LOWER_LIP, UPPER_LIP = 19, 20  # keypoints
LOWER_LIPS = (6, 12, 19)  # the lip keypoints that move with the jaw
NEUTRAL_GAIN = (1.0, 1.0, 1.0)
MAXIMUM_GAIN = 5.0


@dataclass(frozen=True)
class FilterOptions:
    """What the filter does; the defaults change nothing.

    Attributes:
        smoothing: one of SMOOTHINGS; rotations are smoothed as rotations. "exponential" calms the head alone, as
            JoyVASA does.
        width: seconds: the Gaussian's standard deviation, half the Savitzky-Golay filter's window, or the time the
            exponential filter takes to follow (4 is JoyVASA's).
        observation: variance the Kalman smoother takes for noise; 3e-7 is next to none, 1e-4 is strong.
        lip_gain: of the lips' motion along x, y and z.
        lower_lip_gain: the same, once more for the lower lip and jaw alone.
        overshoot: what is added of each frame's change from the one before, to the lips; 0.5 is brisk.
        pose_gain: of pitch, yaw and roll from the rest pose.
        uncross: lips are not let through each other.
        closed: lip opening (y of keypoint 19 less y of 20, crop units, against rest) at which the lips meet; 0 for
            a rest face with closed lips, below zero for an open mouth.
        delay: seconds that everything comes later; below zero earlier.
    """

    smoothing: str = "none"
    width: float = 0.06
    observation: float = OBSERVATION_VARIANCE
    lip_gain: tuple[float, float, float] = NEUTRAL_GAIN
    lower_lip_gain: tuple[float, float, float] = NEUTRAL_GAIN
    overshoot: float = 0.0
    pose_gain: tuple[float, float, float] = NEUTRAL_GAIN
    uncross: bool = False
    closed: float = 0.0
    delay: float = 0.0

    def __post_init__(self) -> None:
        if self.smoothing not in SMOOTHINGS:
            raise ValueError(f"The smoothing is {self.smoothing!r}; choose from {', '.join(SMOOTHINGS)}.")
        if not 0 <= self.width <= 5:
            raise ValueError(f"The smoothing's width is {self.width} s; give 0 … 5 seconds.")
        if not 0 < self.observation <= 1:
            raise ValueError(f"The observation variance is {self.observation}; give more than 0, 1 at most.")
        for name in ("lip_gain", "lower_lip_gain", "pose_gain"):
            if not all(-MAXIMUM_GAIN <= gain <= MAXIMUM_GAIN for gain in getattr(self, name)):
                raise ValueError(f"The {name} is {getattr(self, name)}; give three numbers of -5 … 5.")


def filter_motion(motion: MotionSequence, options: FilterOptions) -> MotionSequence:
    """Motion through the filter, measured from its rest frame.

    The order is Live Speech Portraits': smoothing before gains, and the lips are uncrossed after both.
    """
    filtered = _smoothed(motion, options)
    filtered = _with_lip_gains(filtered, options)
    if options.pose_gain != NEUTRAL_GAIN:
        filtered = scale_pose(filtered, options.pose_gain)
    if options.uncross:
        filtered = uncross_lips(filtered, options.closed)
    return shift(filtered, options.delay) if options.delay else filtered


def scale_pose(motion: MotionSequence, gain: tuple[float, float, float]) -> MotionSequence:
    """Motion whose turn from rest has its pitch, yaw and roll multiplied; place and nearness stay."""
    degrees = rotation_degrees(motion.relative_rotation()) * torch.tensor(gain)
    return replace(
        motion, rotation=rotation_degrees(rotation_matrix(degrees) @ rotation_matrix(motion.rest.rotation))
    )


def uncross_lips(motion: MotionSequence, closed: float = 0.0) -> MotionSequence:
    """Motion in which the lower lip never rises through the upper one: each gives way by half of the excess.

    Args:
        motion: what is edited.
        closed: see `FilterOptions`.
    """
    delta = motion.expression - motion.rest.expression
    opening = delta[:, LOWER_LIP, 1] - delta[:, UPPER_LIP, 1]  # y is down
    excess = (closed - opening).clamp(min=0)
    expression = motion.expression.clone()
    expression[:, LOWER_LIP, 1] += excess / 2
    expression[:, UPPER_LIP, 1] -= excess / 2
    return replace(motion, expression=expression)


def overshoot(values: Tensor, amount: float) -> Tensor:
    """Values (T, ...) with `amount` of each one's change from the one before added; the first stays."""
    return torch.cat([values[:1], values[1:] + amount * values.diff(dim=0)])


def _smoothed(motion: MotionSequence, options: FilterOptions) -> MotionSequence:
    frames = options.width * float(motion.fps)
    if options.smoothing == "gaussian" and frames > 0:
        return smooth_with(motion, lambda values: gaussian(values, frames))
    if options.smoothing == "kalman":
        return smooth_with(motion, lambda values: kalman(values, observation=options.observation))
    if options.smoothing == "savitzky-golay":
        return smooth_with(motion, lambda values: savitzky_golay(values, 2 * round(frames) + 1))
    return following_head(motion, 1 / frames) if options.smoothing == "exponential" and frames > 1 else motion


def following_head(motion: MotionSequence, share: float) -> MotionSequence:
    """Motion whose head goes a share, 0 … 1, of the way to where it should be, frame by frame; the face stays.

    Angles are followed as they are, in degrees: JoyVASA's filter, with its share of 0.01 on by default there.
    """
    turns = np.unwrap(motion.rotation.cpu().numpy(), axis=0, period=360)
    return replace(
        motion,
        rotation=exponential(torch.from_numpy(turns).to(motion.rotation), share),
        scale=exponential(motion.scale, share),
        translation=exponential(motion.translation, share),
    )


def _with_lip_gains(motion: MotionSequence, options: FilterOptions) -> MotionSequence:
    lips, lower = list(LIPS), list(LOWER_LIPS)
    delta = motion.expression - motion.rest.expression
    delta[:, lips] = overshoot(delta[:, lips], options.overshoot) * torch.tensor(options.lip_gain)
    delta[:, lower] = delta[:, lower] * torch.tensor(options.lower_lip_gain)
    return replace(motion, expression=motion.rest.expression + delta)
