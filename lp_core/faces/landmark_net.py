"""The landmark networks: one for the whole face, two that refine eyes and mouth from closer crops.

Convention: landmarks are in crop pixels, whose origin is the centre of the top-left pixel; z has the same unit and
points away from the viewer. Check: the mean face is centred at (64, 64) and its larger side is 84 pixels long.

The shipped weights (fp16, batch norm folded into the convolutions) are our own, distilled from labels of MediaPipe
Face Mesh (Apache-2.0) on example pictures of open projects and renderings of them; the recipe is in
diffpose/training/shipped/landmarks.py.
"""

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .landmarks import LANDMARKS
from .mesh_points import LEFT_EYE, LOWER_INNER, LOWER_OUTER, UPPER_INNER, UPPER_OUTER

SIZE = 128  # pixels a side of the crop of a whole face
MARGIN = 1.5  # side of that crop over the larger side of the face's box
COMPONENTS = 80  # principal components of shape and placement
EXPANSION = 2  # channels inside a block over channels that enter it
STEM_CHANNELS, HEAD_CHANNELS = 16, 32

# Output channels and stride of each block.
FACE_BLOCKS = (
    (24, 2), (24, 1),
    (40, 2), (40, 1), (40, 1),
    (64, 2), (64, 1), (64, 1),
    (96, 2), (96, 1),
)  # fmt: skip
PART_BLOCKS = ((24, 2), (24, 1), (40, 2), (40, 1), (64, 2), (64, 1))


@dataclass(frozen=True)
class Part:
    """A part of the face with a refining network of its own.

    Attributes:
        name: name of its weights.
        points: its landmarks; for the eyes those of the picture's left one, the other is processed mirrored.
        framed: landmarks; their mean is the centre of the crop.
        share: side of the crop over the larger side of the face's box.
        size: pixels a side of the crop.
    """

    name: str
    points: tuple[int, ...]
    framed: tuple[int, ...]
    share: float
    size: int = 64


UPPER_LID, LOWER_LID, IRIS = LEFT_EYE.upper, LEFT_EYE.lower[1:-1], LEFT_EYE.iris
BROW = (*LEFT_EYE.brow, 70, 63, 105, 66, 107)
OUTER_LIPS = (*LOWER_OUTER, *UPPER_OUTER[-2:0:-1])
INNER_LIPS = (*LOWER_INNER, *UPPER_INNER[-2:0:-1])

EYE = Part("eye", (*UPPER_LID, *LOWER_LID, *IRIS, *BROW), (33, 133, 159, 145, 105), 0.45)
MOUTH = Part("mouth", (*OUTER_LIPS, *INNER_LIPS), (61, 291, 0, 17, 13, 14), 0.6)


class Convolution(nn.Module):
    """A convolution, padded to keep the size, with batch norm in training and without once it is folded."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, normalised: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not normalised
        )
        self.norm = nn.BatchNorm2d(outputs) if normalised else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, outputs, H / stride, W / stride)."""
        return self.norm(self.convolution(features))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection; residual where shapes agree (Sandler et al. 2018, fig. 3)."""

    def __init__(self, inputs: int, outputs: int, stride: int, normalised: bool) -> None:
        super().__init__()
        wide = inputs * EXPANSION
        self.widen = Convolution(inputs, wide, 1, 1, 1, normalised)
        self.filter = Convolution(wide, wide, 3, stride, wide, normalised)
        self.narrow = Convolution(wide, outputs, 1, 1, 1, normalised)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, outputs, H / stride, W / stride)."""
        change = self.narrow(F.relu(self.filter(F.relu(self.widen(features)))))
        return features + change if self.adds else change


class Backbone(nn.Module):
    """The convolutions common to all networks: square crops (B, 3, size, size) in 0…1 to features (B, n)."""

    def __init__(self, size: int, blocks: tuple[tuple[int, int], ...], normalised: bool) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM_CHANNELS, 3, 2, 1, normalised)
        inputs = (STEM_CHANNELS, *(outputs for outputs, _ in blocks))
        self.blocks = nn.Sequential(
            *(InvertedResidual(i, o, stride, normalised) for i, (o, stride) in zip(inputs, blocks, strict=False))
        )
        self.head = nn.Conv2d(blocks[-1][0], HEAD_CHANNELS, 1)
        halvings = 1 + sum(stride == 2 for _, stride in blocks)
        self.features = HEAD_CHANNELS * (size >> halvings) ** 2

    def forward(self, crops: Tensor) -> Tensor:
        """Features (B, n)."""
        return F.relu(self.head(self.blocks(F.relu(self.stem(crops * 2 - 1))))).flatten(1)


class LandmarkNet(Backbone):
    """A face's crop to its landmarks, as coefficients of a principal-component model of faces.

    Args:
        normalised: with batch norm, for training; `folded` returns the same network without.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, normalised: bool = False) -> None:
        super().__init__(SIZE, FACE_BLOCKS, normalised)
        self.register_buffer("mean", torch.zeros(LANDMARKS, 3))
        self.register_buffer("basis", torch.zeros(COMPONENTS, LANDMARKS, 3))
        self.coefficients = nn.Linear(self.features, COMPONENTS)

    def forward(self, crops: Tensor) -> Tensor:
        """Landmarks (B, 478, 3) in crop pixels of crops (B, 3, 128, 128) in 0…1."""
        amounts = self.coefficients(super().forward(crops))
        return self.mean + (amounts @ self.basis.flatten(1)).view(-1, LANDMARKS, 3)


class PartNet(Backbone):
    """A part's crop to its landmarks."""

    mean: Tensor

    def __init__(self, part: Part, normalised: bool = False) -> None:
        super().__init__(part.size, PART_BLOCKS, normalised)
        self.register_buffer("mean", torch.zeros(len(part.points), 2))
        self.offsets = nn.Linear(self.features, 2 * len(part.points))

    def forward(self, crops: Tensor) -> Tensor:
        """The part's landmarks (B, points, 2) in crop pixels of crops (B, 3, size, size) in 0…1."""
        return self.mean + self.offsets(super().forward(crops)).view(len(crops), -1, 2)


Network = TypeVar("Network", bound=Backbone)


def folded(network: Network) -> Network:
    """The same network with every batch norm folded into its convolution, as it is shipped."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    result = copy.deepcopy(network).eval()
    for part in result.modules():
        if isinstance(part, Convolution) and isinstance(part.norm, nn.BatchNorm2d):
            part.convolution = fuse_conv_bn_eval(part.convolution, part.norm)
            part.norm = nn.Identity()
    return result


@cache
def landmark_net() -> LandmarkNet:
    """The shipped network for whole faces, float32, on the CPU; shared, so not to be modified."""
    return _shipped(LandmarkNet(), "landmark_net.safetensors")


@cache
def part_net(part: Part) -> PartNet:
    """The shipped network for a part of the face, float32, on the CPU; shared, so not to be modified."""
    return _shipped(PartNet(part), f"{part.name}_net.safetensors")


def _shipped(network: Network, name: str) -> Network:
    from safetensors.torch import load_file

    tensors = load_file(Path(__file__).with_name(name))
    network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    return network.eval().requires_grad_(False)
