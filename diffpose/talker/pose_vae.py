"""SadTalker's PoseVAE: mel windows and random latents to head poses, in blocks of 32 frames; offline only.

Zhang et al. 2023, "SadTalker", section 3.3. Each block has its own latent, so the pose may jump between blocks; as
in SadTalker, a Savitzky-Golay filter smooths that. Module names are those of the published file.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.liveportrait.nets.blocks import PublishedNetwork, Shapes
from .expression import AudioEncoder

BLOCK = 32  # frames
POSE = 6  # angles x, y, z in radians, translation x, y, z in the 3D face model's units
LATENT = 64
EMBEDDING = 512
STYLES = 46  # speakers of its training
HIDDEN = (128, BLOCK * POSE)
WIDTHS = (32, 64, 128, 256)  # of the U-net
HALVING = (2, 1)  # stride over frames; the six pose channels are kept


class PoseVae(PublishedNetwork):
    """The parts of PoseVAE needed for sampling: its audio encoder and its decoder."""

    published_name = "SadTalker_V0.0.2_256"
    title = "head-pose network (audio2pose)"
    signature = "netG.decoder.classbias"

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = nn.ModuleDict({"audio_encoder": AudioEncoder()})
        self.netG = nn.ModuleDict({"decoder": PoseDecoder()})

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "PoseVae":  # noqa: ARG003
        """See `PublishedNetwork`; this network has one size."""
        return cls()

    def forward(self, windows: Tensor, start: Tensor, style: int, latents: Tensor) -> Tensor:
        """Unfiltered pose deltas (T, 6) relative to the first frame; the first is zero.

        Args:
            windows: (T, 80, 16) mel windows, T ≥ 2.
            start: (6,) pose of the first frame, an input of the decoder.
            style: speaker of its training, 0 … 45.
            latents: (blocks_of(T), 64) standard normal.
        """
        embeddings = self.audio_encoder["audio_encoder"](windows[1:])
        decoder = self.netG["decoder"]
        blocks = [
            decoder(_block_before(embeddings, end), start, style, latent)[BLOCK - fresh :]
            for (end, fresh), latent in zip(_blocks(len(embeddings)), latents, strict=True)
        ]
        return torch.cat([windows.new_zeros(1, POSE), *blocks])


class PoseDecoder(nn.Module):
    """Conditional decoder of audio, start pose, style and a latent to the pose deltas of one block."""

    def __init__(self) -> None:
        super().__init__()
        self.classbias = nn.Parameter(torch.empty(STYLES, LATENT))
        self.linear_audio = nn.Linear(EMBEDDING, POSE)
        inputs = POSE + LATENT + BLOCK * POSE
        self.MLP = nn.ModuleDict({"L0": nn.Linear(inputs, HIDDEN[0]), "L1": nn.Linear(*HIDDEN)})
        self.resunet = PoseUnet()
        self.pose_linear = nn.Linear(POSE, POSE)

    def forward(self, embeddings: Tensor, start: Tensor, style: int, latent: Tensor) -> Tensor:
        """Deltas (32, 6) from embeddings (32, 512), the start pose (6,) and a latent (64,)."""
        audio = self.linear_audio(embeddings).flatten()
        hidden = F.relu(self.MLP["L0"](torch.cat([start, latent + self.classbias[style], audio])))
        coarse = torch.sigmoid(self.MLP["L1"](hidden)).view(1, 1, BLOCK, POSE)
        return self.pose_linear(self.resunet(coarse)[0, 0])


class PoseUnet(nn.Module):
    """Residual U-net over frames × pose channels (Zhang et al. 2018, "Road extraction by deep residual U-Net")."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, deepest = WIDTHS
        self.input_layer = nn.Sequential(
            _convolution(1, first), nn.BatchNorm2d(first), nn.ReLU(), _convolution(first, first)
        )
        self.input_skip = nn.Sequential(_convolution(1, first))
        self.residual_conv_1 = ResidualUnit(first, second, HALVING)
        self.residual_conv_2 = ResidualUnit(second, third, HALVING)
        self.bridge = ResidualUnit(third, deepest, HALVING)
        self.upsample_1 = _doubling(deepest)
        self.up_residual_conv1 = ResidualUnit(deepest + third, third)
        self.upsample_2 = _doubling(third)
        self.up_residual_conv2 = ResidualUnit(third + second, second)
        self.upsample_3 = _doubling(second)
        self.up_residual_conv3 = ResidualUnit(second + first, first)
        self.output_layer = nn.Sequential(nn.Conv2d(first, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 32, 6) to the same shape, in 0 … 1."""
        first = self.input_layer(x) + self.input_skip(x)
        second = self.residual_conv_1(first)
        third = self.residual_conv_2(second)
        y = self.upsample_1["upsample"](self.bridge(third))
        y = self.upsample_2["upsample"](self.up_residual_conv1(torch.cat([y, third], 1)))
        y = self.upsample_3["upsample"](self.up_residual_conv2(torch.cat([y, second], 1)))
        return self.output_layer(self.up_residual_conv3(torch.cat([y, first], 1)))


class ResidualUnit(nn.Module):
    """Sum of two normalised, rectified convolutions and a plain one."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            _convolution(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _convolution(outputs, outputs),
        )
        self.conv_skip = nn.Sequential(_convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return self.conv_block(x) + self.conv_skip(x)


def blocks_of(frames: int) -> int:
    """Number of latents for `frames` frames: one for each full or partial block of 32 after the first frame."""
    return -(-(frames - 1) // BLOCK)


def _blocks(frames: int) -> list[tuple[int, int]]:
    """End of each block of embeddings, and number of its new frames."""
    return [(min(start + BLOCK, frames), min(BLOCK, frames - start)) for start in range(0, frames, BLOCK)]


def _block_before(embeddings: Tensor, end: int) -> Tensor:
    """The 32 embeddings before `end`, with the first repeated when there are fewer."""
    return embeddings[torch.arange(end - BLOCK, end).clamp(min=0)]


def _convolution(inputs: int, outputs: int, stride: tuple[int, int] = (1, 1)) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1)


def _doubling(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"upsample": nn.ConvTranspose2d(width, width, HALVING, HALVING)})
