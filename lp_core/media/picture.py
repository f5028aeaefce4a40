"""Pictures from files and from other nodes, brought to one form: RGB (H, W, 3) float32 in 0…1."""

import os

import numpy as np
import torch
from torch import Tensor

from ..compute.opencv import shrunk

SMALLEST_SIDE = 32  # pixels: below it no face can be told
LARGEST_SIDE = 8192  # pixels: above it a picture would fill the memory for nothing


def load_picture(path: str | os.PathLike[str]) -> Tensor:
    """The picture in a file, turned as its EXIF orientation says, transparency dropped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, or one outside the sizes that are taken.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no picture {path}.")
    try:
        with Image.open(path) as image:
            _check_size(*image.size)
            upright = ImageOps.exif_transpose(image)
            # Pillow cuts 16-bit grey off at 255 when it converts it.
            deep = upright.mode.startswith("I;16")
            pixels = np.asarray(upright) / np.float32(257) if deep else np.asarray(upright.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"Cannot read {path} as a picture ({error}); give a PNG, JPEG or WebP file.") from error
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    return as_picture(torch.from_numpy(channels.astype(np.float32) / 255))


def as_picture(pixels: Tensor) -> Tensor:
    """One picture (H, W, C) with C of 1, 3 or 4 as RGB (H, W, 3) float32 in 0…1; transparency is dropped.

    Raises:
        ValueError: wrong shape, NaN or infinite values, or a size outside 32 … 8192 pixels a side.
    """
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"A picture is (height, width, channels) with 1, 3 or 4 channels; got shape {tuple(pixels.shape)}."
        )
    _check_size(pixels.shape[1], pixels.shape[0])
    colours = pixels[..., :3].float().expand(-1, -1, 3)
    if not torch.isfinite(colours).all():
        raise ValueError("The picture holds NaN or infinite pixels; check the node that made it (a VAE in fp16?).")
    return colours.clamp(0, 1).contiguous()


def limited(picture: Tensor, longest_side: int, division: int = 1) -> Tensor:
    """The picture (H, W, 3) shrunk, area-averaged, so that no side is longer than `longest_side`.

    Then rows at the bottom and columns at the right are left out until both sides are multiples of `division`.
    LivePortrait prepares sources with 1280 and 2.
    """
    height, width = picture.shape[:2]
    ratio = longest_side / max(height, width)
    if ratio < 1:
        height, width = max(1, round(height * ratio)), max(1, round(width * ratio))
        picture = shrunk(picture, height, width).contiguous()
    whole = height % division == 0 and width % division == 0
    return picture if whole else picture[: height - height % division, : width - width % division]


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise ValueError(f"The picture has {width}×{height} pixels; a face needs at least {SMALLEST_SIDE} a side.")
    if max(width, height) > LARGEST_SIDE:
        raise ValueError(
            f"The picture has {width}×{height} pixels; at most {LARGEST_SIDE} a side are taken. Shrink it first."
        )
