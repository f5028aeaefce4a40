"""Which generator turns a voice into motion."""

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
    """The generator called `name`.

    `auto` is the diffusion generator when its weights are in the models folders, else the built-in procedural one,
    which needs none; which and why is logged once. `talker`, the light driver, and `ditto`, a second diffusion
    network, are taken only by their names. Networks are loaded once and kept for later calls.

    Args:
        name: one of GENERATORS.
        compute: device, placement, and the precision of diffusion's speech encoder (sampling is done in fp32 in any
            case); the best device when None.
        folders: models folders to look for the networks' weights in, best first; those of `models_folders` when
            None.
        sampling: how the diffusion generator walks from noise to motion; its usual way when None.
        talker: how the light driver's networks are run; the usual way when None.
        speaker: whose way of speaking the voice is brought to before it is heard; nobody's when None.
        portrait: who is going to speak: Ditto sets out from that face when LivePortrait's networks have read it.

    Raises:
        ValueError: an unknown name, or a precision that the device cannot be used in.
        FileNotFoundError: `diffusion`, `talker` or `ditto` is asked for and its weights are not there.
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
    """JoyVASA's networks; where they are not there but somebody's own DiffLiveHead is, that."""
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
    heard = encoder if speaker is None else ProjectedEncoder(encoder, speaker)
    return DiffusionGenerator(model, heard, space, sampling)


def automatic_generator(folders: Sequence[Path]) -> tuple[str, str]:
    """The name of the generator that `auto` takes, and a sentence that tells why."""
    from .diffusion.installed import unusable_weights

    lacking = unusable_weights(folders)
    if lacking:
        return "procedural", f"Motion: procedural, since {lacking}."
    return "diffusion", "Motion: diffusion; all its weights are there."
