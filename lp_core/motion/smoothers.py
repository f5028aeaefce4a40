"""Smoothers of curves over time: values (T, ...) in, values of the same shape out, aligned in time up to both ends.

`exponential` alone lags, and keeps its first value.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Smoother = Callable[[Tensor], Tensor]

PROCESS_VARIANCE = 1e-5  # of one step of the random walk behind `kalman`, LivePortraitTalker's
OBSERVATION_VARIANCE = 3e-7  # likewise; so far below the process variance that it hardly smooths
SAVITZKY_GOLAY_WINDOW, SAVITZKY_GOLAY_ORDER = 13, 2  # frames and degree, SadTalker's


def gaussian(values: Tensor, deviation: float) -> Tensor:
    """Values convolved with a Gaussian of `deviation` frames, cut at four deviations; the ends are mirrored."""
    from scipy.ndimage import gaussian_filter1d

    smoothed = gaussian_filter1d(values.double().cpu().numpy(), deviation, axis=0, mode="reflect", truncate=4.0)
    return torch.from_numpy(smoothed).to(values)


def savitzky_golay(
    values: Tensor, window: int = SAVITZKY_GOLAY_WINDOW, order: int = SAVITZKY_GOLAY_ORDER
) -> Tensor:
    """Values fitted by a polynomial of degree `order` in each `window` (odd) of frames.

    Fewer frames than the window are fitted over the largest odd window they fill; too few for the degree (1 or 2
    frames for degree 2) are unchanged.
    """
    from scipy.signal import savgol_filter

    width = min(window, (len(values) - 1) // 2 * 2 + 1)
    if width <= order:
        return values
    return torch.from_numpy(savgol_filter(values.double().cpu().numpy(), width, order, axis=0)).to(values)


def exponential(values: Tensor, share: float) -> Tensor:
    """Exponential smoothing: `share` of each value plus 1 - `share` of the previous output.

    JoyVASA filters the head with a share of 0.01, at 25 frames a second a time constant of four seconds.
    """
    from scipy.signal import lfilter

    exact = values.double().cpu().numpy()
    followed, _ = lfilter([share], [1, share - 1], exact, axis=0, zi=(1 - share) * exact[:1])
    return torch.from_numpy(followed).to(values)


def kalman(values: Tensor, process: float = PROCESS_VARIANCE, observation: float = OBSERVATION_VARIANCE) -> Tensor:
    """Rauch-Tung-Striebel smoother of each channel, modelled as a random walk observed with noise.

    The walk starts at the first value with variance 1. Rauch, Tung and Striebel 1965, "Maximum likelihood
    estimates of linear dynamic systems", for the scalar model x' = x + N(0, process), y = x + N(0, observation).
    """
    seen = values.double().cpu().numpy()
    means, variances = _filtered(seen, process, observation)
    for step in range(len(seen) - 2, -1, -1):
        # The walk predicts no change, so the prediction for step + 1 is the mean at step.
        gain = variances[step] / (variances[step] + process)
        means[step] += gain * (means[step + 1] - means[step])
    return torch.from_numpy(means).to(values)


def _filtered(seen: np.ndarray, process: float, observation: float) -> tuple[np.ndarray, list[float]]:
    """The forward pass: mean and variance after each value; the variance does not depend on the values."""
    means, variances = np.empty_like(seen), []
    mean, predicted = seen[0], 1.0
    for step, value in enumerate(seen):
        gain = predicted / (predicted + observation)
        mean = mean + gain * (value - mean)
        means[step] = mean
        variances.append((1 - gain) * predicted)
        predicted = variances[-1] + process
    return means, variances
