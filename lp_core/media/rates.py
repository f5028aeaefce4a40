"""Frame rates and frame counts, computed exactly."""

import math
from fractions import Fraction

import numpy as np

MAXIMUM_FPS = 240
USUAL_FPS = Fraction(25)  # of a file that tells no rate
BLUR = 0.0011  # seconds that a frame's time may be off its place: containers that count milliseconds round
LONGEST_MULTIPLE = 8  # periods that a step between frames may have to tell of the base rate; longer ones are pauses
SHARE_ON_BASE = 0.9  # of those steps that must be multiples of the period
SHARE_OF_SINGLE_STEPS = 0.4  # of all steps that must be one period
PAUSE = 5  # median steps beyond which a step is a pause
LARGEST_DELAY = 0.6  # of a period, between the time of a frame and the place where it is shown
_NTSC = (12, 15, 24, 30, 48, 60, 120, 240)  # whole rates that are slowed down by 1000 / 1001
_BROADCAST = (Fraction(25, 2), *(Fraction(1000 * rate, 1001) for rate in _NTSC))


def frame_rate(fps: float | str | Fraction) -> Fraction:
    """An exact frame rate: the NTSC rates for 23.976, 29.97, 59.94 …, else the plain fraction.

    Check: frame_rate(29.97) == Fraction(30000, 1001). Accepts numbers, fractions and text such as "30000/1001".

    Raises:
        ValueError: not a number, or outside (0, 240] frames a second.
    """
    try:
        rate = Fraction(fps)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"The frame rate {fps!r} is not a number; give one such as 25 or 30000/1001.") from error
    if not 0 < rate <= MAXIMUM_FPS:
        raise ValueError(f"The frame rate {fps} is outside 0…{MAXIMUM_FPS} frames a second; 25 is usual.")
    ntsc = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    if rate.denominator > 1 and ntsc and abs(ntsc - rate) < Fraction(1, 200):
        return ntsc
    return rate.limit_denominator(100_000)


def frame_count(samples: int, sample_rate: int, fps: Fraction) -> int:
    """Frames that cover a sound of `samples` samples: ceil(duration · fps), computed exactly."""
    return math.ceil(Fraction(samples, sample_rate) * fps)


def rate_of_times(seconds: np.ndarray, resolution: float, stored: Fraction | None) -> Fraction:
    """The frame rate that frames' times show, exactly: their base rate, or where they show none the mean.

    A base rate is shown where nine steps in ten are whole multiples of one period; pauses change nothing then. The
    mean is that of the steps without pauses. Rates above MAXIMUM_FPS are brought down to it.

    Args:
        seconds: (frames,) ascending.
        resolution: seconds, of the stamps.
        stored: what the file's header says, which decides between rates that the times cannot tell apart.
    """
    header = stored if stored and 0 < stored <= MAXIMUM_FPS else None
    steps = np.diff(seconds)
    steps = steps[steps > 1e-9]
    if not len(steps):
        return header or USUAL_FPS
    period, doubt = _base_period(steps, resolution) or _mean_period(steps)
    return min(_exact_rate(period, doubt, header), Fraction(MAXIMUM_FPS))


def _base_period(steps: np.ndarray, resolution: float) -> tuple[float, float] | None:
    """Seconds of the period of which steps are multiples, and its relative uncertainty; None if there is none."""
    blur = BLUR + resolution
    period = float(np.quantile(steps, 0.25))
    for _ in range(2):
        short, multiples = _multiples(steps, period)
        period = float(short.sum() / multiples.sum())
    short, multiples = _multiples(steps, period)
    residuals = np.abs(short - multiples * period)
    shown = np.mean(residuals <= blur) >= SHARE_ON_BASE and np.mean(multiples == 1) >= SHARE_OF_SINGLE_STEPS
    if not shown or period < 3 * blur:
        return None
    return period, 2 * max(float(residuals.max()), 1e-9) / float(short.sum())


def _multiples(steps: np.ndarray, period: float) -> tuple[np.ndarray, np.ndarray]:
    """The steps that are no pauses, and how many periods each has."""
    multiples = np.maximum(np.round(steps / period), 1)
    short = multiples <= LONGEST_MULTIPLE
    return steps[short], multiples[short]


def _mean_period(steps: np.ndarray) -> tuple[float, float]:
    """Seconds of the mean step that is no pause, and its relative uncertainty."""
    moving = steps[steps <= PAUSE * np.median(steps)]
    return float(moving.mean()), float(np.ptp(moving) / moving.sum())


def _exact_rate(period: float, doubt: float, header: Fraction | None) -> Fraction:
    """The rate of a period: the header's or a usual one within the relative doubt, else a plain fraction."""
    certain = max(doubt, 1e-5)

    def fits(rate: Fraction) -> bool:
        return abs(float(rate) * period - 1) <= certain

    is_plain = header is not None and (header.denominator == 1 or header in _BROADCAST)
    if header is not None and is_plain and fits(header):
        return header
    whole = Fraction(max(round(1 / period), 1))
    usual = [rate for rate in (whole, *_BROADCAST) if fits(rate)]
    if usual:
        return min(usual, key=lambda rate: abs(float(rate) * period - 1))
    return header if header is not None and fits(header) else Fraction(1 / period).limit_denominator(1000)


def frames_at(seconds: np.ndarray, fps: Fraction, last_seconds: float) -> np.ndarray:
    """Which frame is shown in each place of an even rate: its indices (frames,), ascending.

    Steps between frames are rounded, not their times, so that a blurred clock halfway between two places does not
    leave frames out; what adds up is set right.

    Args:
        seconds: (stored frames,) ascending, of which the first counts as 0.
        fps: the even rate.
        last_seconds: how long the last frame is shown, 0 for one period.
    """
    places = (seconds - seconds[0]) * float(fps)
    end = places[-1] + (last_seconds * float(fps) or 1)
    shown, kept = [0], 0
    for index in range(1, len(places)):
        place = len(shown) - 1 + round(places[index] - places[kept])
        if abs(place - places[index]) > LARGEST_DELAY:
            place = round(places[index])
        if place >= len(shown):
            shown += [kept] * (place - len(shown)) + [index]
            kept = index
    return np.array(shown + [kept] * (round(end) - len(shown)), np.int64)
