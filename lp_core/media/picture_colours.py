"""Colours of Pillow's images brought to sRGB: profiles, palettes, CMYK, deep greys, transparency."""

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsProfile

EIGHT_BITS, TWELVE_BITS, SIXTEEN_BITS, SIGNED_SIXTEEN_BITS = 255, 4095, 65_535, 32_767  # the value of white
INTEGER_WHITES = (EIGHT_BITS, SIXTEEN_BITS, 2**31 - 1, 2**32 - 1)  # of 32-bit greys, which do not say theirs
FLOAT_WHITES = (EIGHT_BITS, SIXTEEN_BITS)  # of floating-point greys that do not end at 1
LARGEST_OVERSHOOT = 4.0  # floating-point greys up to here have their white at 1: highlights go beyond it
BITS_PER_SAMPLE, SAMPLE_FORMAT, UNSIGNED = 258, 339, 1  # tags of TIFF, and a value of the second

_COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}  # of ICC profiles, by Pillow's mode

_log = logging.getLogger(__name__)


def srgb(image: "Image") -> "Image":
    """An image of any mode of eight bits as RGBA (not premultiplied) in sRGB, by its colour profile if it has one.

    The orientation stays as stored. A profile that is damaged or of another kind than the image is left out, with a
    line in the log.
    """
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    colours = _through_profile(_plain(image))
    colours.putalpha(255 if alpha is None else alpha)
    return colours


def is_deep(image: "Image") -> bool:
    """Whether the image is a grey one of more than eight bits, which Pillow cuts off at 255 when it converts it."""
    return image.mode.startswith("I") or image.mode == "F"


def deep_grey(image: "Image") -> np.ndarray:
    """Grey levels and opacity (H, W, 2) float32 in 0…1 of an image that `is_deep`, in sRGB by its profile.

    Greys of 16 bits are white at 65535. 32-bit ones are white at the smallest of 255, 65535, 2³¹-1 and 2³²-1 that
    holds them all. Floating-point ones are white at 1; where they go far beyond it, at 255, 65535 or their largest.

    Raises:
        ValueError: NaN or infinite pixels.
    """
    stored = np.asarray(image)
    if not np.isfinite(stored).all():
        raise ValueError("it holds NaN or infinite pixels")
    hidden = image.info.get("transparency")  # of PNG: the grey level that is see-through
    alpha = np.ones(stored.shape, np.float32) if hidden is None else (stored != hidden).astype(np.float32)
    unsigned = image.mode == "I" and _tag(image, SAMPLE_FORMAT) == UNSIGNED
    values = stored.view(np.uint32) if unsigned else stored
    scaled = (values / np.float64(_white(image, values))).clip(0, 1)
    return np.stack([_toned(image, scaled).astype(np.float32), alpha], -1)


def _white(image: "Image", values: np.ndarray) -> float:
    """The value that is white in a deep grey image."""
    largest = float(values.max())
    if image.mode == "F":
        return 1.0 if largest <= LARGEST_OVERSHOOT else _holding(largest, FLOAT_WHITES)
    if image.mode == "I" and _tag(image, BITS_PER_SAMPLE) == 32:
        return _holding(largest, INTEGER_WHITES)
    if image.mode == "I" and image.format == "TIFF":
        return SIGNED_SIXTEEN_BITS
    return TWELVE_BITS if _tag(image, BITS_PER_SAMPLE) == 12 else SIXTEEN_BITS


def _holding(largest: float, whites: tuple[int, ...]) -> float:
    return next((white for white in whites if largest <= white), largest)


def _tag(image: "Image", number: int) -> int | None:
    """A whole number among the tags of a TIFF."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) else value


def _toned(image: "Image", greys: np.ndarray) -> np.ndarray:
    """Grey levels in 0…1 brought to sRGB by the image's profile, as that does with 256 levels between them."""
    from PIL import Image

    if "icc_profile" not in image.info:
        return greys
    levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels.info["icc_profile"] = image.info["icc_profile"]
    curve = np.asarray(_through_profile(levels))[0].mean(-1) / 255
    return np.interp(greys, np.linspace(0, 1, 256), curve)


def _plain(image: "Image") -> "Image":
    """The colours alone, in a mode that colour profiles know, with the profile."""
    if image.mode in _COLOUR_SPACES:
        return image
    if image.mode in ("1", "LA"):
        plain = image.convert("L")
    else:  # palettes that are partly transparent go through RGBA, else Pillow loses the colour that is
        plain = (image.convert("RGBA") if image.has_transparency_data else image).convert("RGB")
    plain.info["icc_profile"] = image.info.get("icc_profile")
    return plain


def _through_profile(image: "Image") -> "Image":
    """An image of mode L, RGB, CMYK or LAB as RGB in sRGB."""
    from PIL import ImageCms

    try:
        profile = _profile(image)
        if profile is not None:
            target = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(profile, target, image.mode, "RGB").apply(image)
    except (ImageCms.PyCMSError, OSError) as error:
        _log.warning("The picture's colour profile cannot be used (%s); its colours are taken for sRGB.", error)
    return image.convert("RGB")


def _profile(image: "Image") -> "ImageCmsProfile | None":
    """The profile of an image, None where there is none or one of another colour space."""
    from PIL import ImageCms

    stored = image.info.get("icc_profile")
    if not stored:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")) if image.mode == "LAB" else None
    profile = ImageCms.ImageCmsProfile(BytesIO(stored))
    space = cast("Any", profile.profile).xcolor_space.strip()  # Pillow's own types do not tell this apart
    if space != _COLOUR_SPACES[image.mode]:
        _log.warning("The picture is %s and its colour profile of %s: the profile is left out.", image.mode, space)
        return None
    return profile
