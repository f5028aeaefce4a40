"""Expressions in addition to speech: small seeded ones that come and go, and a constant mood.

Such expressions are small and asymmetric: brow flashes on emphasis, one brow a little higher than the other;
narrowing and widening lids; one-sided smiles (Ekman 1979, "About brows", on flashes as emphasis; Ekman, Hager and
Friesen 1981 on asymmetry). Amplitudes and rates are our choice, below those of the speech itself.
"""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from ...lp_core.motion.controls import Controls, from_expression, to_expression
from ...lp_core.motion.sequence import MotionSequence
from ..speech.analysis import Speech
from ..speech.curves import Curve, smoothed, wandering
from .options import MotionOptions

EMPHASIS_SPAN = (0.06, 0.5)  # seconds, standard deviations: of a syllable and of its surroundings
EMPHASIS_FULL = 0.22  # loudness above its surroundings at which emphasis is 1
FLASH = 0.010  # eye distances, greatest rise of a brow
FLASH_BAND, UNEVEN_BAND = (0.15, 0.5), (0.05, 0.2)  # Hz: of the choice of emphases, and of the stronger side
UNEVEN = 0.35  # share of a movement that one side has more
KNIT = 0.008  # eye distances, greatest contraction of the brows
WIDENING = 6.0  # lid opening per eye distance of brow rise
TENSION, TENSION_BAND = 0.09, (0.05, 0.3)  # lid amount, Hz
SMILE, SMILE_BAND = 0.02, (0.05, 0.18)  # eye distances, Hz
SMILE_SHARE = 0.3  # level above the mean of the slow noise at which a smile begins
SMILE_FADE = 0.12  # seconds, standard deviation of a smile's fade with the voice
SIDEWAYS = 0.3  # sideways shift of the mouth to the stronger side, as a share of the smile

# Additions of each of options.MOODS to the controls (lp_core/motion/controls.py): the action units of Ekman and
# Friesen (1978) for each, reduced to amplitudes that can be held while speaking.
MOOD_CONTROLS = MappingProxyType(
    {
        "neutral": {},
        "happy": {"smile": 0.045, "wide": 0.02, "blink_left": 0.08, "blink_right": 0.08, "brow_left": 0.006,
                  "brow_right": 0.006},
        "sad": {"brow_inner": 0.04, "smile": -0.03, "blink_left": 0.12, "blink_right": 0.12, "pupil_y": 0.08},
        "angry": {"frown": 0.035, "brow_left": -0.02, "brow_right": -0.02, "blink_left": 0.06, "blink_right": 0.06,
                  "wide": -0.01},
        "surprised": {"brow_left": 0.045, "brow_right": 0.045, "blink_left": -0.14, "blink_right": -0.14},
        "disgusted": {"lip_raise": 0.02, "frown": 0.02, "smile": -0.012, "blink_left": 0.12, "blink_right": 0.12},
        "afraid": {"brow_inner": 0.035, "brow_left": 0.02, "brow_right": 0.02, "blink_left": -0.12,
                   "blink_right": -0.12, "wide": 0.02},
        "contemptuous": {"smile": 0.018, "mouth_x": 0.012, "brow_left": 0.012, "blink_left": 0.06,
                         "blink_right": 0.06},
    }
)  # fmt: skip


def with_expressions(
    motion: MotionSequence,
    speech: Speech,
    wanted: MotionOptions,
    seed: int,
    start: float = 0.0,
    heard_from: float = 0.0,
) -> MotionSequence:
    """The motion with small expressions driven by the speech, and with a mood.

    Args:
        motion: motion of the speech.
        speech: the analysed voice.
        wanted: their strengths; nothing is added to a lip-only motion.
        seed: the same seed gives the same expressions at the same moments.
        start: start time of the motion in seconds.
        heard_from: start time of the analysed voice in seconds.
    """
    strengths = wanted.subtle, wanted.mood_strength * (wanted.mood != "neutral")
    if wanted.lips_only or not any(strengths):
        return motion
    times = start + np.arange(len(motion)) / float(motion.fps)
    small = _gains(wanted) * subtle_controls(speech, times, seed, heard_from).stack()
    added = small + wanted.mood_strength * mood_controls(wanted.mood, len(motion)).stack()
    return _added(motion, Controls.unstack(added))


def subtle_controls(speech: Speech, times: Curve, seed: int, heard_from: float = 0.0) -> Controls:
    """Small expressions (T,) at `times` seconds: brow flashes, lid tension, one-sided smiles.

    Args:
        speech: the analysed voice.
        times: seconds.
        seed: of the expressions' times and sides.
        heard_from: start time of the analysed voice in seconds.
    """
    flashes, sides, knits, tensions, smiles, corners = (
        np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(6)
    )
    moments = speech.times + heard_from
    emphasis = np.interp(times, moments, _emphasis(speech))
    voiced = np.interp(times, moments, smoothed(speech.activity, SMILE_FADE))
    uneven = UNEVEN * np.tanh(wandering(times, UNEVEN_BAND, sides))
    flash = FLASH * emphasis * _some(times, FLASH_BAND, flashes)
    tension = TENSION * wandering(times, TENSION_BAND, tensions) * (0.4 + 0.6 * voiced)
    smile = SMILE * voiced * np.clip(wandering(times, SMILE_BAND, smiles) - SMILE_SHARE, 0, 1.2)
    moved = {
        "brow_left": flash * (1 + uneven),
        "brow_right": flash * (1 - uneven),
        "frown": KNIT * emphasis * _some(times, FLASH_BAND, knits),
        "blink_left": tension * (1 + uneven) - WIDENING * flash,
        "blink_right": tension * (1 - uneven) - WIDENING * flash,
        "smile": smile,
        "mouth_x": SIDEWAYS * smile * np.tanh(2 * wandering(times, UNEVEN_BAND, corners)),
    }
    return Controls.still(len(times), **{name: _tensor(curve) for name, curve in moved.items()})


def mood_controls(mood: str, frames: int) -> Controls:
    """Controls that a mood of options.MOODS adds, equal on every frame."""
    return Controls.still(
        frames, **{name: torch.full((frames,), amount) for name, amount in MOOD_CONTROLS[mood].items()}
    )


def _emphasis(speech: Speech) -> Curve:
    """Emphasis (T,) 0 … 1: loudness of a frame above that of its surroundings."""
    energy = speech.loudness * speech.activity
    syllable, around = (smoothed(energy, seconds) for seconds in EMPHASIS_SPAN)
    return np.clip((syllable - around) / EMPHASIS_FULL, 0, 1)


def _some(times: Curve, band: tuple[float, float], random: np.random.Generator) -> Curve:
    """Slowly changing weights (T,) 0 … 1 that choose some of the emphases."""
    return np.clip(0.3 + 0.7 * wandering(times, band, random), 0, 1)


def _gains(wanted: MotionOptions) -> Tensor:
    """Factors (controls,) on small expressions, with the strength of each part included."""
    lips, brows = wanted.lips * wanted.expression, wanted.brows * wanted.expression
    parts = {"smile": lips, "mouth_x": lips, "brow_left": brows, "brow_right": brows, "frown": brows}
    lids = {"blink_left": min(wanted.blinks, 1.0), "blink_right": min(wanted.blinks, 1.0)}
    gains = {name: torch.tensor([float(gain)]) for name, gain in (parts | lids).items()}
    return wanted.subtle * Controls.still(1, **gains).stack()


def _added(motion: MotionSequence, more: Controls) -> MotionSequence:
    """The motion with controls added; closed lids stay closed."""
    own = from_expression(motion.expression - motion.rest.expression)
    lids = {
        name: torch.minimum(getattr(more, name), (1 - getattr(own, name)).clamp(min=0))
        for name in ("blink_left", "blink_right")
    }
    return replace(motion, expression=motion.expression + to_expression(replace(more, **lids)))


def _tensor(curve: Curve) -> Tensor:
    return torch.from_numpy(np.asarray(curve, dtype=np.float32))
