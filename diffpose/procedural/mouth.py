"""Lips from a voice: the viseme net decides on shapes, plain rules of loudness and brightness on how far.

The mixture beats either alone on real talkers (mesh spec, section 4): the net knows rounding and closures, loudness
and brightness follow how much a person really opens the mouth.
"""

from dataclasses import astuple, dataclass

import numpy as np

from ..speech.analysis import Speech
from ..speech.curves import ANALYSIS_RATE, Curve, smoothed, widened
from .visemes import Visemes

NET_SHARE = 0.55  # of the opening; the rules have the rest
LIGHTEST_TOUCH = (
    0.018  # seconds, standard deviation of the last smoothing; faster lips than this gives are not seen
)
CLOSURE_HOLD = 0.03  # seconds a closure is held on both sides, so that every frame rate from 25 up shows it
COMFORTABLE, WIDEST = 0.15, 0.22  # opening, eye distances: softly limited from the first, never beyond the second
OPEN_REST_CLOSED = 0.62  # share of an opening at rest that a speaking mouth gives up


@dataclass(frozen=True, eq=False)
class Mouth:
    """The lips' movement, each (T,), at ANALYSIS_RATE or at frame times; units as in `Visemes`.

    Attributes:
        opening: eye distances.
        width: eye distances.
        pout: eye distances.
        closure: 0 … 1.
        tongue: 0 … 1.
        tuck: 0 … 1.
        activity: 0 … 1 while somebody speaks.
    """

    opening: Curve
    width: Curve
    pout: Curve
    closure: Curve
    tongue: Curve
    tuck: Curve
    activity: Curve

    def at(self, times: Curve) -> "Mouth":
        """The movement at other times, in seconds; ends are held."""
        moments = np.arange(len(self.opening)) / ANALYSIS_RATE
        return Mouth(*(np.interp(times, moments, curve) for curve in astuple(self)))

    @property
    def press(self) -> Curve:
        """(T,) 0 … 1 of a mouth that is open at rest which is closed: partly while speaking, fully in a closure."""
        return 1 - (1 - OPEN_REST_CLOSED * self.activity) * (1 - self.closure)


def mouth_movement(speech: Speech, shapes: Visemes, tempo: float = 1.0) -> Mouth:
    """The lips' movement for a voice; lips closed in silence and at M, B and P.

    Args:
        speech: the analysed voice.
        shapes: what the viseme net makes of it.
        tempo: how nimble the lips are, 1 is typical; slower ones blur one sound into the next.
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
    """The net's opening, larger where the voice is louder: synthetic voices, which it learned from, are even."""
    return 1.24 * np.maximum(shapes.opening, 0) * (0.45 + 0.75 * speech.loudness) * speech.activity


def _rule_opening(speech: Speech) -> Curve:
    """Louder and brighter is wider; hiss and short dips of the level are narrow. Eye distances (T,)."""
    force = speech.loudness**1.1 * (0.3 + 0.7 * speech.brightness)
    dip = widened(speech.level, 0.1) - speech.level
    stop = 0.8 * np.clip((dip - 9) / 6, 0, 1) * np.maximum(0, 1 - 1.2 * speech.frication)
    hiss = 1 - 0.55 * speech.frication * (1 - 0.3 * speech.loudness)
    return smoothed(0.95 * speech.activity * (0.025 + 0.19 * force) * hiss * (1 - stop), 0.034)


def _limited(opening: Curve) -> Curve:
    spare = WIDEST - COMFORTABLE
    beyond = np.maximum(opening - COMFORTABLE, 0)
    return np.minimum(opening, COMFORTABLE) + spare * np.tanh(beyond / spare)
