"""The built-in generator: motion of lips, brows, head and eyes from a voice, by rules and one small network."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from numpy.random import SeedSequence, default_rng
from torch import Tensor

from ...lp_core.media.rates import frame_count
from ...lp_core.motion.controls import Controls, to_expression
from ...lp_core.motion.sequence import MotionFrame, MotionSequence
from ..motion_generator import MotionGenerator, MotionRequest
from ..speech.analysis import SAMPLE_RATE, Speech, analyse_pieces
from ..speech.curves import Curve, around, wandering
from ..speech.manifold import MEL_ENCODER, Projection
from ..steering.options import MotionOptions
from ..steering.style import MotionStatistics
from ..steering.subtle import with_expressions
from .eyes import blink_curve, blink_times, counter_rotation, lid_following, wandering_gaze
from .head import ACCENT_REACH, Accents, HeadMotion, accents, fading_in, head_motion, pauses
from .mouth import Mouth, mouth_movement
from .visemes import visemes

BROW_SHARE = 0.45  # share of the accents on which the brows rise
BROW_RISE = (0.018, 0.040)  # eye distances
BROW_WIDTH = 0.22  # seconds
BROW_DRIFT, BROW_DRIFT_BAND = 0.005, (0.06, 0.3)  # eye distances, Hz
TUCK_LIP_RAISE = 0.012  # eye distances by which the upper lip rises at F and V


class ProceduralGenerator(MotionGenerator):
    """Motion generator without weights except the shipped viseme net; its motion is relative to a face at rest.

    Every part has its own random stream, so that the strength of one does not change another. Two couplings are
    intended: the gaze stays on the viewer while the head turns, and the lids follow the gaze.

    Args:
        speaker: projection of the voice's mel spectrum to that of one speaker; none when None.
    """

    def __init__(self, speaker: Projection | None = None) -> None:
        self.speaker = speaker

    def _generated(self, request: MotionRequest) -> MotionSequence:
        audio, rate, wanted, gains = request.audio, request.fps, request.options, request.gains
        times = np.arange(frame_count(audio.samples, audio.sample_rate, rate)) / float(rate)
        speech = analyse_pieces(audio.mono_pieces(SAMPLE_RATE))
        head_seed, brow_seed, blink_seed, gaze_seed = SeedSequence(request.seed).spawn(4)
        stressed = accents(speech)
        mouth = lips_of(speech, gains.mouth_tempo, self.speaker).at(times + wanted.lip_lead_ms / 1000)
        head = head_motion(speech, stressed, times, head_seed)
        face = Face(
            brows=_brows(stressed, times, default_rng(brow_seed)),
            gaze=wandering_gaze(times, default_rng(gaze_seed)),
            lids=_blinks(speech, times, wanted.blinks * gains.blink_rate, default_rng(blink_seed)),
        )
        motion = moved(mouth, head, face, wanted, gains, rate)
        return with_expressions(motion, speech, wanted, request.seed)


@dataclass(frozen=True, eq=False)
class Face:
    """Motion of brows (T,) in eye distances, gaze (T, 2) and lids (T,) 0 … 1, before strengths and couplings."""

    brows: Curve
    gaze: Curve
    lids: Curve


def moved(
    mouth: Mouth, head: HeadMotion, face: Face, wanted: MotionOptions, gains: MotionStatistics, rate: Fraction
) -> MotionSequence:
    """Motion of all parts scaled by options and style, with the couplings between head, gaze and lids."""
    head = _steered(head, wanted, gains)
    controls = Controls.still(
        len(head.rotation), **_lips(mouth, wanted.lips * wanted.expression, gains.mouth_amplitude)
    )
    if not wanted.lips_only:
        brows = wanted.brows * wanted.expression * gains.brow_activity * face.brows
        gaze = wanted.gaze * gains.gaze_spread * (wanted.look == "natural") * face.gaze
        gaze += min(wanted.gaze, 1.0) * counter_rotation(head.rotation)
        lids = np.minimum(1, face.lids + min(wanted.blinks, 1.0) * lid_following(gaze))
        controls = replace(controls, **_face(brows, gaze, lids))
    return _motion(controls, head, rate)


def lips_of(speech: Speech, tempo: float, speaker: Projection | None) -> Mouth:
    """Mouth movement of a voice, projected to a speaker when one is given."""
    projected = speech if speaker is None else _spoken_by(speaker, speech)
    return mouth_movement(speech, visemes(projected), tempo)


def _spoken_by(speaker: Projection, speech: Speech) -> Speech:
    """The analysed voice with its mel spectrum projected to the speaker; loudness and activity are unchanged."""
    return replace(speech, mels=speaker.of(torch.from_numpy(speech.mels), MEL_ENCODER).numpy())


def _lips(mouth: Mouth, strength: float, amplitude: float) -> dict[str, Tensor]:
    """Lip controls of a movement: shapes scaled by strength and style, closures by strength only, to 1 at most."""
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
    height = brow_drift(times, random)
    for accent in stressed.times:
        height += drawn_rise(accent, random).at(times)
    return height


def brow_drift(times: Curve, random: np.random.Generator) -> Curve:
    """Slow drift (T,) of the brows in eye distances."""
    return BROW_DRIFT * wandering(times, BROW_DRIFT_BAND, random)


@dataclass(frozen=True)
class BrowRise:
    """Rise of the brows on an accent by a height in eye distances, 0 on most; `accent`, `known` as in head.Nod."""

    accent: float
    height: float
    known: float

    def at(self, times: Curve) -> Curve:
        """Rise (T,) in eye distances at `times` seconds."""
        height, near = np.zeros(len(times)), around(times, self.accent, ACCENT_REACH)
        bell = np.exp(-(((times[near] - self.accent + 0.04) / BROW_WIDTH) ** 2))
        height[near] = self.height * bell * fading_in(times[near], self.known)
        return height


def drawn_rise(accent: float, random: np.random.Generator, known: float = -np.inf) -> BrowRise:
    """The drawn rise of the brows on an accent."""
    rises, size = random.random() < BROW_SHARE, random.uniform(*BROW_RISE)
    return BrowRise(accent, rises * size, known)


def _blinks(speech: Speech, times: Curve, rate: float, random: np.random.Generator) -> Curve:
    return blink_curve(times, blink_times(float(times[-1]), pauses(speech), rate, random))


def _steered(head: HeadMotion, wanted: MotionOptions, gains: MotionStatistics) -> HeadMotion:
    """The head's motion scaled by options and style; zero for a still pose."""
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
