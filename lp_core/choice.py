"""Choice of the renderer, and of the motion extractor that matches it."""

import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from .compute.compute import Compute
from .once import log_once
from .render.extractor import MotionExtractor
from .render.portrait import Renderer, set_default_renderer
from .weights.folders import models_folders

RENDERERS = ("auto", "mesh", "liveportrait")

_log = logging.getLogger(__name__)


def choose_renderer(
    name: str = "auto",
    compute: Compute | None = None,
    folders: Sequence[Path] | None = None,
    animals: bool = False,
) -> Renderer:
    """Returns the renderer of a name.

    `auto` is LivePortrait when all of its weights are in the models folders, else the built-in mesh renderer, which
    needs none; the choice and its reason are logged once. Networks are loaded once and kept for later calls.

    Args:
        name: one of RENDERERS.
        compute: device, precision, acceleration and placement; the best device when None.
        folders: models folders to search for LivePortrait's weights, in order of preference; those of
            `models_folders` when None.
        animals: uses LivePortrait's networks for animals.

    Raises:
        ValueError: an unknown name, or a precision that the device cannot be used in.
        FileNotFoundError: `name` is `liveportrait` and its weights are missing or damaged.
    """
    from .mesh.renderer import MeshRenderer

    if name not in RENDERERS:
        raise ValueError(f"There is no renderer {name!r}; choose from {', '.join(RENDERERS)}.")
    places = models_folders("liveportrait") if folders is None else tuple(Path(folder) for folder in folders)
    if name == "auto":
        name, why = automatic_renderer(places, animals)
        log_once(_log, why)
    computing = compute or Compute()
    return _liveportrait(places, animals, computing) if name == "liveportrait" else MeshRenderer(computing.device)


def extractor_for(renderer: Renderer, whole_frames: bool = False) -> MotionExtractor:
    """Returns the extractor whose motion suits a renderer: LivePortrait's network, or landmarks.

    Args:
        renderer: the renderer that will draw the motion.
        whole_frames: skips face detection, for clips that are already cropped around a face or show an animal;
            LivePortrait only.
    """
    from .liveportrait.extractor import LivePortraitExtractor
    from .liveportrait.renderer import LivePortraitRenderer
    from .mesh.extractor import LandmarkExtractor

    if isinstance(renderer, LivePortraitRenderer):
        return LivePortraitExtractor(renderer, whole_frames=whole_frames)
    return LandmarkExtractor()


@lru_cache(maxsize=1)
def _liveportrait(folders: tuple[Path, ...], animals: bool, compute: Compute) -> Renderer:
    from .liveportrait.networks import load_landmarks, load_networks
    from .liveportrait.renderer import LivePortraitRenderer

    dtype, landmarks = compute.dtype, None if animals else load_landmarks(folders)
    networks, how = load_networks(folders, animals), compute.acceleration
    return LivePortraitRenderer(networks, compute.device, dtype, landmarks, compute.placement, how)


def automatic_renderer(folders: Sequence[Path], animals: bool = False) -> tuple[str, str]:
    """Returns the name of the renderer that `auto` chooses, and the reason, for messages."""
    from .liveportrait.networks import unusable_weights

    lacking = unusable_weights(folders, animals)
    if lacking:
        return "mesh", f"Renderer: mesh, since {lacking}."
    return "liveportrait", "Renderer: liveportrait; all its weights are there."


set_default_renderer(choose_renderer)
