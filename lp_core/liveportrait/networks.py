"""LivePortrait's five networks, loaded together from the models folders."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..weights.registry import State, WeightEntry, check, lacking, whole_files
from .checkpoint import load_network
from .dense_landmarks import DenseLandmarks
from .entries import ANIMAL, HUMAN, LANDMARKS
from .nets.appearance import AppearanceExtractor
from .nets.decoder import SpadeDecoder
from .nets.motion_extractor import MotionExtractor
from .nets.stitching import StitchingNetworks
from .nets.warping import WarpingNetwork

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Networks:
    """The five networks, folded, in float32 on the CPU."""

    appearance: AppearanceExtractor
    motion: MotionExtractor
    warping: WarpingNetwork
    decoder: SpadeDecoder
    stitching: StitchingNetworks


def unusable_weights(folders: Sequence[Path], animals: bool = False) -> str:
    """The missing or damaged weight files, as a phrase for messages; empty when all are present."""
    return lacking(_entries(animals), folders)


def load_networks(folders: Sequence[Path], animals: bool = False) -> Networks:
    """Loads the networks from the models folders.

    Raises:
        FileNotFoundError: a file is missing or damaged; the message names each.
        CheckpointError: a file does not hold the network of its name.
    """
    advice = "Download them, or choose the renderer `mesh`, which needs none."
    appearance, motion, warping, decoder, stitching = whole_files(
        _entries(animals), folders, "LivePortrait's", advice
    )
    return Networks(
        load_network(appearance, AppearanceExtractor),
        load_network(motion, MotionExtractor),
        load_network(warping, WarpingNetwork),
        load_network(decoder, SpadeDecoder),
        load_network(stitching, StitchingNetworks),
    )


def load_landmarks(folders: Sequence[Path]) -> DenseLandmarks | None:
    """The optional network of 203 landmarks; None when its file or onnxruntime is missing."""
    found = check(LANDMARKS, folders)
    if found.path is None or found.state is not State.PRESENT:
        return None
    try:
        return DenseLandmarks.load(found.path)
    except ImportError:
        _log.info("%s is there, but onnxruntime is not installed, so it is not used.", found.path)
        return None


def _entries(animals: bool) -> tuple[WeightEntry, ...]:
    return ANIMAL if animals else HUMAN
