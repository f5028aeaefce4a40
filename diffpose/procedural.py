"""The generator that needs no download: a voice moves lips, brows, head and eyes by rules and one tiny net."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.random import SeedSequence, default_rng
from torch import Tensor

from ..lp_core.audio import Audio
from ..lp_core.controls import Controls, to_expression
from ..lp_core.motion import MotionFrame, MotionSequence, frame_count, frame_rate
from .audio import SAMPLE_RATE, Speech, analyse
from .curves import Curve, around, wandering
from .eyes import blink_curve, blink_times, counter_rotation, lid_following, wandering_gaze
from .manifold import MEL_ENCODER, Projection
from .mouth import Mouth, mouth_movement
from .options import MotionOptions
from .pose import ACCENT_REACH, Accents, HeadMotion, accents, head_motion, pauses
from .style import MotionStatistics, Style
from .subtle import with_expressions
from .visemes import visemes

BROW_SHARE = 0.45  # of the accents on which the brows rise
BROW_RISE = (0.018, 0.040)  # eye distances
BROW_WIDTH = 0.22  # seconds
BROW_DRIFT, BROW_DRIFT_BAND = 0.005, (0.06, 0.3)  # eye distances, Hz
TUCK_LIP_RAISE = 0.012  # eye distances the upper lip rises from the teeth at F and V


class ProceduralGenerator:
    """A `generator.MotionGenerator` without weights beyond the shipped viseme net.

    Every part draws from its own random stream, so that the strength of one does not change another. Two ties are
    meant: the pupils hold the viewer while the head turns, and the lids follow the pupils.

    Args:
        speaker: whose way of speaking the mouth shapes are taken from; nobody's when None.
    """

    def __init__(self, speaker: Projection | None = None) -> None:
        self._speaker = speaker

    def generate(
        self,
        audio: Audio,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> MotionSequence:
        """The motion of a face that says `audio`: ceil(duration · fps) frames of deltas to a face at rest.

        Args:
            audio: the voice, any rate and channels.
            fps: frames a second.
            options: what moves and how much; natural when None.
            seed: 0 or more; the same seed gives the same motion, bit for bit.
            style: its statistics steer sizes and rates; a typical talker's when None.
        """
        if seed < 0:
            raise ValueError(f"The seed is {seed}; expected 0 or more.")
        wanted, gains = options or MotionOptions(), (style or Style()).gains()
        rate = frame_rate(fps)
        times = np.arange(frame_count(audio.samples, audio.sample_rate, rate)) / float(rate)
        speech = analyse(audio.mono(SAMPLE_RATE))
        head_seed, brow_seed, blink_seed, gaze_seed = SeedSequence(seed).spawn(4)
        stressed = accents(speech)
        heard = speech if self._speaker is None else _spoken_by(self._speaker, speech)
        mouth = mouth_movement(speech, visemes(heard), gains.mouth_tempo).at(times + wanted.lip_lead_ms / 1000)
        head = _steered(head_motion(speech, stressed, times, head_seed), wanted, gains)
        lips = _lips(mouth, wanted.lips * wanted.expression, gains.mouth_amplitude)
        controls = Controls.still(len(times), **lips)
        if not wanted.lips_only:
            size = wanted.brows * wanted.expression * gains.brow_activity
            brows = size * _brows(stressed, times, default_rng(brow_seed))
            wander = wanted.gaze * gains.gaze_spread * (wanted.look == "natural")
            gaze = wander * wandering_gaze(times, default_rng(gaze_seed))
            gaze += min(wanted.gaze, 1.0) * counter_rotation(head.rotation)
            blinks = _blinks(speech, times, wanted.blinks * gains.blink_rate, default_rng(blink_seed))
            lids = np.minimum(1, blinks + min(wanted.blinks, 1.0) * lid_following(gaze))
            controls = replace(controls, **_face(brows, gaze, lids))
        return with_expressions(_motion(controls, head, rate), speech, wanted, seed)


def _spoken_by(speaker: Projection, speech: Speech) -> Speech:
    """The voice as it would sound from the speaker; loudness and silence stay its own."""
    return replace(speech, mels=speaker.of(torch.from_numpy(speech.mels), MEL_ENCODER).numpy())


def _lips(mouth: Mouth, strength: float, amplitude: float) -> dict[str, Tensor]:
    """The lip controls of a movement: sizes by strength and style, closures only by strength, up to whole."""
    size, whole = strength * amplitude, min(strength, 1.0)
    moved = {
        "jaw": size * mouth.opening,
        "wide": size * mouth.width,
        "pout": size * mouth.pout,
        "lip_raise": whole * TUCK_LIP_RAISE * mouth.tuck,
        "press": whole * mouth.press,
        "tuck": whole * mouth.tuck,
        "tongue": whole * mouth.tongue,
    }
    return {name: _tensor(curve) for name, curve in moved.items()}


def _face(brows: Curve, gaze: Curve, lids: Curve) -> dict[str, Tensor]:
    moved = {
        "brow_left": brows,
        "brow_right": brows,
        "pupil_x": gaze[:, 0],
        "pupil_y": gaze[:, 1],
        "blink_left": lids,
        "blink_right": lids,
    }
    return {name: _tensor(curve) for name, curve in moved.items()}


def _brows(stressed: Accents, times: Curve, random: np.random.Generator) -> Curve:
    """Brows raised (T,), eye distances: on some of the accents, over a slow drift."""
    height = BROW_DRIFT * wandering(times, BROW_DRIFT_BAND, random)
    for accent in stressed.times:
        rises, size = random.random() < BROW_SHARE, random.uniform(*BROW_RISE)
        near = around(times, accent, ACCENT_REACH)
        height[near] += rises * size * np.exp(-(((times[near] - accent + 0.04) / BROW_WIDTH) ** 2))
    return height


def _blinks(speech: Speech, times: Curve, rate: float, random: np.random.Generator) -> Curve:
    return blink_curve(times, blink_times(float(times[-1]), pauses(speech), rate, random))


def _steered(head: HeadMotion, wanted: MotionOptions, gains: MotionStatistics) -> HeadMotion:
    """The head's motion in the wanted size; all zero for a still pose."""
    moves = wanted.pose == "synthetic" and not wanted.lips_only
    strength = wanted.head if moves else 0.0
    axes = np.array([gains.head_pitch, gains.head_yaw, gains.head_roll])
    return HeadMotion(strength * axes * head.rotation, strength * float(axes.mean()) * head.translation)


def _motion(controls: Controls, head: HeadMotion, rate: Fraction) -> MotionSequence:
    frames = len(controls)
    return MotionSequence(
        expression=to_expression(controls),
        rotation=_tensor(head.rotation),
        scale=torch.ones(frames, 1),
        translation=_tensor(np.pad(head.translation, ((0, 0), (0, 1)))),
        fps=rate,
        rest=MotionFrame.neutral(),
    )


def _tensor(curve: Curve) -> Tensor:
    return torch.from_numpy(np.asarray(curve, dtype=np.float32))
