"""LivePortrait's appearance extractor F: a face crop to a volume of features."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import ConvNorm, Convolution, DownBlock, Foldable, PublishedNetwork, Shapes, count, fold_batch_norm


class AppearanceExtractor(PublishedNetwork):
    """Extracts the source's features, once per picture.

    Guo et al. 2024, "LivePortrait", section 3.1 (after Wang et al. 2021, face-vid2vid).

    Args:
        widths: channels after the first block and after every halving.
        channels: channels of the volume.
        depth: depth of the volume.
        residual_blocks: number of 3-D residual blocks.
    """

    published_name = "appearance_feature_extractor"
    title = "appearance extractor"
    signature = "resblocks_3d.3dr0.conv1.weight"

    def __init__(
        self,
        widths: tuple[int, ...] = (64, 128, 256),
        channels: int = 32,
        depth: int = 16,
        residual_blocks: int = 6,
    ):
        super().__init__()
        self.first = ConvNorm(3, widths[0], dims=2)
        self.down_blocks = nn.ModuleList(DownBlock(*pair, dims=2) for pair in pairwise(widths))
        self.second = nn.Conv2d(widths[-1], channels * depth, kernel_size=1)
        self.resblocks_3d = nn.Sequential()
        for index in range(residual_blocks):
            self.resblocks_3d.add_module(f"3dr{index}", ResidualBlock3d(channels))
        self.channels = channels

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "AppearanceExtractor":
        """See `PublishedNetwork`."""
        downs = count(shapes, "down_blocks.")
        names = ["first", *(f"down_blocks.{index}" for index in range(downs))]
        channels = shapes["resblocks_3d.3dr0.conv1.weight"][0]
        return cls(
            widths=tuple(shapes[f"{name}.conv.weight"][0] for name in names),
            channels=channels,
            depth=shapes["second.weight"][0] // channels,
            residual_blocks=count(shapes, "resblocks_3d.3dr"),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Pictures (B, 3, 256, 256), RGB in [0, 1], to feature volumes (B, 32, 16, 64, 64)."""
        x = self.first(image)
        for block in self.down_blocks:
            x = block(x)
        x = self.second(x)
        return self.resblocks_3d(x.unflatten(1, (self.channels, -1)))


class ResidualBlock3d(Foldable):
    """Two 3-D convolutions, each after normalisation and ReLU, added to the input.

    Only the second normalisation directly follows a convolution, so only that one can be folded.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv1: Convolution = nn.Conv3d(channels, channels, kernel_size=3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2: nn.Module = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, D, H, W) to the same."""
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))

    def fold(self) -> None:
        """See `Foldable`."""
        self.conv1, self.norm2 = fold_batch_norm(self.conv1, self.norm2)
