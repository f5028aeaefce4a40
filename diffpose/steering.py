"""What somebody wants of a talking face, done to a motion that a network made."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ..lp_core.audio import Audio
from ..lp_core.edits import head_pose, mix, move_pupils, retarget_eyes, retarget_lips, scale_brows
from ..lp_core.motion import MotionSequence, frame_count
from ..lp_core.retarget import hold
from .audio import SAMPLE_RATE, analyse
from .options import MotionOptions
from .style import MotionStatistics


def timed(motion: MotionSequence, audio: Audio, fps: Fraction, lip_lead_ms: float) -> MotionSequence:
    """The motion of a sound at another rate: ceil(duration · fps) frames, the lips alone ahead of the sound."""
    count = frame_count(audio.samples, audio.sample_rate, fps)
    positions = torch.arange(count, dtype=torch.float64) * float(motion.fps / fps)
    resampled = motion.at(positions, fps)
    if not lip_lead_ms:
        return resampled
    return mix(resampled, motion.at(positions + lip_lead_ms / 1000 * float(motion.fps), fps), ("lips",))


def closed_in_silence(motion: MotionSequence, audio: Audio, lip_lead_ms: float) -> MotionSequence:
    """The motion with lips that rest, as in the portrait, while nobody speaks."""
    activity = spoken(audio, len(motion), motion.fps, lip_lead_ms).to(motion.expression)
    quiet = retarget_lips(motion, gain=0.0)
    return _between(quiet, motion, activity[:, None, None])


def spoken(audio: Audio, frames: int, fps: Fraction, lip_lead_ms: float) -> Tensor:
    """(frames,) 0 in silence … 1 while somebody speaks, ahead of the sound as the lips are."""
    seconds = np.arange(frames) / float(fps) + lip_lead_ms / 1000
    speech = analyse(audio.mono(SAMPLE_RATE))
    return torch.from_numpy(np.interp(seconds, speech.times, speech.activity))


def steered(motion: MotionSequence, wanted: MotionOptions, gains: MotionStatistics) -> MotionSequence:
    """The motion with its parts as large as wanted, and as a style has them."""
    if wanted.expression != 1:
        scaled = _between(hold(motion, ("all",)), motion, torch.tensor(wanted.expression))
        motion = mix(scaled, motion, ("eyes",))
    if wanted.lips_only:
        motion = mix(hold(motion, ("all",)), motion, ("lips",))
    motion = retarget_lips(motion, gain=wanted.lips * gains.mouth_amplitude)
    motion = scale_brows(motion, wanted.brows * gains.brow_activity)
    motion = retarget_eyes(motion, gain=wanted.blinks)
    motion = move_pupils(motion, gain=wanted.gaze * gains.gaze_spread)
    head = wanted.head * (wanted.pose != "still")
    return head_pose(motion, gain=head * (gains.head_pitch * gains.head_yaw * gains.head_roll) ** (1 / 3))


def _between(first: MotionSequence, second: MotionSequence, weight: Tensor) -> MotionSequence:
    """The first motion with an expression on the way to the second's, or beyond it."""
    return replace(second, expression=torch.lerp(first.expression, second.expression, weight))
