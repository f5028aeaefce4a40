"""Expressions beside the speech: small seeded ones that come and go, and a mood that is held.

What moves a face beside the words is small and uneven: brows flash on emphasis, one a little higher than the
other; lids narrow and widen; the mouth draws up to one side (Ekman 1979, "About brows", on flashes as emphasis;
Ekman, Hager and Friesen 1981 on asymmetry). Sizes and rates are our choice, below those of the speech itself.
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

EMPHASIS_SPAN = (0.06, 0.5)  # seconds, standard deviations: a syllable, and what it stands out from
EMPHASIS_FULL = 0.22  # of loudness above its surroundings
FLASH = 0.010  # eye distances that a brow rises at most
FLASH_BAND, UNEVEN_BAND = (0.15, 0.5), (0.05, 0.2)  # Hz, of which emphases flash and which side leads
UNEVEN = 0.35  # of a movement, that one side has more
KNIT = 0.008  # eye distances that the brows draw together at most
WIDENING = 6.0  # of lid per eye distance that the brow rises
TENSION, TENSION_BAND = 0.09, (0.05, 0.3)  # of lid, Hz
SMILE, SMILE_BAND = 0.02, (0.05, 0.18)  # eye distances, Hz
SMILE_SHARE = 0.3  # how far above its mean the wandering must be for a smile
SMILE_FADE = 0.12  # seconds, standard deviation, in which a smile leaves with the voice
SIDEWAYS = 0.3  # of a smile, that the mouth goes to its stronger side

# What each of options.MOODS adds to the controls (lp_core/motion/controls.py): the action units that Ekman and
# Friesen (1978) name for each, softened to what somebody can hold while speaking.
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
    """The motion with small expressions that the speech calls for, and with a mood.

    Args:
        motion: what is added to.
        speech: the analysed voice.
        wanted: how much of them; nothing is added where only lips are wanted.
        seed: the same seed gives the same expressions at the same moments.
        start: seconds at which the motion begins.
        heard_from: seconds at which the analysed voice begins.
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
        seed: of what comes when.
        heard_from: seconds at which the analysed voice begins.
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
    """What a mood of options.MOODS adds, the same on every frame."""
    return Controls.still(
        frames, **{name: torch.full((frames,), amount) for name, amount in MOOD_CONTROLS[mood].items()}
    )


def _emphasis(speech: Speech) -> Curve:
    """0 … 1 (T,) how much a moment stands out in loudness from those around it."""
    energy = speech.loudness * speech.activity
    syllable, around = (smoothed(energy, seconds) for seconds in EMPHASIS_SPAN)
    return np.clip((syllable - around) / EMPHASIS_FULL, 0, 1)


def _some(times: Curve, band: tuple[float, float], random: np.random.Generator) -> Curve:
    """0 … 1 (T,), slowly changing: which of the emphases show."""
    return np.clip(0.3 + 0.7 * wandering(times, band, random), 0, 1)


def _gains(wanted: MotionOptions) -> Tensor:
    """Factors (controls,) on small expressions, each part's own strength among them."""
    lips, brows = wanted.lips * wanted.expression, wanted.brows * wanted.expression
    parts = {"smile": lips, "mouth_x": lips, "brow_left": brows, "brow_right": brows, "frown": brows}
    lids = {"blink_left": min(wanted.blinks, 1.0), "blink_right": min(wanted.blinks, 1.0)}
    gains = {name: torch.tensor([float(gain)]) for name, gain in (parts | lids).items()}
    return wanted.subtle * Controls.still(1, **gains).stack()


def _added(motion: MotionSequence, more: Controls) -> MotionSequence:
    """The motion with more of each control; lids that are shut already stay so."""
    own = from_expression(motion.expression - motion.rest.expression)
    lids = {
        name: torch.minimum(getattr(more, name), (1 - getattr(own, name)).clamp(min=0))
        for name in ("blink_left", "blink_right")
    }
    return replace(motion, expression=motion.expression + to_expression(replace(more, **lids)))


def _tensor(curve: Curve) -> Tensor:
    return torch.from_numpy(np.asarray(curve, dtype=np.float32))
