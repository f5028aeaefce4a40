"""The small network that places 478 landmarks on a face in a 128-pixel crop.

Convention: landmarks are in crop pixels, whose origin is the centre of the top-left pixel; z has the same unit and
points away from the viewer. Check: the mean face is centred at (64, 64) and its larger side is 84 pixels long.

The shipped weights (landmark_net.safetensors, fp16, batch norm folded into the convolutions) are our own, distilled
from labels of MediaPipe Face Mesh (Apache-2.0) on example pictures of open projects and renderings of them; the
recipe stands in diffpose/training/landmarks.py.
"""

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..landmarks import LANDMARKS

SIZE = 128  # pixels a side of the crop
MARGIN = 1.5  # side of the crop over the larger side of the face's box
COMPONENTS = 80  # principal components of shape and placement
EXPANSION = 2  # channels inside a block over channels that enter it

# Output channels and stride of each block.
BLOCKS = (
    (24, 2), (24, 1),
    (40, 2), (40, 1), (40, 1),
    (64, 2), (64, 1), (64, 1),
    (96, 2), (96, 1),
)  # fmt: skip
STEM_CHANNELS, HEAD_CHANNELS = 16, 32
CELLS = SIZE // 32  # a side, after the stem and four blocks have halved the crop


class Convolution(nn.Module):
    """A convolution, padded to keep the size, with batch norm while it is trained and without once it is folded."""

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
    """Widen, filter each channel, narrow; added to the input where shapes agree (Sandler et al. 2018, fig. 3)."""

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


class LandmarkNet(nn.Module):
    """Crop to landmarks, as coefficients of a principal-component model of faces.

    Args:
        normalised: with batch norm, as it is trained; `folded` gives the same network without.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, normalised: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(LANDMARKS, 3))
        self.register_buffer("basis", torch.zeros(COMPONENTS, LANDMARKS, 3))
        self.stem = Convolution(3, STEM_CHANNELS, 3, 2, 1, normalised)
        inputs = (STEM_CHANNELS, *(outputs for outputs, _ in BLOCKS))
        self.blocks = nn.Sequential(
            *(InvertedResidual(i, o, stride, normalised) for i, (o, stride) in zip(inputs, BLOCKS, strict=False))
        )
        self.head = nn.Conv2d(BLOCKS[-1][0], HEAD_CHANNELS, 1)
        self.coefficients = nn.Linear(HEAD_CHANNELS * CELLS**2, COMPONENTS)

    def forward(self, crops: Tensor) -> Tensor:
        """Landmarks (B, 478, 3) in crop pixels of crops (B, 3, 128, 128) in 0…1."""
        features = F.relu(self.stem(crops * 2 - 1))
        features = F.relu(self.head(self.blocks(features)))
        amounts = self.coefficients(features.flatten(1))
        return self.mean + (amounts @ self.basis.flatten(1)).view(-1, LANDMARKS, 3)


def folded(network: LandmarkNet) -> LandmarkNet:
    """The same function with every batch norm folded into its convolution, ready to be shipped."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    result = LandmarkNet().eval()
    parts = dict(network.eval().named_modules())
    state = {name: value for name, value in network.state_dict().items() if name in result.state_dict()}
    for name, part in parts.items():
        if isinstance(part, Convolution) and isinstance(part.norm, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(part.convolution, part.norm)
            state |= {f"{name}.convolution.{key}": value for key, value in fused.state_dict().items()}
    result.load_state_dict(state)
    return result


@cache
def landmark_net() -> LandmarkNet:
    """The network that is shipped with the pack, in float32 on the CPU; it is not to be changed."""
    from safetensors.torch import load_file

    network = LandmarkNet().eval().requires_grad_(False)
    tensors = load_file(Path(__file__).with_name("landmark_net.safetensors"))
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return network
