"""Interpolation of values through keyframes, with an easing from each to the next."""

from collections.abc import Sequence

import numpy as np

from .speech.curves import Curve, minimum_jerk

EASINGS = ("linear", "smooth", "ease in", "ease out", "hold")


def through_keys(times: Sequence[float], values: Curve, easings: Sequence[str], now: Curve) -> Curve:
    """Values (T, C) at `now` (T,), interpolated through the keys; the first is held before, the last after them.

    Args:
        times: (N,) seconds of the keys, increasing.
        values: (N, C) values at the keys.
        easings: (N,) any of EASINGS, each from its key to the next one.
        now: (T,) seconds.

    Raises:
        ValueError: there are no keys, or the times do not increase.
    """
    moments = np.asarray(times, dtype=float)
    if not len(moments) or (np.diff(moments) <= 0).any():
        raise ValueError(f"Keyframes need at least one, each at a time of its own; got times {moments.tolist()}.")
    before = np.searchsorted(moments, now, side="right").clip(1, len(moments)) - 1
    after = np.minimum(before + 1, len(moments) - 1)
    span = np.maximum(moments[after] - moments[before], 1e-9)
    progress = np.clip((now - moments[before]) / span, 0, 1)
    chosen = [easings[int(key)] for key in before]
    eased = np.array([_eased(easing, x) for easing, x in zip(chosen, progress, strict=True)])[:, None]
    return values[before] + eased * (values[after] - values[before])


def _eased(easing: str, progress: float) -> float:
    """Eased progress, 0 … 1; "hold" stays at 0 until the next key."""
    return {
        "linear": progress,
        "smooth": float(minimum_jerk(np.array(progress))),
        "ease in": progress**2,
        "ease out": 1 - (1 - progress) ** 2,
        "hold": float(progress >= 1),
    }[easing]
