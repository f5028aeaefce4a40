"""Choice of the generator that turns a voice into motion."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..lp_core.compute.compute import Compute
from ..lp_core.once import log_once
from ..lp_core.weights.folders import models_folders
from .diffusion.samplers import SampleOptions
from .motion_generator import MotionGenerator
from .steering.options import LOOKS, MAXIMUM_STRENGTH, MOODS, POSES, STRENGTHS, MotionOptions

if TYPE_CHECKING:
    from ..lp_core.render.portrait import Portrait
    from .speech.manifold import Projection
    from .talker.driver import TalkerOptions

__all__ = [
    "GENERATORS", "LOOKS", "MAXIMUM_STRENGTH", "MOODS", "POSES", "STRENGTHS", "MotionGenerator", "MotionOptions",
    "choose_generator",
]  # fmt: skip

GENERATORS = ("auto", "procedural", "diffusion", "talker", "ditto")

_log = logging.getLogger(__name__)


def choose_generator(
    name: str = "auto",
    compute: Compute | None = None,
    folders: Sequence[Path] | None = None,
    sampling: SampleOptions | None = None,
    talker: "TalkerOptions | None" = None,
    speaker: "Projection | None" = None,
    portrait: "Portrait | None" = None,
) -> MotionGenerator:
    """The motion generator called `name`.

    `auto` is the diffusion generator when its weights are in the models folders, else the built-in procedural one,
    which needs none; the choice and its reason are logged once. `talker`, the light driver, and `ditto`, a second
    diffusion network, are only chosen by name. Networks are loaded once and cached for later calls.

    Args:
        name: one of GENERATORS.
        compute: device, placement, and the precision of diffusion's speech encoder (sampling is done in fp32 in any
            case); the best device when None.
        folders: models folders with the networks' weights, best first; those of `models_folders` when None.
        sampling: options of the diffusion generator's sampling; its defaults when None.
        talker: options of the light driver's networks; the defaults when None.
        speaker: projection of the voice's speech features to those of one speaker; none when None.
        portrait: the face to animate; Ditto's motion starts in it when LivePortrait's networks prepared it.

    Raises:
        ValueError: the name is unknown, or the device does not support the precision.
        FileNotFoundError: `diffusion`, `talker` or `ditto` is chosen and its weights are missing.
    """
    from .procedural.generator import ProceduralGenerator

    if name not in GENERATORS:
        raise ValueError(f"There is no motion generator {name!r}; choose from {', '.join(GENERATORS)}.")
    places = models_folders("diffpose") if folders is None else tuple(Path(folder) for folder in folders)
    if name == "auto":
        name, why = automatic_generator(places)
        log_once(_log, why)
    if name == "diffusion":
        return _diffusion(places, compute or Compute(), sampling, speaker, portrait)
    if name == "talker":
        from .talker.installed import installed_talker

        return installed_talker(places, talker, speaker)
    if name == "ditto":
        from .ditto.installed import installed_ditto

        return installed_ditto(places, compute or Compute(), portrait, sampling)
    return ProceduralGenerator(speaker)


def _diffusion(
    folders: tuple[Path, ...],
    compute: Compute,
    sampling: SampleOptions | None,
    speaker: "Projection | None",
    portrait: "Portrait | None",
) -> MotionGenerator:
    """A generator with JoyVASA's networks, or with DiffLiveHead's when only its private weights are installed."""
    from .difflivehead.installed import installed_livehead, livehead_file
    from .diffusion.generator import DiffusionGenerator
    from .diffusion.installed import load_installed, unusable_weights
    from .encoders import ProjectedEncoder

    if unusable_weights(folders) and livehead_file(folders):
        if speaker is not None:
            raise ValueError(
                "DiffLiveHead hears by wav2vec2, with which no speaker is built; disconnect the speaker."
            )
        return installed_livehead(folders, compute, portrait, sampling)
    model, encoder, space = load_installed(folders, compute)
    projected = encoder if speaker is None else ProjectedEncoder(encoder, speaker)
    return DiffusionGenerator(model, projected, space, sampling)


def automatic_generator(folders: Sequence[Path]) -> tuple[str, str]:
    """The name of the generator that `auto` chooses, and the reason as text."""
    from .diffusion.installed import unusable_weights

    lacking = unusable_weights(folders)
    if lacking:
        return "procedural", f"Motion: procedural, since {lacking}."
    return "diffusion", "Motion: diffusion; all its weights are there."
