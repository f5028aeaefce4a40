"""Which renderer draws, and which extractor reads motion in its terms."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from .compute.device import ModelPlacement, choose_device, choose_dtype, place_permanently
from .once import log_once
from .render.extractor import MotionExtractor
from .render.portrait import Renderer

RENDERERS = ("auto", "mesh", "liveportrait")

_log = logging.getLogger(__name__)


def choose_renderer(
    name: str = "auto",
    device: torch.device | str = "auto",
    folders: Sequence[Path] = (),
    animals: bool = False,
    precision: str = "auto",
    placement: ModelPlacement = place_permanently,
    acceleration: str = "none",
) -> Renderer:
    """The renderer called `name`.

    `auto` is LivePortrait when all of its weights are in the models folders, else the built-in mesh renderer, which
    needs none; which and why is logged once. Networks are loaded once and kept for later calls.

    Args:
        name: one of RENDERERS.
        device: where it draws, as `choose_device` takes it.
        folders: models folders to look for LivePortrait's weights in, best first.
        animals: LivePortrait's networks for animals are meant.
        precision: of LivePortrait's warping and decoder, one of device.PRECISIONS.
        placement: who brings networks to the device, and may take them off it.
        acceleration: of LivePortrait's drawing, one of acceleration.ACCELERATIONS.

    Raises:
        ValueError: an unknown name or acceleration, or a device or precision that cannot be used.
        FileNotFoundError: `liveportrait` is asked for and its weights are not there.
    """
    from .mesh.renderer import MeshRenderer

    if name not in RENDERERS:
        raise ValueError(f"There is no renderer {name!r}; choose from {', '.join(RENDERERS)}.")
    places = tuple(Path(folder) for folder in folders)
    if name == "auto":
        name, why = automatic_renderer(places, animals)
        log_once(_log, why)
    if name == "liveportrait":
        place = choose_device(device)
        return _liveportrait(places, str(place), animals, choose_dtype(precision, place), placement, acceleration)
    return MeshRenderer(choose_device(device))


def extractor_for(renderer: Renderer, whole_frames: bool = False) -> MotionExtractor:
    """Who reads a clip's motion in the terms of a renderer: LivePortrait's network, or landmarks.

    Args:
        renderer: what will draw the motion.
        whole_frames: no face is looked for, since the clip is cropped around one already or shows an animal;
            LivePortrait only.
    """
    from .liveportrait.extractor import LivePortraitExtractor
    from .liveportrait.renderer import LivePortraitRenderer
    from .mesh.extractor import LandmarkExtractor

    if isinstance(renderer, LivePortraitRenderer):
        return LivePortraitExtractor(renderer, whole_frames=whole_frames)
    return LandmarkExtractor()


@lru_cache(maxsize=1)
def _liveportrait(
    folders: tuple[Path, ...],
    device: str,
    animals: bool,
    dtype: torch.dtype,
    placement: ModelPlacement,
    acceleration: str,
) -> Renderer:
    from .liveportrait.networks import load_landmarks, load_networks
    from .liveportrait.renderer import LivePortraitRenderer

    landmarks = None if animals else load_landmarks(folders)
    return LivePortraitRenderer(load_networks(folders, animals), device, dtype, landmarks, placement, acceleration)


def automatic_renderer(folders: Sequence[Path], animals: bool = False) -> tuple[str, str]:
    """The name of the renderer that `auto` takes, and a sentence that tells why."""
    from .liveportrait.networks import unusable_weights

    lacking = unusable_weights(folders, animals)
    if lacking:
        return "mesh", f"Renderer: mesh, since {lacking}."
    return "liveportrait", "Renderer: liveportrait; all its weights are there."
