"""The light driver's published files: SadTalker's, which holds several networks by prefix, and the MappingNet.

Files are read as tensors only, see `container`; what a network does not use is left out by prefix, and what it
does use must be complete. SadTalker's file (Apache-2.0 code; its `face_3drecon` derives from the Basel Face Model,
whose terms are for research) is published as SadTalker_V0.0.2_256.safetensors and _512, the MappingNet as
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
# Where each network lies in SadTalker's file; matched at the start of a key, not anywhere in it.
PREFIXES: dict[type[PublishedNetwork], str] = {
    ExpressionNetwork: "audio2exp.",
    PoseVae: "audio2pose.",
    FaceReconstruction: "face_3drecon.",
}
TRAINED_AS = "mappingnet."  # before every key of a checkpoint that LivePortraitTalker's training wrote
# In the file for training only.
UNUSED: dict[type[PublishedNetwork], tuple[str, ...]] = {PoseVae: ("netG.encoder.", "netD_motion.")}


def load_from_sadtalker(path: str | os.PathLike[str], network: type[N]) -> N:
    """One network of SadTalker's file: an ExpressionNetwork, a PoseVae or a FaceReconstruction.

    Raises:
        CheckpointError: the file is missing or damaged, lacks the network, or has a wrong key or shape in it.
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
    """The MappingNet, as published, as safetensors, or from a training checkpoint.

    Raises:
        CheckpointError: the file is missing or damaged, or of another network.
    """
    tensors = read_container(path).tensors
    return build_network(_under(TRAINED_AS, tensors) or tensors, MappingNetwork, source=str(path))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
