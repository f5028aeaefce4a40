"""Loading of the light driver's published files: SadTalker's, with several networks by prefix, and the MappingNet.

Files are read as tensors only, see `container`; unused tensors are skipped by prefix, and all used ones must be
present. SadTalker's file (Apache-2.0 code; its `face_3drecon` derives from the Basel Face Model, which is licensed
for research) is published as SadTalker_V0.0.2_256.safetensors and _512, the MappingNet as
mappingnet_basic_64inp_onlylip.pt.
"""

import os
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from ...lp_core.liveportrait.checkpoint import CheckpointError, build_network
from ...lp_core.liveportrait.nets.blocks import PublishedNetwork
from ..container import read_container
from .expression import ExpressionNetwork
from .mapping import MappingNetwork
from .pose_vae import PoseVae
from .reconstruction import FaceReconstruction

N = TypeVar("N", bound=PublishedNetwork)
# Prefix of each network in SadTalker's file; matched at the start of a key only.
PREFIXES: dict[type[PublishedNetwork], str] = {
    ExpressionNetwork: "audio2exp.",
    PoseVae: "audio2pose.",
    FaceReconstruction: "face_3drecon.",
}
TRAINED_AS = "mappingnet."  # prefix of all keys in checkpoints of LivePortraitTalker's training
# Tensors used in training only.
UNUSED: dict[type[PublishedNetwork], tuple[str, ...]] = {PoseVae: ("netG.encoder.", "netD_motion.")}


def load_from_sadtalker(path: str | os.PathLike[str], network: type[N]) -> N:
    """One network from SadTalker's file: an ExpressionNetwork, a PoseVae or a FaceReconstruction.

    Raises:
        CheckpointError: the file is missing or damaged, lacks the network, or has a wrong key or shape.
    """
    prefix = PREFIXES[network]
    own = _under(prefix, read_container(path, prefix).tensors)
    if not own:
        raise CheckpointError(
            f"{path} holds no {network.title}: none of its keys begins with {prefix!r}. "
            "Give SadTalker_V0.0.2_256.safetensors or SadTalker_V0.0.2_512.safetensors."
        )
    unused = UNUSED.get(network, ())
    used = {key: tensor for key, tensor in own.items() if not key.startswith(unused)}
    return build_network(used, network, source=f"{path} ({prefix}*)")


def load_mapping_network(path: str | os.PathLike[str]) -> MappingNetwork:
    """The MappingNet from the published file, safetensors, or a training checkpoint.

    Raises:
        CheckpointError: the file is missing or damaged, or of another network.
    """
    tensors = read_container(path).tensors
    return build_network(_under(TRAINED_AS, tensors) or tensors, MappingNetwork, source=str(path))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
