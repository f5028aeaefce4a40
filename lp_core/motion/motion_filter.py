"""The motion filter: smoothing, gain per axis, uncrossing of the lips, and a shift in time, in this order."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..options import check_options, option
from .edits import shift, smooth_with
from .keypoints import LIPS, rotation_degrees, rotation_matrix
from .sequence import MotionSequence
from .smoothers import OBSERVATION_VARIANCE, exponential, gaussian, kalman, savitzky_golay

SMOOTHINGS = ("none", "gaussian", "kalman", "savitzky-golay", "exponential")
LOWER_LIP, UPPER_LIP = 19, 20  # keypoints
LOWER_LIPS = (6, 12, 19)  # the lip keypoints that move with the jaw
NEUTRAL_GAIN = (1.0, 1.0, 1.0)
MAXIMUM_GAIN = 5.0
LEAST_VARIANCE = 1e-7


def _gains(what: str) -> Any:
    """Returns the option of factors per axis."""
    text = f"Factors on {what}: 1 leaves it unchanged, 0 removes it."
    return option(NEUTRAL_GAIN, text, minimum=-MAXIMUM_GAIN, maximum=MAXIMUM_GAIN, step=0.05)


@dataclass(frozen=True)
class FilterOptions:
    """Options of the motion filter; the defaults change nothing.

    Attributes:
        closed: lip opening (y of keypoint 19 less y of 20, crop units, against rest) at which the lips meet; 0 for
            a rest face with closed lips, below zero for an open mouth.
    """

    smoothing: str = option(
        "none",
        "Smoothing method; rotations are smoothed as rotations. exponential smooths the head only, as JoyVASA "
        "does.",
        choices=SMOOTHINGS,
    )
    width: float = option(
        0.06,
        "Width of the gaussian and savitzky-golay smoothers, or lag of the exponential one, in seconds; larger "
        "values smooth more.",
        minimum=0.0,
        maximum=5.0,
        step=0.01,
        unit="s",
        label="smoothing's width",
    )
    observation: float = option(
        OBSERVATION_VARIANCE,
        "Noise variance assumed by the kalman smoother; larger values smooth more.",
        minimum=LEAST_VARIANCE,
        maximum=1.0,
        step=1e-7,
        label="observation variance",
    )
    lip_gain: tuple[float, float, float] = _gains("the lips' motion along x, y and z")
    lower_lip_gain: tuple[float, float, float] = _gains("the lower lip's and jaw's motion, once more")
    overshoot: float = option(
        0.0, "Share of each frame's change from the one before that is added to the lips; 0.5 is brisk."
    )
    pose_gain: tuple[float, float, float] = _gains("pitch, yaw and roll from the rest pose")
    uncross: bool = option(
        False, "Prevents the lips from passing through each other; for portraits with a closed mouth."
    )
    closed: float = 0.0
    delay: float = option(0.0, "Seconds that everything comes later; below zero earlier.", unit="s")

    def __post_init__(self) -> None:
        check_options(self)


def filter_motion(motion: MotionSequence, options: FilterOptions) -> MotionSequence:
    """Motion filtered relative to its rest frame.

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
    """Motion with pitch, yaw and roll from rest multiplied by `gain`; translation and scale are kept."""
    degrees = rotation_degrees(motion.relative_rotation()) * torch.tensor(gain)
    return replace(
        motion, rotation=rotation_degrees(rotation_matrix(degrees) @ rotation_matrix(motion.rest.rotation))
    )


def uncross_lips(motion: MotionSequence, closed: float = 0.0) -> MotionSequence:
    """Motion in which the lower lip never crosses the upper one: each is moved by half of the excess.

    Args:
        motion: the motion to edit.
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
    """Values (T, ...) plus `amount` times the change from the previous value; the first is kept."""
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
    """Motion with the head pose low-pass filtered: each frame moves a share, 0 … 1, towards its target.

    Angles are filtered directly, in degrees, as by JoyVASA, which does so by default with a share of 0.01. The
    expression is kept.
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
