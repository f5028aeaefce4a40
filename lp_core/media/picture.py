"""Pictures from files and from other nodes, brought to one form: RGB (H, W, 3) float32 in 0…1."""

import os

import torch
from torch import Tensor

from ..compute.opencv import shrunk
from .picture_files import check_size, stored_picture

GROUND = 1.0  # the grey level that shows through transparency: white, as in browsers and on paper
INTEGER_KINDS = {torch.bool: 1, torch.uint8: 255, torch.uint16: 65_535}  # that pictures have, with their white


def load_picture(path: str | os.PathLike[str], alpha: bool = False) -> Tensor:
    """The picture in a file (H, W, 3): in sRGB by its colour profile, upright by EXIF, laid over GROUND.

    Args:
        path: a file of one of `picture_files.FORMATS`, or HEIC where pillow-heif is installed.
        alpha: keep its opacity as a fourth channel, 1 everywhere where the file has none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, or one outside the sizes that are taken.
    """
    return as_picture(stored_picture(path), alpha)


def as_picture(pixels: Tensor, alpha: bool = False) -> Tensor:
    """One picture (H, W, C) with C of 1, 3 or 4 as RGB (H, W, 3) float32 in 0…1, laid over GROUND.

    Args:
        pixels: floats in 0…1, or bool, uint8 or uint16 in their whole range; transparency is not premultiplied.
        alpha: keep the opacity as a fourth channel where there is one; what is not seen at all is GROUND.

    Raises:
        ValueError: wrong shape or kind, NaN or infinite values, or a size outside 32 … 8192 pixels a side.
    """
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"A picture is (height, width, channels) with 1, 3 or 4 channels; got shape {tuple(pixels.shape)}."
        )
    check_size(pixels.shape[1], pixels.shape[0])
    values = as_floats(pixels)
    if not torch.isfinite(values).all():
        raise ValueError("The picture holds NaN or infinite pixels; check the node that made it (a VAE in fp16?).")
    return as_colours(values.clamp(0, 1), alpha).contiguous()


def as_floats(pixels: Tensor) -> Tensor:
    """Pixels of any shape as float32: floats unchanged, integers scaled so that their white is 1.

    Raises:
        ValueError: integers other than bool, uint8 and uint16, which do not say what is white, or complex numbers.
    """
    if pixels.is_floating_point():
        return pixels.float()
    white = INTEGER_KINDS.get(pixels.dtype)
    if white is None:
        raise ValueError(
            f"Pixels are floats in 0…1, or uint8 or uint16; got {pixels.dtype}: convert them in the node that "
            "made them."
        )
    return pixels.float().div_(white)


def as_colours(pixels: Tensor, alpha: bool = False) -> Tensor:
    """Floats (…, C) with C of 1, 3 or 4 as RGB (…, 3): grey spread, transparency laid over GROUND.

    With `alpha` four channels stay four; colours that are not seen at all become GROUND there, since resizing would
    mix them in.
    """
    if pixels.shape[-1] < 4:
        return pixels.expand(*pixels.shape[:-1], 3)
    colours, opacity = pixels[..., :3], pixels[..., 3:].clamp(0, 1)
    if alpha:
        return torch.cat([torch.where(opacity > 0, colours, GROUND), pixels[..., 3:]], -1)
    return torch.lerp(torch.full_like(colours, GROUND), colours, opacity)


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
