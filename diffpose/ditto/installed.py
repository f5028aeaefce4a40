"""Ditto's published files: their registry entries, and the generator from models folders."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from ...lp_core.compute.compute import ON_CPU, Compute
from ...lp_core.compute.device import EnsureLoaded
from ...lp_core.render.portrait import Portrait
from ...lp_core.weights.registry import PublishedFile, hub_entry, whole_files
from ..diffusion.samplers import SampleOptions
from .checkpoint import load_lmdm
from .generator import DittoGenerator
from .hearing import ChunkEncoder, onnx_encoder
from .motion import DittoSource
from .network import Lmdm

# Several public projects give these paths and sizes; none of them pins a commit.
_REPOSITORY = "digital-avatar/ditto-talkinghead"


NETWORK = hub_entry(
    "ditto",
    "lmdm",
    "Ditto: speech to motion",
    "Apache-2.0",
    PublishedFile(_REPOSITORY, "main", "ditto_pytorch/models/lmdm_v0.4_hubert.pth", 191_247_715),
    others=("lmdm_v0.4_hubert.safetensors",),
)
HEARING = hub_entry(
    "ditto",
    "hubert",
    "Ditto: its speech encoder, which needs onnxruntime",
    "Apache-2.0",
    PublishedFile(_REPOSITORY, "main", "ditto_pytorch/aux_models/hubert_streaming_fix_kv.onnx", 1_460_740_880),
)
DITTO = (NETWORK, HEARING)
"""Weight files of Ditto's generator."""


def installed_ditto(
    folders: Sequence[Path],
    compute: Compute = ON_CPU,
    portrait: Portrait | None = None,
    options: SampleOptions | None = None,
) -> DittoGenerator:
    """Ditto's generator from the files in the models folders; its networks are cached for later calls.

    Args:
        folders: models folders, best first.
        compute: device and placement of the denoiser.
        portrait: the face to animate; used only when LivePortrait's networks prepared it.
        options: sampling of each window.

    Raises:
        FileNotFoundError: a file is missing or damaged; the message names each.
        CheckpointError: a file holds another network than its name says.
        ValueError: onnxruntime is not installed.
    """
    advice = (
        f"Fetch them by `talking-head models --download ditto` from https://huggingface.co/{_REPOSITORY}, or "
        "choose another motion."
    )
    network, encoder, ensure_loaded = _loaded(*whole_files(DITTO, folders, "Ditto's", advice), compute)
    return DittoGenerator(network, encoder, DittoSource.of(portrait), options, ensure_loaded)


@lru_cache(maxsize=1)
def _loaded(network: str, encoder: str, compute: Compute) -> tuple[Lmdm, ChunkEncoder, EnsureLoaded]:
    denoiser = load_lmdm(network)
    return denoiser, onnx_encoder(encoder), compute.placed(denoiser)
