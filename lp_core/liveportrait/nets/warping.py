"""LivePortrait's warping network W: warps the source's features from its keypoints to the driving ones."""

import re
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import (
    ConvNorm,
    Convolution,
    DownBlock,
    Foldable,
    PublishedNetwork,
    Shapes,
    SlicedConv3d,
    UpBlock,
    applied,
    count,
    fold_batch_norm,
)
from .convolutions import FourierHeads

# Not the last two steps of the decoder: their rounding errors alone are a third of a grey level.
BEARS_BFLOAT16 = re.compile(r"dense_motion_network\.hourglass\.(encoder|decoder\.up_blocks\.[0-3])\.")
SEES_LARGE_PICTURES = re.compile(r"third|dense_motion_network\.hourglass\.(encoder\.down_blocks\.0|decoder\.conv)")
KEYPOINT_VARIANCE = 0.01  # of the Gaussian drawn around each keypoint, in squared crop units
Size3 = tuple[int, int, int]  # depth, height, width


@dataclass(frozen=True)
class Warped:
    """The result of the warp for a batch of B driving frames."""

    features: Tensor
    """Warped features (B, 256, 64, 64), the decoder's input, in the network's dtype."""
    occlusion: Tensor
    """Visibility of each pixel in the source (B, 1, 64, 64), in [0, 1]; float32."""
    deformation: Tensor
    """Source coordinates of each voxel (B, 16, 64, 64, 3), x, y, z in [-1, 1]; float32."""


class WarpingNetwork(PublishedNetwork):
    """Warps the source's features. Convolutions may run in half precision; coordinates are always float32.

    Guo et al. 2024, "LivePortrait", section 3.1 (after Wang et al. 2021, face-vid2vid).

    Convention: coordinates are x, y, z; -1 is the centre of the first voxel and 1 that of the last, yet
    sampling treats them as the outer edges (`align_corners=False`) and reads zeros outside. So even the
    identity grid does not reproduce the input: voxel i of n is read at i·n/(n-1) - 0.5, for 64 voxels the
    first at -0.5 (half of it zero). The published weights were trained that way.

    Args:
        volume: channels and depth of the source's features.
        features: channels of the decoder's input.
        keypoints: number of keypoints.
        compressed: channels of the features that are moved by every keypoint.
        widths: channels of the hourglass's levels, finest first.
        decoder_widths: channels of the hourglass's decoder, finest last.
    """

    published_name = "warping_module"
    title = "warping network"
    signature = "dense_motion_network.mask.weight"
    bears_bfloat16 = BEARS_BFLOAT16
    sees_large_pictures = SEES_LARGE_PICTURES

    def __init__(
        self,
        volume: tuple[int, int] = (32, 16),
        features: int = 256,
        keypoints: int = 21,
        compressed: int = 4,
        widths: tuple[int, ...] = (64, 128, 256, 512, 1024),
        decoder_widths: tuple[int, ...] = (512, 256, 128, 64, 32),
    ):
        super().__init__()
        channels, depth = volume
        self.dense_motion_network = DenseMotion(volume, keypoints, compressed, widths, decoder_widths)
        self.third = ConvNorm(channels * depth, features, dims=2, slope=0.01)
        self.fourth = nn.Conv2d(features, features, kernel_size=1)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "WarpingNetwork":
        """See `PublishedNetwork`."""
        compressed, channels = shapes["dense_motion_network.compress.weight"][:2]
        down = "dense_motion_network.hourglass.encoder.down_blocks."
        up = "dense_motion_network.hourglass.decoder.up_blocks."
        return cls(
            volume=(channels, shapes["third.conv.weight"][1] // channels),
            features=shapes["third.conv.weight"][0],
            keypoints=shapes["dense_motion_network.mask.weight"][0] - 1,
            compressed=compressed,
            widths=tuple(shapes[f"{down}{index}.conv.weight"][0] for index in range(count(shapes, down))),
            decoder_widths=tuple(shapes[f"{up}{index}.conv.weight"][0] for index in range(count(shapes, up))),
        )

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> Warped:
        """The features warped to the driving keypoints.

        Args:
            volume: the source's features (1 or B, 32, 16, 64, 64).
            source: the source's keypoints (1 or B, 21, 3). Swapped with `driving`, the result still looks
                plausible, so check the order.
            driving: the driving keypoints (B, 21, 3).
        """
        source, driving = source.float(), driving.float()
        deformation, occlusion = self.dense_motion_network(volume, source, driving)
        warped = sample_volume(volume, deformation).flatten(1, 2)
        features = applied(self.fourth, self.third(warped))
        return Warped(features * occlusion.to(features.dtype), occlusion, deformation)

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """See `PublishedNetwork`; on a CPU the widest convolutions are computed by spectra, in float32."""
        super().prepare(device, dtype)
        if device.type == "cpu":
            self.dense_motion_network.use_spectra()


class DenseMotion(Foldable):
    """Sparse keypoints to the source coordinates of every voxel, and the occlusion."""

    def __init__(
        self,
        volume: tuple[int, int],
        keypoints: int,
        compressed: int,
        widths: tuple[int, ...],
        decoder_widths: tuple[int, ...],
    ):
        super().__init__()
        channels, depth = volume
        motions = keypoints + 1
        self.compress: Convolution = nn.Conv3d(channels, compressed, kernel_size=1)
        self.norm: nn.Module = nn.BatchNorm3d(compressed)
        self.hourglass = Hourglass(motions * (compressed + 1), widths, decoder_widths)
        self.mask = SlicedConv3d(self.hourglass.outputs, motions, kernel=7)
        self.occlusion = nn.Conv2d(self.hourglass.outputs * depth, 1, kernel_size=7, padding=3)
        self.spectra: FourierHeads | None = None

    def forward(self, volume: Tensor, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """The deformation (B, D, H, W, 3) and the occlusion (B, 1, H, W), both float32."""
        prediction = self.hourglass(self.hints(volume, source, driving))
        logits, hidden = self._heads(prediction)
        mask = logits.float().softmax(dim=1)
        return deformation(mask, source - driving), hidden.float().sigmoid()

    def _heads(self, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of the masks (B, 1 + K, D, H, W) and of the occlusion (B, 1, H, W)."""
        if self.spectra is not None:
            return self.spectra(prediction)
        return applied(self.mask, prediction), applied(self.occlusion, prediction.flatten(1, 2))

    def use_spectra(self) -> None:
        """Switches the masks and the occlusion to products of spectra; idempotent."""
        if self.spectra is None:
            self.spectra = FourierHeads(self.mask, self.occlusion)
            del self.mask, self.occlusion

    def hints(self, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
        """The hourglass's input (B, 110, D, H, W), float32: per motion one heat map and four moved features."""
        size: Size3 = (volume.shape[2], volume.shape[3], volume.shape[4])
        compressed = F.relu(self.norm(applied(self.compress, volume))).float()
        shifts = F.pad(source - driving, (0, 0, 1, 0))  # motion 0 is the identity
        heat = F.pad(heat_maps(driving, size) - heat_maps(source, size), (0, 0) * 3 + (1, 0))
        moved = translated_copies(compressed, shifts)
        return torch.cat([heat.unsqueeze(2), moved], dim=2).flatten(1, 2)

    def fold(self) -> None:
        """See `Foldable`."""
        self.compress, self.norm = fold_batch_norm(self.compress, self.norm)


class Hourglass(nn.Module):
    """A 3-D U-Net that halves only height and width, with a skip connection at every level."""

    def __init__(self, inputs: int, widths: tuple[int, ...], decoder_widths: tuple[int, ...]):
        super().__init__()
        self.encoder = HourglassEncoder((inputs, *widths))
        self.decoder = HourglassDecoder((inputs, *widths), decoder_widths)
        self.outputs = decoder_widths[-1] + inputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, D, H, W) to (B, outputs, D, H, W)."""
        return self.decoder(self.decoder.rejoin(self.encoder(x)))


class HourglassEncoder(nn.Module):
    """Returns its input and the features after every halving, finest first."""

    def __init__(self, levels: tuple[int, ...]):
        super().__init__()
        self.down_blocks = nn.ModuleList(DownBlock(*pair, dims=3) for pair in pairwise(levels))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The input, then every level (B, width, D, H / 2^n, W / 2^n)."""
        levels = [x]
        for block in self.down_blocks:
            levels.append(block(levels[-1]))
        return levels


class HourglassDecoder(ConvNorm):
    """From the coarsest level to the finest, with one more convolution at the end."""

    def __init__(self, levels: tuple[int, ...], widths: tuple[int, ...]):
        super().__init__(levels[0] + widths[-1], levels[0] + widths[-1], dims=3)
        returning = (0, *reversed(levels[1:-1]))  # channels of the skip connection into each block
        arriving = (levels[-1], *widths)
        self.up_blocks = nn.ModuleList(
            UpBlock(inputs + beside, outputs, dims=3)
            for inputs, beside, outputs in zip(arriving, returning, widths, strict=False)
        )

    def rejoin(self, levels: list[Tensor]) -> Tensor:
        """The encoder's levels, doubled step by step and joined: (B, outputs, D, H, W)."""
        *finer, y = levels
        for block, beside in zip(self.up_blocks, reversed(finer), strict=True):
            y = torch.cat([block(y), beside], dim=1)
        return y


def corner_coordinates(size: int, like: Tensor) -> Tensor:
    """`size` float32 values from -1 to 1, both included, on the device of `like`."""
    return 2 * torch.arange(size, device=like.device) / (size - 1) - 1


def identity_grid(size: Size3, like: Tensor) -> Tensor:
    """Every voxel's own x, y, z coordinates, (D, H, W, 3)."""
    z, y, x = torch.meshgrid(*(corner_coordinates(n, like) for n in size), indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def heat_maps(keypoints: Tensor, size: Size3) -> Tensor:
    """A Gaussian around each keypoint, (B, K, D, H, W), as the product of one Gaussian per axis."""
    distances = (
        corner_coordinates(n, keypoints) - keypoints[:, :, axis, None] for axis, n in enumerate(reversed(size))
    )
    x, y, z = (torch.exp(distance.square() / (-2 * KEYPOINT_VARIANCE)) for distance in distances)
    return z[:, :, :, None, None] * y[:, :, None, :, None] * x[:, :, None, None, :]


def translated_copies(volume: Tensor, shifts: Tensor) -> Tensor:
    """The volume sampled at the identity grid plus each shift: (B, M, C, D, H, W) for shifts (B, M, 3).

    A translation acts on each axis alone, so three small interpolation matrices replace a 5-D `grid_sample` per
    motion, and run on devices without it. Accepts one volume for the whole batch.
    """
    depth, height, width = volume.shape[2:]
    across, down, inwards = (
        translation_matrix(shifts[:, :, axis], n) for axis, n in enumerate((width, height, depth))
    )
    volume = volume.expand(shifts.shape[0], -1, -1, -1, -1)
    moved = torch.einsum("bmij,bcjhw->bmcihw", inwards, volume)
    moved = torch.einsum("bmij,bmcdjw->bmcdiw", down, moved)
    return torch.einsum("bmij,bmcdhj->bmcdhi", across, moved)


def translation_matrix(shifts: Tensor, size: int) -> Tensor:
    """Matrices that sample one axis, linearly and with zeros outside, at its coordinates plus a shift.

    shifts (...) give matrices (..., size, size). Row i reads at the voxel ((x_i + shift + 1)·size - 1) / 2,
    the position that `grid_sample` with `align_corners=False` takes.
    """
    positions = ((corner_coordinates(size, shifts) + shifts[..., None] + 1) * size - 1) / 2
    voxels = torch.arange(size, device=shifts.device)
    return F.relu(1 - (positions[..., None] - voxels).abs())


def deformation(mask: Tensor, shifts: Tensor) -> Tensor:
    """The motions' weighted mean as a grid (B, D, H, W, 3).

    The masks (B, 1 + K, D, H, W) add up to 1 and motion 0 is the identity, so the mean of the moved grids is the
    identity grid plus the weighted sum of the shifts (B, K, 3).
    """
    moved = torch.einsum("bkdhw,bkc->bdhwc", mask[:, 1:], shifts.expand(mask.shape[0], -1, -1))
    return identity_grid((mask.shape[2], mask.shape[3], mask.shape[4]), mask) + moved


def sample_volume(volume: Tensor, grid: Tensor) -> Tensor:
    """The volume (1 or B, C, D, H, W) sampled at grid (B, D, H, W, 3), float32: linear, zeros outside."""
    volume = volume.float().expand(grid.shape[0], -1, -1, -1, -1)
    return F.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
