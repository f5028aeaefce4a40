"""OpenCV and kornia beside torch and what this pack wrote before: CPU time on one thread, medians, and ratios.

    python tests/benchmarks/opencv_kornia.py [--save]

The ways are timed in turns in one run, so that a busy machine slows each of them alike. A ratio above 1 says how
many times as fast as torch the library is.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from figures import Figure, arguments, median_of, report

from talking_head.lp_core.compute import opencv
from talking_head.lp_core.compute.opencv import eight_bits, shrunk

TURNS = 7
BLURS = (("a mouth", 192, 2.0), ("a crop", 512, 3.0))  # name, side in pixels, sigma


def by_torch(action: Callable[[], object]) -> Callable[[], object]:
    """The same action where OpenCV does not load."""

    def plain() -> object:
        found, opencv.opencv = opencv.opencv, lambda: None
        try:
            return action()
        finally:
            opencv.opencv = found

    return plain


def convolved(images: Tensor, sigma: float) -> Tensor:
    """The separable Gaussian that this pack had before it used kornia's."""
    radius = max(1, math.ceil(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, -1)
    padded = F.pad(images, (radius, radius, radius, radius), mode="replicate")
    down = F.conv2d(padded, kernel[..., None], groups=images.shape[1])
    return F.conv2d(down, kernel[:, :, None], groups=images.shape[1])


def compared(name: str, ways: dict[str, Callable[[], object]], shown: bool = False) -> list[Figure]:
    """Milliseconds of every way, and how many times as fast as the first the others are; all in turns."""
    turns = [{way: median_of(action, 1) for way, action in ways.items()} for _ in range(TURNS)]
    middle = {way: float(np.median([turn[way] for turn in turns])) for way in ways}
    first, *others = ways
    times = [Figure(f"{name}, {way}", 1000 * seconds, "ms") for way, seconds in middle.items()]
    return times + [Figure(f"{name}: {way} to {first}", middle[first] / middle[way], "×", shown) for way in others]


def blurs() -> list[Figure]:
    """Gaussian blurs of the mesh renderer's sizes; OpenCV's takes pictures of one channel here, as masks are."""
    figures = []
    for name, side, sigma in BLURS:
        images, length = torch.rand(1, 3, side, side), 2 * math.ceil(3 * sigma) + 1
        planes = [plane.numpy() for plane in images[0]]
        ways = {
            "torch": lambda images=images, sigma=sigma: convolved(images, sigma),
            "kornia": lambda images=images, sigma=sigma, length=length: gaussian_blur2d(
                images, (length, length), (sigma, sigma), border_type="replicate"
            ),
            "OpenCV": lambda planes=planes, sigma=sigma, length=length: [
                cv2.GaussianBlur(plane, (length, length), sigma, borderType=cv2.BORDER_REPLICATE)
                for plane in planes
            ],
        }
        figures += compared(f"Gaussian blur of {name} of {side} pixels", ways)
    return figures


def main() -> None:
    """Measure and report."""
    given = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    frames, picture = torch.rand(8, 512, 512, 3), torch.rand(1080, 1920, 3)
    to_bytes, to_size = lambda: eight_bits(frames), lambda: shrunk(picture, 720, 1280)
    figures = [
        *compared(
            "8 frames of 512 pixels to 8 bits", {"torch": by_torch(to_bytes), "OpenCV": to_bytes}, shown=True
        ),
        *compared("1920 × 1080 shrunk to 1280 × 720", {"torch": by_torch(to_size), "OpenCV": to_size}, shown=True),
        *blurs(),
    ]
    report(__file__, figures, given.save)


if __name__ == "__main__":
    main()
