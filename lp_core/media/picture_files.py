"""Picture files opened: only formats that Pillow decodes itself, judged before they are decoded."""

import logging
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .picture_colours import deep_grey, is_deep, srgb

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST_SIDE = 32  # pixels: below it no face can be told
LARGEST_SIDE = 8192  # pixels: above it a picture would fill the memory for nothing
LARGEST_BYTES = 2**30  # of a picture as RGBA in single precision
BYTES_PER_PIXEL = 16

# What Pillow decodes by itself. Others start programs (EPS: Ghostscript), need drivers (WMF) or are stubs (HDF5).
FORMATS = (
    "PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM", "TGA", "PSD", "QOI", "PCX",
    "SGI", "DDS", "ICO", "ICNS",
)  # fmt: skip
ANIMATED_FORMATS = ("WEBP", "GIF", "AVIF", "PNG")
HEIF = "HEIF"  # what pillow-heif adds to Pillow's formats
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")  # of pictures, in a file's first box
HEAD = 64  # bytes that hold the brands

# Browsers show frames that are to last no longer than 10 ms for 100 ms.
SHORTEST_SECONDS = Fraction(11, 1000)
SHOWN_SECONDS = Fraction(1, 10)

ORIENTATION = 0x0112  # a tag of EXIF
# What its values ask for: whether rows and columns change places, and the dimensions that are then flipped.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class AnimatedFrame:
    """A frame of an animated picture.

    Attributes:
        pixels: (H, W, 4) uint8, RGBA in sRGB, not premultiplied.
        duration: seconds that it is shown.
    """

    pixels: Tensor
    duration: Fraction


def stored_picture(path: str | os.PathLike[str]) -> Tensor:
    """The picture in a file (H, W, 4) float32 in 0…1: RGBA in sRGB, upright by EXIF; of an animation the first.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture, or one outside the sizes that are taken.
    """
    with _opened(path, FORMATS) as image:
        image.load()
        orientation = _orientation(image)
        if is_deep(image):
            return _upright(deep_grey(image), orientation)[..., [0, 0, 0, 1]]
        return _upright(np.array(srgb(image)), orientation).float().div_(255)


def is_animated(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a picture with more than one frame: WebP, GIF, AVIF or PNG."""
    from PIL import Image

    try:
        with Image.open(path, formats=ANIMATED_FORMATS) as image:
            return getattr(image, "is_animated", False)
    except _decoding_errors():
        return False


def animated_frames(path: str | os.PathLike[str]) -> Iterator[AnimatedFrame]:
    """The frames of an animated picture in order, decoded as they are asked for; of a still the one.

    Durations are those that browsers keep to: frames of 10 ms and less last 100 ms.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture of ANIMATED_FORMATS, a damaged one, or one outside the sizes that are taken.
    """
    for image in _pages(path):
        yield AnimatedFrame(_upright(np.array(srgb(image)), _orientation(image)), _duration(image))


def frame_durations(path: str | os.PathLike[str]) -> list[Fraction]:
    """Seconds that each frame of an animated picture is shown, decoded as in `animated_frames`."""
    return [_duration(image) for image in _pages(path)]


def _pages(path: str | os.PathLike[str]) -> "Iterator[Image]":
    """An animated picture, decoded at each of its frames in turn."""
    with _opened(path, ANIMATED_FORMATS, smallest_side=1) as image:
        # An animated PNG may begin with a still for programs that know no animation.
        first = 1 if image.info.get("default_image") else 0
        for index in range(first, getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            yield image


def check_size(width: int, height: int, smallest_side: int = SMALLEST_SIDE) -> None:
    """Raise ValueError for a picture outside 32 … 8192 pixels a side, or above 1 GiB in memory."""
    if min(width, height) < smallest_side:
        raise ValueError(f"The picture has {width}×{height} pixels; a face needs at least {smallest_side} a side.")
    if max(width, height) > LARGEST_SIDE or width * height * BYTES_PER_PIXEL > LARGEST_BYTES:
        raise ValueError(
            f"The picture has {width}×{height} pixels; at most {LARGEST_SIDE} a side are taken. Shrink it first."
        )


def _duration(image: "Image") -> Fraction:
    """Seconds that the frame just loaded is shown in browsers."""
    stored = Fraction(image.info.get("duration", 0)).limit_denominator(1000) / 1000
    return stored if stored >= SHORTEST_SECONDS else SHOWN_SECONDS


def _orientation(image: "Image") -> int:
    """The EXIF orientation 1 … 8 of a loaded image; Pillow has turned TIFFs already and says 1 then."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except _decoding_errors() as error:
        _log.warning("The picture's EXIF data are damaged (%s); it is taken as stored.", error)
        return 1


def _upright(pixels: np.ndarray, orientation: int) -> Tensor:
    """Pixels (H, W, C) turned as an EXIF orientation says."""
    transposed, flipped = _TURNS.get(orientation, (False, ()))
    stored = torch.from_numpy(pixels)
    return (stored.transpose(0, 1) if transposed else stored).flip(flipped)


@contextmanager
def _opened(
    path: str | os.PathLike[str], formats: tuple[str, ...], smallest_side: int = SMALLEST_SIDE
) -> "Iterator[Image]":
    """An image whose size was judged and that is not decoded yet."""
    from PIL import Image

    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no picture {path}.")
    allowed = (*formats, HEIF) if _is_heif(path) else formats
    with _telling_failures(path):
        opened = Image.open(path, formats=allowed)
    with opened as image:
        width, height = image.size
        check_size(width, height, smallest_side)
        with _telling_failures(path):
            yield image


@contextmanager
def _telling_failures(path: str | os.PathLike[str]) -> Iterator[None]:
    """What Pillow raises for damaged files, as ValueError with the file's name."""
    try:
        yield
    except _decoding_errors() as error:
        raise ValueError(f"Cannot read {path} as a picture ({error}); give a PNG, JPEG or WebP file.") from error


def _decoding_errors() -> tuple[type[Exception], ...]:
    """All that Pillow is known to raise for damaged files."""
    from PIL.Image import DecompressionBombError, DecompressionBombWarning

    bombs = DecompressionBombError, DecompressionBombWarning
    damage = SyntaxError, ValueError, EOFError, LookupError, TypeError, RuntimeError, struct.error, zlib.error
    return OSError, *damage, *bombs


def _is_heif(path: str | os.PathLike[str]) -> bool:
    """Whether a file is HEIC, which phones take; then the package that reads it has been put into Pillow.

    Raises:
        ValueError: that package is missing.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head[4:8] != b"ftyp" or not any(brand in head[8:] for brand in HEIF_BRANDS):
        return False
    try:
        from pillow_heif import register_heif_opener  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f'{path} is a HEIC picture, which needs pillow-heif: pip install "talking-head[heic]", or '
            "pip install pillow-heif. Or save the picture as JPEG or PNG."
        ) from error
    register_heif_opener()
    return True
