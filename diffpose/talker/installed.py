"""The light driver's published files: their registry entries, and the driver from models folders."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ...lp_core.media.audio import Audio
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.render.portrait import Portrait
from ...lp_core.weights.registry import PublishedFile, WeightEntry, whole_files
from ..speech.manifold import Projection
from .driver import Talker, TalkerOptions
from .expression import ExpressionNetwork
from .mapping import MappingNetwork
from .pose_models import vae_pose
from .pose_vae import POSE, PoseVae
from .reconstruction import FaceReconstruction, coefficients_of
from .spectrum import SAMPLE_RATE, windows_of
from .weights import load_from_sadtalker, load_mapping_network

# Several public projects pin this size and checksum; none of them pins a commit.
_SADTALKER = "SadTalker_V0.0.2_256.safetensors"
_SADTALKER_LARGE = "SadTalker_V0.0.2_512.safetensors"  # holds the same networks, as far as they are used here
_MAPPING = "mappingnet_basic_64inp_onlylip"

SADTALKER = WeightEntry(
    name="talker/sadtalker",
    purpose="SadTalker: speech to expression, a portrait's own expression, head poses",
    licence="Apache-2.0; from a face model for research",
    commercial_use=False,
    published=(
        PublishedFile(
            "vinthony/SadTalker-V002rc",
            "main",
            _SADTALKER,
            725_066_984,
            "c211f5d6de003516bf1bbda9f47049a4c9c99133b1ab565c6961e5af16477bff",
        ),
    ),
    places=(
        _SADTALKER,
        f"SadTalker/{_SADTALKER}",
        f"../sadtalker/{_SADTALKER}",
        f"../checkpoints/{_SADTALKER}",
        _SADTALKER_LARGE,
        f"SadTalker/{_SADTALKER_LARGE}",
        f"../sadtalker/{_SADTALKER_LARGE}",
        f"../checkpoints/{_SADTALKER_LARGE}",
    ),
)
# Its repository states MIT for code; the weights were trained on VoxCeleb2 against SadTalker's face model.
MAPPING = WeightEntry(
    name="talker/mapping",
    purpose="LivePortraitTalker: expression to LivePortrait's lips",
    licence="MIT; trained on VoxCeleb2",
    commercial_use=False,
    published=(PublishedFile("mustafakara/liveportrait_talker", "main", f"pretrained_models/{_MAPPING}.pt"),),
    places=(f"{_MAPPING}.pt", f"{_MAPPING}.safetensors", f"pretrained_models/{_MAPPING}.pt"),
)
SHORTEST_POSE = 2  # frames
TALKER = (SADTALKER, MAPPING)
"""Weight files of the light driver."""


def installed_talker(
    folders: Sequence[Path], options: TalkerOptions | None = None, speaker: Projection | None = None
) -> Talker:
    """The light driver from the files in the models folders; its networks are cached for later calls.

    Args:
        folders: models folders, best first.
        options: options of the networks.
        speaker: see `Talker`.

    Raises:
        FileNotFoundError: a file is missing or damaged; the message names each.
        CheckpointError: a file holds another network than its name says.
    """
    sadtalker, mapping = _paths(TALKER, folders)
    return Talker(_expression(sadtalker), _mapping(mapping), options, speaker)


def installed_expression(folders: Sequence[Path]) -> ExpressionNetwork:
    """ExpNet from the SadTalker file in the models folders; raises as `installed_talker`."""
    (path,) = _paths((SADTALKER,), folders)
    return _expression(path)


def installed_vae_pose(
    audio: Audio, folders: Sequence[Path], portrait: Portrait | None = None, style: int = 0, seed: int = 0
) -> MotionSequence:
    """Head motion of a voice, 25 frames a second, by PoseVAE from the SadTalker file in the models folders.

    Args:
        audio: the voice.
        folders: models folders, best first.
        portrait: gives the pose in which the network begins; a frontal one when None.
        style: speaker of its training, 0 … 45.
        seed: the same seed gives the same motion.

    Raises:
        ValueError: the sound is shorter than two frames.
        FileNotFoundError, CheckpointError: as `installed_talker`.
    """
    (path,) = _paths((SADTALKER,), folders)
    windows = windows_of(audio.mono(SAMPLE_RATE))
    if len(windows) < SHORTEST_POSE:
        raise ValueError(f"The sound is too short for a head pose: it lasts {float(audio.duration):.3f} s.")
    start = (
        torch.zeros(POSE) if portrait is None else person_of(portrait.picture, portrait.landmarks, folders)[-POSE:]
    )
    return vae_pose(load_from_sadtalker(path, PoseVae), windows, start, style, seed)


@torch.no_grad()
def person_of(picture: Tensor, landmarks: Tensor, folders: Sequence[Path]) -> Tensor:
    """Coefficients (70,) of a face: expression 64, angles 3, translation 3 (see `FaceCoefficients`).

    Args:
        picture: (H, W, 3) in 0 … 1.
        landmarks: (478, 3) of the face, in picture pixels.
        folders: models folders, best first.

    Raises:
        FileNotFoundError, CheckpointError: as `installed_talker`.
    """
    (path,) = _paths((SADTALKER,), folders)
    network = load_from_sadtalker(path, FaceReconstruction)
    return coefficients_of(network, picture.cpu(), landmarks.cpu()).stack()[0]


def _paths(entries: tuple[WeightEntry, ...], folders: Sequence[Path]) -> list[str]:
    advice = (
        "Fetch them with `talking-head models --download talker`, or choose the motion `procedural`, which needs "
        "none."
    )
    return whole_files(entries, folders, "The light driver's", advice)


@lru_cache(maxsize=1)
def _expression(path: str) -> ExpressionNetwork:
    return load_from_sadtalker(path, ExpressionNetwork)


@lru_cache(maxsize=1)
def _mapping(path: str) -> MappingNetwork:
    return load_mapping_network(path)
