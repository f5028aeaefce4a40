"""Head motion of somebody who speaks: sway, nods on stressed syllables, new postures at pauses.

Sizes and rates follow mesh spec, section 4: default standard deviations of 1-2°, half the power below 0.5 Hz.
"""

from dataclasses import dataclass

import numpy as np

from .audio import Speech
from .curves import ANALYSIS_RATE, Curve, around, minimum_jerk, smoothed, stepped, wandering

SWAY = np.array([1.6, 1.8, 1.5])  # degrees of pitch, yaw, roll, while speaking
SWAY_BANDS = ((0.18, 0.65), (0.2, 0.55), (0.18, 0.55))  # Hz
IDLE_SHARE = 0.45  # of the sway in silence
NOD = (1.8, 3.9)  # degrees, down
NOD_WIDTH = (0.28, 0.42)  # seconds
NOD_SPACING = 0.45  # seconds at least
ACCENT_REACH = 2.5  # seconds; beyond them nothing of a nod is left
POSTURE = np.array([0.9, 1.4, 0.8])  # degrees, standard deviation of the postures' pitch, yaw, roll
POSTURE_SPACING = (1.6, 3.7)  # seconds: least, and without a pause
LIMIT = np.array([7.0, 9.0, 6.0])  # degrees, softly
DRIFT = np.array([0.009, 0.006])  # crop units, standard deviation of the head's place in x and y
DRIFT_BAND = (0.08, 0.4)  # Hz
BREATH, BREATH_RATE = 0.002, 0.27  # crop units, Hz
FADE_IN = 0.5  # seconds in which the head leaves the portrait's own pose


@dataclass(frozen=True, eq=False)
class Accents:
    """Stressed syllables.

    Attributes:
        times: (N,) seconds.
        weights: (N,) 0 … 1.3, about 1 for a usual one.
    """

    times: Curve
    weights: Curve


@dataclass(frozen=True, eq=False)
class HeadMotion:
    """Where the head is at T moments.

    Attributes:
        rotation: (T, 3) degrees pitch, yaw, roll (lp_core/keypoints.py).
        translation: (T, 2) crop units.
    """

    rotation: Curve
    translation: Curve


def accents(speech: Speech) -> Accents:
    """The syllables that stand out in loudness and brightness, at least NOD_SPACING apart."""
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
    """(N,) seconds at which the voice falls silent."""
    silent = (speech.activity < 0.3).astype(int)
    return (np.flatnonzero(np.diff(silent) == 1) + 1) / ANALYSIS_RATE


def head_motion(speech: Speech, stressed: Accents, times: Curve, seed: np.random.SeedSequence) -> HeadMotion:
    """The head's motion at `times` seconds; the same seed gives the same motion.

    It starts in the portrait's own pose. No axis passes LIMIT.
    """
    sway_seed, nod_seed, posture_seed, drift_seed = seed.spawn(4)
    attention = IDLE_SHARE + (1 - IDLE_SHARE) * smoothed(speech.activity, 0.4)
    activity = np.interp(times, speech.times, attention)
    degrees = _sway(times, np.random.default_rng(sway_seed)) * activity[:, None]
    degrees += _nods(stressed, times, np.random.default_rng(nod_seed))
    degrees += _postures(pauses(speech), times, np.random.default_rng(posture_seed))
    fade = minimum_jerk(times / FADE_IN)[:, None]
    drift = _drift(times, np.random.default_rng(drift_seed))
    return HeadMotion(rotation=LIMIT * np.tanh(degrees / LIMIT) * fade, translation=drift * fade)


def _sway(times: Curve, random: np.random.Generator) -> Curve:
    return np.stack([wandering(times, band, random) for band in SWAY_BANDS], -1) * SWAY


def _nods(stressed: Accents, times: Curve, random: np.random.Generator) -> Curve:
    """Down and slightly up again on every accent, with a small turn beside it: degrees (T, 3)."""
    degrees = np.zeros((len(times), 3))
    for accent, weight in zip(stressed.times, stressed.weights, strict=True):
        size, width = random.uniform(*NOD) * weight, random.uniform(*NOD_WIDTH)
        turn = random.normal(0, (1.3, 0.8))
        near = around(times, accent, ACCENT_REACH)
        after = times[near] - accent + 0.06
        degrees[near, 0] += size * (_bell(after, width) - 0.35 * _bell(after - 0.42, 0.3))
        degrees[near, 1:] += turn * _bell(after, 0.5)[:, None]
    return degrees


def _postures(breaks: Curve, times: Curve, random: np.random.Generator) -> Curve:
    """A new posture at pauses, and now and then without one: degrees (T, 3)."""
    least, most = POSTURE_SPACING
    starts, postures, durations = [0.0], [np.zeros(3)], [1.0]
    while starts[-1] < times[-1]:
        planned = starts[-1] + most + random.uniform(-0.8, 0.8)
        due = breaks[(breaks > starts[-1] + least) & (breaks < planned)]
        starts.append(float(due[0]) if len(due) else planned)
        postures.append(random.normal(0, POSTURE))
        durations.append(random.uniform(0.6, 1.1))
    return stepped(times, np.array(starts), np.array(postures), np.array(durations))


def _drift(times: Curve, random: np.random.Generator) -> Curve:
    """Slow change of place, and breath: crop units (T, 2)."""
    place = np.stack([wandering(times, DRIFT_BAND, random) for _ in DRIFT], -1) * DRIFT
    place[:, 1] += BREATH * np.sin(2 * np.pi * BREATH_RATE * times)
    return place


def _bell(offset: Curve, width: float) -> Curve:
    return np.exp(-((offset / width) ** 2))
