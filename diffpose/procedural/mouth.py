"""Mouth movement from a voice: shapes from the viseme net, opening also by rules of loudness and brightness.

The mixture is better than either alone on real talkers (mesh spec, section 4): the net detects rounding and
closures, loudness and brightness correlate with how far a person opens the mouth.
"""

from dataclasses import astuple, dataclass

import numpy as np

from ..speech.analysis import Speech
from ..speech.curves import ANALYSIS_RATE, Curve, smoothed, widened
from .visemes import Visemes

NET_SHARE = 0.55  # share of the net in the opening; the rules have the rest
LIGHTEST_TOUCH = 0.018  # seconds, standard deviation of the last smoothing; real lips are not seen to move faster
CLOSURE_HOLD = 0.03  # seconds a closure is held on both sides, so that it is visible at 25 frames a second and more
COMFORTABLE, WIDEST = 0.15, 0.22  # opening, eye distances: begin and end of a soft limit
OPEN_REST_CLOSED = 0.62  # share of an opening at rest that is closed while speaking


@dataclass(frozen=True, eq=False)
class Mouth:
    """Mouth movement, each (T,), at ANALYSIS_RATE or at frame times; units as in `Visemes`.

    Attributes:
        opening: eye distances.
        width: eye distances.
        pout: eye distances.
        closure: 0 … 1.
        tongue: 0 … 1.
        tuck: 0 … 1.
        activity: 0 in silence … 1 while speaking.
    """

    opening: Curve
    width: Curve
    pout: Curve
    closure: Curve
    tongue: Curve
    tuck: Curve
    activity: Curve

    def at(self, times: Curve) -> "Mouth":
        """The movement at other times in seconds; values beyond the ends are held."""
        moments = np.arange(len(self.opening)) / ANALYSIS_RATE
        return Mouth(*(np.interp(times, moments, curve) for curve in astuple(self)))

    @property
    def press(self) -> Curve:
        """(T,) 0 … 1, share of an opening at rest that is closed: partly while speaking, fully in a closure."""
        return 1 - (1 - OPEN_REST_CLOSED * self.activity) * (1 - self.closure)


def mouth_movement(speech: Speech, shapes: Visemes, tempo: float = 1.0) -> Mouth:
    """Mouth movement of a voice; the lips are closed in silence and at M, B and P.

    Args:
        speech: the analysed voice.
        shapes: the viseme net's output for it.
        tempo: speed of the lips, 1 is typical; a lower one blurs neighbouring sounds.
    """
    speaking, touch = speech.activity, LIGHTEST_TOUCH * tempo**-1.5
    tuck = speaking * smoothed(np.clip((shapes.tuck - 0.2) / 0.5, 0, 1), touch)
    closure = widened(np.clip((shapes.closure - 0.35) / 0.35, 0, 1), CLOSURE_HOLD)
    closure = speaking * np.minimum(1, 1.15 * smoothed(closure, LIGHTEST_TOUCH))
    opening = NET_SHARE * _net_opening(speech, shapes) + (1 - NET_SHARE) * _rule_opening(speech) * (1 - 0.8 * tuck)
    return Mouth(
        opening=_limited(smoothed(opening, touch)) * (1 - closure),
        width=1.05 * speaking * smoothed(shapes.width * (0.5 + 0.5 * speech.loudness), touch),
        pout=speaking * smoothed(np.maximum(shapes.pout, 0), touch),
        closure=closure,
        tongue=speaking * smoothed(np.clip(shapes.tongue, 0, 1), touch),
        tuck=tuck,
        activity=speaking,
    )


def _net_opening(speech: Speech, shapes: Visemes) -> Curve:
    """The net's opening (T,), scaled by loudness: the synthetic voices of its training are of even loudness."""
    return 1.24 * np.maximum(shapes.opening, 0) * (0.45 + 0.75 * speech.loudness) * speech.activity


def _rule_opening(speech: Speech) -> Curve:
    """Opening (T,) in eye distances: larger for loud and bright sound, smaller for hiss and short dips in level."""
    force = speech.loudness**1.1 * (0.3 + 0.7 * speech.brightness)
    dip = widened(speech.level, 0.1) - speech.level
    stop = 0.8 * np.clip((dip - 9) / 6, 0, 1) * np.maximum(0, 1 - 1.2 * speech.frication)
    hiss = 1 - 0.55 * speech.frication * (1 - 0.3 * speech.loudness)
    return smoothed(0.95 * speech.activity * (0.025 + 0.19 * force) * hiss * (1 - stop), 0.034)


def _limited(opening: Curve) -> Curve:
    spare = WIDEST - COMFORTABLE
    beyond = np.maximum(opening - COMFORTABLE, 0)
    return np.minimum(opening, COMFORTABLE) + spare * np.tanh(beyond / spare)
