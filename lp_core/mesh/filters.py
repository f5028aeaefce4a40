"""Smoothing of small images."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Images (B, C, H, W) blurred by a Gaussian of `sigma` pixels, with replicated borders."""
    radius = max(1, math.ceil(3 * sigma))
    place = torch.arange(-radius, radius + 1, device=images.device).to(images)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    padded = F.pad(images, (radius, radius, radius, radius), mode="replicate")
    return F.conv2d(F.conv2d(padded, down, groups=channels), across, groups=channels)
