"""LivePortrait's motion extractor M: a face crop to keypoints, expression, pose, scale and translation."""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import PublishedNetwork, Shapes, count

EPS = 1e-6  # of every layer norm, and of the response norm
HEADS = ("kp", "scale", "pitch", "yaw", "roll", "t", "exp")


@dataclass(frozen=True)
class RawMotion:
    """The raw outputs of the seven heads for B pictures, float32.

    Lengths are in the crop's normalised coordinates: the 256-pixel crop spans [-1, 1], so 1.0 is 128 pixels;
    x right, y down, z into the picture.
    """

    keypoints: Tensor
    """Canonical keypoints (B, 21, 3)."""
    expression: Tensor
    """Displacement of the keypoints by the expression (B, 21, 3)."""
    pitch: Tensor
    """Logits over 66 angle bins (B, 66)."""
    yaw: Tensor
    """Logits over 66 angle bins (B, 66)."""
    roll: Tensor
    """Logits over 66 angle bins (B, 66)."""
    translation: Tensor
    """(B, 3); z has no effect on the picture."""
    scale: Tensor
    """A plain factor (B, 1), 1.1 to 1.7 for ordinary crops."""


class MotionExtractor(PublishedNetwork):
    """Predicts a face's motion. Must stay in float32: in bfloat16 its noise is as large as real motion.

    Args:
        widths: channels of the four stages.
        blocks: blocks in each stage.
        heads: outputs of each head, in the order of `HEADS`.
    """

    published_name = "motion_extractor"
    title = "motion extractor"
    signature = "detector.fc_kp.weight"

    def __init__(
        self,
        widths: tuple[int, ...] = (96, 192, 384, 768),
        blocks: tuple[int, ...] = (3, 3, 9, 3),
        heads: tuple[int, ...] = (63, 1, 66, 66, 66, 3, 63),
    ):
        super().__init__()
        self.detector = ConvNeXt(widths, blocks, heads)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "MotionExtractor":
        """See `PublishedNetwork`."""
        stages = [f"detector.stages.{stage}." for stage in range(count(shapes, "detector.stages."))]
        return cls(
            widths=tuple(shapes[f"{stage}0.dwconv.weight"][0] for stage in stages),
            blocks=tuple(count(shapes, stage) for stage in stages),
            heads=tuple(shapes[f"detector.fc_{head}.weight"][0] for head in HEADS),
        )

    def forward(self, image: Tensor) -> RawMotion:
        """Pictures (B, 3, 256, 256), RGB in [0, 1], to raw motion."""
        features = self.detector(image.float())
        kp, scale, pitch, yaw, roll, t, exp = (
            self.detector.get_submodule(f"fc_{head}")(features) for head in HEADS
        )
        return RawMotion(kp.unflatten(1, (-1, 3)), exp.unflatten(1, (-1, 3)), pitch, yaw, roll, t, scale)


class ConvNeXt(nn.Module):
    """ConvNeXt V2 (Woo et al. 2023): pictures (B, 3, H, W) to features (B, last width).

    The heads are its children because the checkpoint keeps them there.
    """

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], heads: tuple[int, ...]):
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, widths[0], kernel_size=4, stride=4), ChannelNorm(widths[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for inputs, outputs in pairwise(widths):
            halving = nn.Conv2d(inputs, outputs, kernel_size=2, stride=2)
            self.downsample_layers.append(nn.Sequential(ChannelNorm(inputs), halving))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(width) for _ in range(number)))
            for width, number in zip(widths, blocks, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1], eps=EPS)
        for head, outputs in zip(HEADS, heads, strict=True):
            self.add_module(f"fc_{head}", nn.Linear(widths[-1], outputs))

    def forward(self, image: Tensor) -> Tensor:
        """Pictures to features after the average over the picture and a layer norm."""
        x = image
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        return self.norm(x.mean(dim=(2, 3)))


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, then a two-layer perceptron at every pixel, added to the input."""

    def __init__(self, width: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.grn = GlobalResponseNorm(4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = F.gelu(self.pwconv1(self.norm(y)))
        return x + self.pwconv2(self.grn(y)).permute(0, 3, 1, 2)


class GlobalResponseNorm(nn.Module):
    """Channels compete by their energy over the picture (ConvNeXt V2, equations 1-3); channels last."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, width))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to the same."""
        energy = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        response = energy / (energy.mean(dim=-1, keepdim=True) + EPS)
        return self.gamma * (x * response) + self.beta + x


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, width: int):
        super().__init__(width, eps=EPS)

    def forward(self, input: Tensor) -> Tensor:
        """(B, width, H, W) to the same."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
