"""Frame rates and frame counts, computed exactly."""

import math
from fractions import Fraction

MAXIMUM_FPS = 240


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
