"""Private weights of hazard-10's DiffLiveHead in the models folders, and the generator made of them.

None are published, so they have no entry in the registry: the network is expected in models/diffpose as
difflivehead.safetensors (see `talking-head convert`), or in a folder difflivehead with its config.json, and the
stock wav2vec2-base-960h next to it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ...lp_core.compute.compute import ON_CPU, Compute
from ...lp_core.render.portrait import Portrait
from ...lp_core.weights.registry import first_file, searched
from ..container import read_container
from ..diffusion.checkpoints import DiffusionModel, load_diffusion
from ..diffusion.samplers import SampleOptions
from ..ditto.motion import DittoSource
from ..speech.encoder import SpeechEncoder, speech_encoder
from .generator import LiveHeadGenerator
from .motion import LiveHeadPerson

NETWORKS = ("difflivehead.safetensors", "difflivehead/difflivehead.pth", "difflivehead/difflivehead.pt")
ENCODERS = ("wav2vec2-base-960h/model.safetensors", "wav2vec2-base-960h.safetensors")


def livehead_file(folders: Sequence[Path]) -> Path | None:
    """The network's file; None where there is none."""
    return first_file(folders, NETWORKS)


def installed_livehead(
    folders: Sequence[Path],
    compute: Compute = ON_CPU,
    portrait: Portrait | None = None,
    options: SampleOptions | None = None,
) -> LiveHeadGenerator:
    """DiffLiveHead's generator from the files in the models folders; its networks are cached for later calls.

    Args:
        folders: models folders, best first, in one of which `livehead_file` finds the network.
        compute: device and placement of the networks, precision of the speech encoder.
        portrait: the face to animate; used only when LivePortrait's networks prepared it.
        options: sampling of each window.

    Raises:
        FileNotFoundError: the speech encoder is missing.
        CheckpointError: a file holds another network than its name says.
    """
    network, encoder = livehead_file(folders), first_file(folders, ENCODERS)
    if network is None or encoder is None:
        raise FileNotFoundError(
            f"hazard-10's DiffLiveHead needs {NETWORKS[0]} and, from https://huggingface.co/facebook/"
            f"wav2vec2-base-960h, {ENCODERS[0]} in {searched(folders)}."
        )
    model, hearing = _loaded(str(network), str(encoder), compute)
    return LiveHeadGenerator(model, hearing, LiveHeadPerson(DittoSource.of(portrait).keypoints), options)


@lru_cache(maxsize=1)
def _loaded(network: str, encoder: str, compute: Compute) -> tuple[DiffusionModel, SpeechEncoder]:
    model, tensors = load_diffusion(network), read_container(encoder).tensors
    hearing = speech_encoder(tensors, model.card.speech.encoder, None, compute)
    return replace(model, ensure_loaded=compute.placed(model.denoiser)), hearing
