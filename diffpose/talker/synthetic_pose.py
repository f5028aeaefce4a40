"""LivePortraitTalker's synthetic head motion: one sine per axis with jitter, none while the lips rest.

Source: mkara44, "liveportrait_talker" (2024). It works with the lip motion of any driver. Rotation about an axis is
at most `SyntheticPoseOptions.degrees`, and zero but for jitter every two seconds.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.options import check_options, option

SPEAKING_KEYPOINTS = (19, 20)  # lower and upper lip


@dataclass(frozen=True)
class SyntheticPoseOptions:
    """Options of the synthetic head motion.

    Attributes:
        frequency: range of the drawn frequencies, Hz, within 0 … 10.
        window: odd number of frames over which silence is averaged.
        threshold: change per frame, as a share of the lips' range, below which they rest.
        whole_seconds: scale time such that the clip ends at its last whole second, as in the original: clips under
            a second have jitter only.
    """

    degrees: float = option(
        3.0,
        "Largest rotation about each axis, in degrees.",
        minimum=0.0,
        maximum=30.0,
        step=0.5,
        unit="degrees",
        label="head's amplitude",
    )
    frequency: tuple[float, float] = (0.5, 1.5)
    jitter: float = option(
        0.05,
        "Random change from frame to frame, as a fraction of the rotation; LivePortraitTalker uses 0.05.",
        minimum=0.0,
        maximum=0.5,
        step=0.01,
    )
    window: int = 7
    threshold: float = 0.02
    whole_seconds: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if not 0 <= self.frequency[0] <= self.frequency[1] <= 10:
            raise ValueError(f"The head's frequencies are {self.frequency} Hz; give a range within 0 … 10.")
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"The silence window is {self.window} frames; give an odd number.")


@dataclass(frozen=True, eq=False)
class Sway:
    """Random parameters of T frames, for pitch, yaw and roll.

    Attributes:
        amplitude: (3,) degrees.
        frequency: (3,) Hz.
        noise: (3, T) standard normal.
    """

    amplitude: Tensor
    frequency: Tensor
    noise: Tensor


def synthetic_pose(
    lips: MotionSequence, seed: int = 0, options: SyntheticPoseOptions | None = None
) -> MotionSequence:
    """Head motion without expression for speaking lips, of the same rate and length, measured from rest.

    Args:
        lips: motion that contains lip motion.
        seed: the same seed gives the same motion.
        options: frequencies, amplitude, jitter and silence.
    """
    wanted = options or SyntheticPoseOptions()
    spoken = (lips.expression - lips.rest.expression)[:, list(SPEAKING_KEYPOINTS)]
    degrees = sway_degrees(draw_sway(len(lips), seed, wanted), speaking(spoken, wanted), float(lips.fps), wanted)
    return replace(MotionSequence.still(len(lips), lips.fps), rotation=degrees)


def draw_sway(frames: int, seed: int, options: SyntheticPoseOptions) -> Sway:
    """Amplitudes, frequencies and jitter of a clip."""
    random = np.random.default_rng(seed)
    drawn = (
        random.uniform(0, options.degrees, 3),
        random.uniform(*options.frequency, 3),
        random.standard_normal((3, frames)),
    )
    return Sway(*(torch.from_numpy(values).float() for values in drawn))


def speaking(lips: Tensor, options: SyntheticPoseOptions) -> Tensor:
    """Weights (T,) 0 … 1: share of the surrounding frames in which the lips (T, 2, 3) move.

    The lips' values are scaled to their range over the whole clip; constant lips are silent.
    """
    spread = lips.max() - lips.min()
    if spread <= 0:
        return lips.new_zeros(len(lips))
    change = ((lips - lips.min()) / spread).diff(dim=0).abs().mean(-1)
    moving = F.pad((change >= options.threshold).any(-1).to(lips), (0, 1))
    side = options.window // 2
    return F.avg_pool1d(F.pad(moving[None], (side, side), value=1.0), options.window, stride=1)[0]


def sway_degrees(sway: Sway, weight: Tensor, fps: float, options: SyntheticPoseOptions) -> Tensor:
    """Pitch, yaw, roll (T, 3) in degrees from the rest pose.

    clip(A sin(2π F t) (1 - cos π t) / 2 + jitter · A · noise, -A, A) · weight
    """
    frames = len(weight)
    time = torch.arange(frames) / fps
    if options.whole_seconds:
        time = torch.linspace(0, int(frames / fps), frames)
    amplitude = sway.amplitude[:, None]
    swing = torch.sin(2 * torch.pi * sway.frequency[:, None] * time) * (1 - torch.cos(torch.pi * time)) / 2
    turned = amplitude * (swing + options.jitter * sway.noise)
    return (turned.clamp(-amplitude, amplitude) * weight).T
