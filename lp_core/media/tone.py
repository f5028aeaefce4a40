"""High dynamic range and wide colours brought to BT.709, by tables for what is not linear."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from av import VideoFrame

PQ, HLG, BT2020 = 16, 18, 9  # numbers of ITU-T H.273: transfer characteristics, and primaries and matrix
WHITE_NITS = 203  # of the reference white (ITU-R BT.2408), which is shown as BT.709's white
PQ_PEAK_NITS, HLG_PEAK_NITS, HLG_SYSTEM_GAMMA = 10_000, 1_000, 1.2
DISPLAY_GAMMA = 2.4  # ITU-R BT.1886
KNEE = 0.95  # of the range 0 … 1 of what is shown: levels above it are rolled off
DEEP = "rgb48le"  # pixels that `toned` takes
ENTRIES = 2**16  # of each table

# From the primaries of BT.2020 to those of BT.709, both with D65 (ITU-R BT.2087).
TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def needs_toning(frame: "VideoFrame") -> bool:
    """Whether a frame's colours are others than those of BT.709."""
    return int(frame.color_trc) in (PQ, HLG) or int(frame.color_primaries) == BT2020


def toned(deep: np.ndarray, transfer: int) -> np.ndarray:
    """What is shown of BT.2020 colours: BT.709 (H, W, 3) uint8. WHITE_NITS is near 255, what is brighter rolls off.

    As zimg converts displayed light (its `zscale=t=linear:npl=203`), HLG with the system gamma on each channel.

    Args:
        deep: non-linear R'G'B' (H, W, 3) uint16.
        transfer: PQ, HLG, or any other number for standard dynamic range.
    """
    linear = _light_of_levels(transfer)[deep] @ TO_BT709.T
    np.maximum(linear, 0, out=linear)
    np.sqrt(linear, out=linear)  # the table of what is shown is finer in the dark
    linear *= (ENTRIES - 1) / _peak(transfer) ** 0.5
    return _levels_of_light(transfer)[np.minimum(linear, ENTRIES - 1).astype(np.uint16)]


def light(signal: np.ndarray, transfer: int) -> np.ndarray:
    """Light of R'G'B' in 0 … 1 in multiples of WHITE_NITS, of standard dynamic range in multiples of its white."""
    if transfer == PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * _peak(PQ)
    if transfer == HLG:  # ITU-R BT.2100
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        return scene**HLG_SYSTEM_GAMMA * _peak(HLG)
    return signal**DISPLAY_GAMMA


def shown(linear: np.ndarray, transfer: int) -> np.ndarray:
    """The level in 0 … 1 that shows light; levels above the knee are pressed together (extended Reinhard)."""
    level = linear ** (1 / DISPLAY_GAMMA)
    if transfer not in (PQ, HLG):
        return np.minimum(level, 1)
    whole = (_peak(transfer) ** (1 / DISPLAY_GAMMA) - KNEE) / (1 - KNEE)
    above = np.maximum(level - KNEE, 0) / (1 - KNEE)
    pressed = above * (1 + above / whole**2) / (1 + above)
    return np.minimum(np.where(level > KNEE, KNEE + (1 - KNEE) * pressed, level), 1)


def _peak(transfer: int) -> float:
    """The brightest light in multiples of white."""
    return {PQ: PQ_PEAK_NITS / WHITE_NITS, HLG: HLG_PEAK_NITS / WHITE_NITS}.get(transfer, 1.0)


@cache
def _light_of_levels(transfer: int) -> np.ndarray:
    return light(np.linspace(0, 1, ENTRIES), transfer).astype(np.float32)


@cache
def _levels_of_light(transfer: int) -> np.ndarray:
    """What is shown (ENTRIES,) uint8 of light up to the peak, by its square root."""
    linear = np.linspace(0, 1, ENTRIES) ** 2 * _peak(transfer)
    return np.round(255 * shown(linear, transfer)).astype(np.uint8)
