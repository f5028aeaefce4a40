"""Head motion of a talker: sway, nods on stressed syllables, new postures at pauses.

Amplitudes and rates follow mesh spec, section 4: default standard deviations of 1-2°, half the power below 0.5 Hz.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..speech.analysis import Speech
from ..speech.curves import ANALYSIS_RATE, Curve, around, minimum_jerk, smoothed, stepped, wandering

SWAY = np.array([1.6, 1.8, 1.5])  # degrees of pitch, yaw, roll, while speaking
SWAY_BANDS = ((0.18, 0.65), (0.2, 0.55), (0.18, 0.55))  # Hz
IDLE_SHARE = 0.45  # of the sway, in silence
NOD = (1.8, 3.9)  # degrees, down
NOD_WIDTH = (0.28, 0.42)  # seconds
NOD_SPACING = 0.45  # seconds, minimum
ACCENT_REACH = 2.5  # seconds; a nod is negligible beyond them
POSTURE = np.array([0.9, 1.4, 0.8])  # degrees, standard deviation of the postures' pitch, yaw, roll
POSTURE_SPACING = (1.6, 3.7)  # seconds: minimum, and without a pause
LIMIT = np.array([7.0, 9.0, 6.0])  # degrees, soft limit
DRIFT = np.array([0.009, 0.006])  # crop units, standard deviation of the head's position in x and y
DRIFT_BAND = (0.08, 0.4)  # Hz
BREATH, BREATH_RATE = 0.002, 0.27  # crop units, Hz
LATE_RISE = 0.3  # seconds in which a nod fades in after an accent that was not known ahead
LATEST = 8  # postures that a stream keeps
FADE_IN = 0.5  # seconds of the fade from the portrait's own pose


@dataclass(frozen=True, eq=False)
class Accents:
    """Stressed syllables.

    Attributes:
        times: (N,) seconds.
        weights: (N,) 0 … 1.3, about 1 for a typical one.
    """

    times: Curve
    weights: Curve


@dataclass(frozen=True, eq=False)
class HeadMotion:
    """Pose of the head at T times.

    Attributes:
        rotation: (T, 3) degrees pitch, yaw, roll (lp_core/motion/keypoints.py).
        translation: (T, 2) crop units.
    """

    rotation: Curve
    translation: Curve


def accents(speech: Speech) -> Accents:
    """The syllables that stand out in loudness and brightness, at least NOD_SPACING seconds apart."""
    from scipy.signal import find_peaks

    energy = smoothed(speech.loudness * speech.activity, 0.08)
    peaks, found = find_peaks(energy, prominence=0.12, distance=round(0.22 * ANALYSIS_RATE))
    if not len(peaks):
        return Accents(np.zeros(0), np.zeros(0))
    prominence = found["prominences"] * (0.6 + 0.4 * speech.brightness[peaks])
    usual = np.quantile(prominence, 0.6)
    chosen, last = [], -np.inf
    for index in np.flatnonzero(prominence >= usual):
        if peaks[index] - last >= NOD_SPACING * ANALYSIS_RATE:
            chosen.append(index)
            last = peaks[index]
    return Accents(peaks[chosen] / ANALYSIS_RATE, np.minimum(1.3, prominence[chosen] / (usual + 0.1)))


def pauses(speech: Speech) -> Curve:
    """Times (N,) in seconds at which the voice becomes silent."""
    silent = (speech.activity < 0.3).astype(int)
    return (np.flatnonzero(np.diff(silent) == 1) + 1) / ANALYSIS_RATE


def head_motion(speech: Speech, stressed: Accents, times: Curve, seed: np.random.SeedSequence) -> HeadMotion:
    """Head motion at `times` seconds; the same seed gives the same motion.

    It starts in the portrait's own pose. No axis exceeds LIMIT.
    """
    sway_seed, nod_seed, posture_seed, drift_seed = seed.spawn(4)
    attention = IDLE_SHARE + (1 - IDLE_SHARE) * smoothed(speech.activity, 0.4)
    activity = np.interp(times, speech.times, attention)
    degrees = sway(times, np.random.default_rng(sway_seed)) * activity[:, None]
    nod_random = np.random.default_rng(nod_seed)
    nods = [
        drawn_nod(accent, weight, nod_random)
        for accent, weight in zip(stressed.times, stressed.weights, strict=True)
    ]
    degrees += nodding(nods, times)
    postures = Postures(np.random.default_rng(posture_seed))
    postures.extend(float(times[-1]), pauses(speech))
    degrees += postures.at(times)
    return begun(degrees, drift(times, np.random.default_rng(drift_seed)), times)


def begun(degrees: Curve, place: Curve, times: Curve) -> HeadMotion:
    """Head motion of rotations (T, 3) and positions (T, 2), faded in from the portrait's pose, limited to LIMIT."""
    fade = minimum_jerk(times / FADE_IN)[:, None]
    return HeadMotion(rotation=LIMIT * np.tanh(degrees / LIMIT) * fade, translation=place * fade)


def sway(times: Curve, random: np.random.Generator) -> Curve:
    """Slow sway (T, 3) of pitch, yaw and roll in degrees, as while speaking."""
    return np.stack([wandering(times, band, random) for band in SWAY_BANDS], -1) * SWAY


@dataclass(frozen=True, eq=False)
class Nod:
    """A nod on an accent: down and slightly up again, with a small yaw and roll.

    Attributes:
        accent: seconds.
        size: degrees, down.
        width: seconds.
        turn: (2,) degrees of yaw and roll.
        known: time in seconds from which the accent is known; the nod fades in from there.
    """

    accent: float
    size: float
    width: float
    turn: Curve
    known: float

    def at(self, times: Curve) -> Curve:
        """Pitch, yaw, roll (T, 3) in degrees at `times` seconds."""
        after = times - self.accent + 0.06
        down = self.size * (_bell(after, self.width) - 0.35 * _bell(after - 0.42, 0.3))
        return (
            np.column_stack([down, _bell(after, 0.5)[:, None] * self.turn]) * fading_in(times, self.known)[:, None]
        )


def drawn_nod(accent: float, weight: float, random: np.random.Generator, known: float = -np.inf) -> Nod:
    """The drawn nod on an accent with a weight."""
    size, width = random.uniform(*NOD) * weight, random.uniform(*NOD_WIDTH)
    return Nod(accent, size, width, random.normal(0, (1.3, 0.8)), known)


def fading_in(times: Curve, known: float) -> Curve:
    """Fade-in weights (T,) 0 … 1 of motion on an accent known from `known` seconds: a stream detects it late."""
    return minimum_jerk((times - known) / LATE_RISE)


def nodding(nods: Sequence[Nod], times: Curve) -> Curve:
    """Sum of all nods, degrees (T, 3)."""
    degrees = np.zeros((len(times), 3))
    for nod in nods:
        near = around(times, nod.accent, ACCENT_REACH)
        degrees[near] += nod.at(times[near])
    return degrees


class Postures:
    """New postures at pauses, and sometimes without one; drawn as far as the voice is known."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._starts, self._places, self._durations = [0.0], [np.zeros(3)], [1.0]
        self._planned = self._next()

    def extend(self, end: float, breaks: Curve, since: float = 0.0) -> None:
        """Draw postures until `end` seconds around pauses (N,); no new one begins before `since` seconds."""
        while True:
            earliest = self._starts[-1] + POSTURE_SPACING[0]
            due = breaks[(breaks > earliest) & (breaks < self._planned)]
            start = float(due[0]) if len(due) else self._planned
            if start >= end:
                return
            self._starts.append(max(start, since))
            self._places.append(self._random.normal(0, POSTURE))
            self._durations.append(self._random.uniform(0.6, 1.1))
            self._planned = self._next()

    def at(self, times: Curve) -> Curve:
        """Pitch, yaw, roll (T, 3) in degrees at times up to the last drawn posture."""
        return stepped(times, np.array(self._starts), np.array(self._places), np.array(self._durations))

    def forget(self) -> None:
        """Keep only the latest postures."""
        for kept in (self._starts, self._places, self._durations):
            del kept[:-LATEST]

    def _next(self) -> float:
        return self._starts[-1] + POSTURE_SPACING[1] + self._random.uniform(-0.8, 0.8)


def drift(times: Curve, random: np.random.Generator) -> Curve:
    """Slow drift of position, and breathing: crop units (T, 2)."""
    place = np.stack([wandering(times, DRIFT_BAND, random) for _ in DRIFT], -1) * DRIFT
    place[:, 1] += BREATH * np.sin(2 * np.pi * BREATH_RATE * times)
    return place


def _bell(offset: Curve, width: float) -> Curve:
    return np.exp(-((offset / width) ** 2))
