"""Small ICC profiles made from their definition, and what they mean, computed without Pillow."""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)  # XYZ of ICC's white
# XYZ of red, green and blue as rows, adapted to D50
SRGB = np.array([[0.4360, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]])
DISPLAY_P3 = np.array([[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]])
ADOBE_RGB = np.array([[0.6097, 0.3111, 0.0195], [0.2053, 0.6257, 0.0609], [0.1492, 0.0632, 0.7446]])
SWAPPED = SRGB[[1, 0, 2]]


def _tag(kind: bytes, body: bytes) -> bytes:
    content = kind + bytes(4) + body
    return content + bytes(-len(content) % 4)


def _xyz(values) -> bytes:
    return _tag(b"XYZ ", b"".join(struct.pack(">i", round(value * 65536)) for value in values))


def _gamma(exponent: float) -> bytes:
    return _tag(b"curv", struct.pack(">IH", 1, round(exponent * 256)) + bytes(2))


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made in a test\0"
    described = _tag(b"desc", struct.pack(">I", len(text)) + text + bytes(78))
    tags = {b"desc": described, b"cprt": _tag(b"text", text), b"wtpt": _xyz(D50), **tags}
    place, table = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags))
    for name, content in tags.items():
        table += name + struct.pack(">II", place, len(content))
        place += len(content)
    header = struct.pack(">I", place) + bytes(4) + b"\x02\x40\0\0mntr" + space + b"XYZ "
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(struct.pack(">i", round(value * 65536)) for value in D50)
    return header.ljust(128, b"\0") + table + b"".join(tags.values())


def rgb_profile(primaries: np.ndarray, exponent: float = 2.2) -> bytes:
    """A profile with primaries (3 colours, XYZ) and one exponent."""
    columns = {name + b"XYZ": _xyz(row) for name, row in zip((b"r", b"g", b"b"), primaries, strict=True)}
    return _profile(b"RGB ", columns | {name + b"TRC": _gamma(exponent) for name in (b"r", b"g", b"b")})


def grey_profile(exponent: float) -> bytes:
    """A profile of greys with one exponent."""
    return _profile(b"GRAY", {b"kTRC": _gamma(exponent)})


def in_srgb(colours, primaries: np.ndarray = SRGB, exponent: float = 2.2) -> np.ndarray:
    """Colours (…, 3) in 0…1 of such a profile in sRGB."""
    linear = np.asarray(colours, float) ** exponent @ primaries @ np.linalg.inv(SRGB)
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
