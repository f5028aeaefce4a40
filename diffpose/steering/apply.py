"""Applies motion options and style to a network's motion, offline or streamed."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...lp_core.media.audio import Audio
from ...lp_core.media.rates import frame_count
from ...lp_core.motion.edits import head_pose, mix, move_pupils, retarget_eyes, retarget_lips, scale_brows
from ...lp_core.motion.motion_filter import scale_pose
from ...lp_core.motion.retarget import hold
from ...lp_core.motion.sequence import MotionSequence, join
from ..speech.analysis import SAMPLE_RATE, Speech, analyse, analyse_pieces
from ..speech.curves import Curve
from ..speech.encoder import FPS
from ..speech.streaming import ArrivedSound
from .options import MotionOptions
from .style import MotionStatistics
from .subtle import with_expressions

HEARD = 6 * FPS  # past frames over which a stream measures silence and emphases
FASTEST_GATE = 0.34  # greatest change of a stream's silence gate per frame


def timed(motion: MotionSequence, audio: Audio, fps: Fraction, lip_lead_ms: float) -> MotionSequence:
    """The motion resampled to ceil(duration · fps) frames, with the lips alone `lip_lead_ms` ahead of the sound."""
    count = frame_count(audio.samples, audio.sample_rate, fps)
    positions = torch.arange(count, dtype=torch.float64) * float(motion.fps / fps)
    return _leading(motion, positions, fps, lip_lead_ms / 1000 * float(motion.fps))


def closed_in_silence(motion: MotionSequence, activity: Curve) -> MotionSequence:
    """The motion with the lips faded to rest by activity (T,): 0 in silence, where they are the portrait's."""
    weight = torch.from_numpy(activity).to(motion.expression)
    return _between(retarget_lips(motion, gain=0.0), motion, weight[:, None, None])


def spoken(audio: Audio, frames: int, fps: Fraction, lip_lead_ms: float) -> Tensor:
    """Activity (frames,) 0 in silence … 1 while speaking, ahead of the sound by the lip lead."""
    seconds = np.arange(frames) / float(fps) + lip_lead_ms / 1000
    return torch.from_numpy(analyse_pieces(audio.mono_pieces(SAMPLE_RATE)).activity_at(seconds))


def steered(motion: MotionSequence, wanted: MotionOptions, gains: MotionStatistics) -> MotionSequence:
    """The motion with its parts scaled by the options' strengths and a style's factors."""
    if wanted.expression != 1:
        scaled = _between(hold(motion, ("all",)), motion, torch.tensor(wanted.expression))
        motion = mix(scaled, motion, ("eyes",))
    if wanted.lips_only:
        motion = mix(hold(motion, ("all",)), motion, ("lips",))
    motion = retarget_lips(motion, gain=wanted.lips * gains.mouth_amplitude)
    motion = scale_brows(motion, wanted.brows * gains.brow_activity)
    motion = retarget_eyes(motion, gain=wanted.blinks)
    pitch, yaw, roll = gains.head_pitch, gains.head_yaw, gains.head_roll
    overall = (pitch * yaw * roll) ** (1 / 3)
    motion = head_pose(motion, gain=wanted.head * (wanted.pose != "still") * overall)
    motion = scale_pose(motion, (pitch / overall, yaw / overall, roll / overall))
    if wanted.look == "viewer" and not wanted.lips_only:
        return move_pupils(motion, gain=0.0, contact=min(wanted.gaze, 1.0))
    return move_pupils(motion, gain=wanted.gaze * gains.gaze_spread)


class LiveSteering:
    """Steering of a streamed motion, hop by hop, as AudioToMotion steers a whole one.

    It differs only where a whole voice is needed: the silence gate and the emphases use the last seconds and the
    look-ahead of a window. With a lip lead, as many frames are held back.

    Args:
        wanted: strengths of the parts of the motion.
        gains: a style's factors on the motion.
        seed: of the small expressions.
        ahead: frames of sound available beyond the settled ones.
        leading: part of the motion that is ahead of the sound: the lips, or all of a lip-only motion.
    """

    def __init__(
        self,
        wanted: MotionOptions,
        gains: MotionStatistics,
        seed: int,
        ahead: int,
        leading: Literal["lips", "all"] = "lips",
    ) -> None:
        self._leading: Literal["lips", "all"] = leading
        self._wanted, self._gains, self._seed, self._ahead = wanted, gains, seed, ahead
        self._sound = ArrivedSound("zero")
        self._lead = wanted.lip_lead_ms / 1000 * FPS  # frames
        self._held: MotionSequence | None = None  # settled frames that lips may still be read from
        self._start = 0  # index of the first of them
        self._given = 0  # index of the first frame not returned yet
        self._activity = 0.0  # of the last frame returned

    @property
    def held_back(self) -> int:
        """Number of settled frames held back until the frames that their lips are read from settle."""
        return max(math.ceil(self._lead), 0)

    def push(self, sound: Tensor) -> None:
        """Append sound (S,), 16 kHz."""
        self._sound.push(sound)

    def steer(self, hop: MotionSequence) -> MotionSequence | None:
        """The steered frames available after another hop; None when there are none."""
        self._held = hop if self._held is None else join((self._held, hop))
        return self._give(self._held, self.held_back)

    def finish(self) -> MotionSequence | None:
        """The steered frames still held back, at the end; None when there are none."""
        return None if self._held is None else self._give(self._held, held_back=0)

    def _give(self, held: MotionSequence, held_back: int) -> MotionSequence | None:
        settled = self._start + len(held)
        end = settled - held_back
        if end <= self._given:
            return None
        motion = self._steered(held, self._given, end, settled + self._ahead)
        self._given = end
        needed = max(end - self._start - max(math.ceil(-self._lead), 0) - 1, 0)
        self._held, self._start = held[needed:], self._start + needed
        self._sound.forget(self._start - HEARD)
        return motion

    def _steered(self, held: MotionSequence, start: int, end: int, available: int) -> MotionSequence:
        motion = _leading(held, torch.arange(start, end) - self._start, held.fps, self._lead, self._leading)
        begun = max(self._start - HEARD, 0)
        speech = analyse(self._sound.frames(begun, available)[0])
        if self._wanted.rest_in_silence:
            motion = closed_in_silence(motion, self._gate(speech, start - begun, end - begun))
        motion = steered(motion, self._wanted, self._gains)
        return with_expressions(motion, speech, self._wanted, self._seed, start / FPS, begun / FPS)

    def _gate(self, speech: Speech, start: int, end: int) -> Curve:
        """Activity of frames start … end of the analysed sound, with steps limited across analyses."""
        activity = speech.activity_at((np.arange(start, end) + self._lead) / FPS)
        for frame in range(len(activity)):
            change = np.clip(activity[frame] - self._activity, -FASTEST_GATE, FASTEST_GATE)
            self._activity = activity[frame] = self._activity + change
        return activity


def _leading(
    motion: MotionSequence,
    positions: Tensor,
    fps: Fraction,
    lead: float,
    leading: Literal["lips", "all"] = "lips",
) -> MotionSequence:
    """The motion interpolated at fractional frames, with the lips, or all of it, from `lead` frames later."""
    later = motion.at(positions + lead, fps)
    if leading == "all" or not lead:
        return later
    return mix(motion.at(positions, fps), later, ("lips",))


def _between(first: MotionSequence, second: MotionSequence, weight: Tensor) -> MotionSequence:
    """The first motion with the expression interpolated, or extrapolated, towards the second's by a weight."""
    return replace(second, expression=torch.lerp(first.expression, second.expression, weight.to(first.expression)))
