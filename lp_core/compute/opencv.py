"""Operations that OpenCV does faster than torch on a CPU, with torch equivalents where OpenCV does not load."""

import importlib
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

NEEDED = ("convertScaleAbs", "resize", "INTER_AREA")


@cache
def opencv() -> ModuleType | None:
    """OpenCV's module, of any distribution that provides `cv2`; None when it is missing or does not load.

    It does not load without the system's libGL, and is an empty module when two distributions were installed over
    each other and one was removed.
    """
    try:
        module = importlib.import_module("cv2")
    except (ImportError, OSError):
        return None
    return module if all(hasattr(module, name) for name in NEEDED) else None


def eight_bits(frames: Tensor) -> Tensor:
    """Frames in 0…1, of any shape, as rounded uint8 on their device; values outside are clamped."""
    values = frames.detach().float()
    cv2 = opencv() if values.device.type == "cpu" and values.numel() else None
    if cv2 is None:
        return values.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    rows = values.relu().reshape(len(values), -1) if values.ndim > 1 else values.relu()[None]
    return torch.from_numpy(cv2.convertScaleAbs(rows.numpy(), alpha=255)).view(values.shape)


def shrunk(picture: Tensor, height: int, width: int) -> Tensor:
    """A picture (H, W, C) in float32 reduced to (height, width, C), each pixel the mean of the area it covers."""
    cv2 = opencv() if picture.device.type == "cpu" else None
    if cv2 is None:
        down, across = (_shares(*sides).to(picture) for sides in zip(picture.shape, (height, width), strict=False))
        return torch.einsum("hy,yxc,wx->hwc", down, picture, across)
    small = cv2.resize(picture.detach().numpy(), (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).view(height, width, picture.shape[2])


def _shares(pixels: int, wanted: int) -> Tensor:
    """Weights (wanted, pixels), float64, of the area mean from `pixels` to `wanted` pixels; rows sum to 1."""
    edges = torch.arange(wanted + 1, dtype=torch.float64) * pixels / wanted
    places = torch.arange(pixels, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], places + 1) - torch.maximum(edges[:-1, None], places)
    return covered.clamp(min=0) * wanted / pixels
