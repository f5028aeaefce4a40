"""Curves over time for the built-in generator, sampled at ANALYSIS_RATE or at any times."""

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.floating]

ANALYSIS_RATE = 100  # frames of speech analysis a second


def minimum_jerk(progress: Curve) -> Curve:
    """A smooth step from 0 (progress ≤ 0) to 1 (progress ≥ 1), the profile of reaching movements.

    Source: Flash and Hogan 1985, "The coordination of arm movements", equation 4. Check: minimum_jerk(0.5) == 0.5.
    """
    x = np.clip(progress, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def smoothed(values: Curve, seconds: float) -> Curve:
    """Values (T, ...) at ANALYSIS_RATE convolved with a Gaussian of standard deviation `seconds`; edges repeat."""
    deviation = seconds * ANALYSIS_RATE
    reach = int(np.ceil(4 * deviation))
    if reach < 1:
        return values
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    kernel /= kernel.sum()
    columns = np.pad(values.reshape(len(values), -1), ((reach, reach), (0, 0)), mode="edge")
    filtered = [np.convolve(column, kernel, mode="valid") for column in columns.T]
    return np.stack(filtered, -1).reshape(values.shape)


def widened(values: Curve, seconds: float) -> Curve:
    """Maximum of values (T,) at ANALYSIS_RATE within ± `seconds`: peaks become plateaus."""
    reach = round(seconds * ANALYSIS_RATE)
    padded = np.pad(values, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(-1)


def narrowed(values: Curve, seconds: float) -> Curve:
    """Minimum of values (T,) at ANALYSIS_RATE within ± `seconds`."""
    return -widened(-values, seconds)


def around(times: Curve, moment: float, seconds: float) -> slice:
    """The slice of increasing `times` within ± `seconds` of a moment."""
    return slice(*np.searchsorted(times, (moment - seconds, moment + seconds)))


def stepped(times: Curve, starts: Curve, places: Curve, durations: Curve) -> Curve:
    """Values (T, C) at `times` that hold one of `places` (N, C) and move to the next at its start (N,) in seconds.

    A step takes its duration (N,) in seconds and must end before the next one starts.
    """
    index = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
    before, now = places[np.maximum(index - 1, 0)], places[index]
    progress = minimum_jerk((times - starts[index]) / durations[index])
    return before + (now - before) * progress[:, None]


def wandering(times: Curve, band: tuple[float, float], random: np.random.Generator) -> Curve:
    """Smooth noise (T,) of standard deviation 1 at `times` seconds, with its power within `band`, in Hz.

    A sum of sines with random phases, one in each equal step of log frequency: it needs no filter, can be sampled
    at any time, and does not depend on the length of the sound.
    """
    count = 12
    steps = (np.arange(count) + random.uniform(size=count)) / count
    frequencies = band[0] * (band[1] / band[0]) ** steps
    phases = random.uniform(0, 2 * np.pi, count)
    waves = np.sin(2 * np.pi * times[..., None] * frequencies + phases)
    return waves.sum(-1) * np.sqrt(2 / count)
