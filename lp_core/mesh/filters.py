"""Smoothing of small images."""

import math

from torch import Tensor


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Images (B, C, H, W) blurred by a Gaussian of `sigma` pixels, with replicated borders."""
    from kornia.filters import gaussian_blur2d

    side = 2 * max(1, math.ceil(3 * sigma)) + 1
    return gaussian_blur2d(images, (side, side), (sigma, sigma), border_type="replicate")
