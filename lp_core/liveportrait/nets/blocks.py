"""Building blocks that several LivePortrait networks share, and the folding of their normalisations.

Module names follow the published checkpoints, so that a state dict's keys are the file's keys. A network is
built and loaded in that form; `fold` then merges every normalisation with stored statistics into the
convolution beside it.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .convolutions import RepeatedConvolution, WinogradConvolution

Shapes = Mapping[str, torch.Size]
Convolution = nn.Conv2d | nn.Conv3d
N = TypeVar("N", bound="PublishedNetwork")
CONVOLUTION: dict[int, type[Convolution]] = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class PublishedNetwork(nn.Module):
    """Base class of networks with published weights, each in its own file."""

    published_name: ClassVar[str]
    """The file's name without its suffix."""
    title: ClassVar[str]
    """Name of the network in messages."""
    signature: ClassVar[str]
    """A key that only this network's file has."""
    bears_bfloat16: ClassVar[re.Pattern[str]] = re.compile("(?!)")
    """Prefixes of the names of layers with convolutions that tolerate bfloat16."""
    sees_large_pictures: ClassVar[re.Pattern[str]] = re.compile("(?!)")
    """Prefixes of the names of layers that process some thousand pixels and more."""

    @classmethod
    def for_shapes(cls: type[N], shapes: Shapes) -> N:
        """The network with sizes from a checkpoint's shapes.

        Raises:
            KeyError: a tensor that determines a size is missing.
        """
        raise NotImplementedError

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Prepares the network for a device, in place: convolutions that tolerate `dtype` compute in it.

        The move to the device is done by a `device.ModelPlacement`. float16 has ten bits of mantissa, which all
        layers tolerate; bfloat16 has seven, and layers with visible rounding errors stay in float32. On a CPU the
        wide ones among those use Winograd convolution.
        """
        if device.type == "cpu":
            self._use_fewer_products(dtype)
        if dtype == torch.bfloat16:
            for name, module in self.named_modules():
                if isinstance(module, Convolution | RepeatedConvolution) and self.bears_bfloat16.match(name):
                    module.to(dtype)
        else:
            self.to(dtype)

    def _use_fewer_products(self, dtype: torch.dtype) -> None:
        """Replaces wide convolutions by Winograd convolution where it is faster; idempotent."""
        for name, module in list(self.named_modules()):
            if not (isinstance(module, Convolution) and self.sees_large_pictures.match(name)):
                continue
            half = dtype == torch.bfloat16 and bool(self.bears_bfloat16.match(name))
            if WinogradConvolution.suits(module, half):
                parent, _, own = name.rpartition(".")
                self.get_submodule(parent).add_module(own, WinogradConvolution(module))


class Foldable(nn.Module):
    """A module that can merge its normalisations into its convolutions without changing its output."""

    def fold(self) -> None:
        """Merges in place; idempotent."""
        raise NotImplementedError


def fold(network: nn.Module) -> None:
    """Merges all batch and spectral normalisations of a loaded network in evaluation mode, in place."""
    for module in list(network.modules()):
        if isinstance(module, Foldable):
            module.fold()


def fold_batch_norm(convolution: Convolution, norm: nn.Module) -> tuple[Convolution, nn.Module]:
    """A convolution with its batch normalisation merged, and the module that replaces the normalisation.

    norm(W x + b) = (a W) x + a (b - mean) + beta with a = gamma / sqrt(variance + eps).
    """
    if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
        return convolution, norm
    return fuse_conv_bn_eval(convolution, norm), nn.Identity()


class ConvNorm(Foldable):
    """Convolution that keeps the size, batch normalisation, leaky ReLU.

    `dims` is 2 or 3; `slope` is the gain below zero, 0 for a plain ReLU.
    """

    def __init__(self, inputs: int, outputs: int, dims: int, slope: float = 0.0):
        super().__init__()
        self.conv = CONVOLUTION[dims](inputs, outputs, kernel_size=3, padding=1)
        self.norm: nn.Module = BATCH_NORM[dims](outputs)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ...) to (B, outputs, ...)."""
        return F.leaky_relu(self.norm(applied(self.conv, x)), self.slope)

    def fold(self) -> None:
        """See `Foldable`."""
        self.conv, self.norm = fold_batch_norm(self.conv, self.norm)


class DownBlock(ConvNorm):
    """`ConvNorm`, then height and width are halved by averaging."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ..., H, W) to (B, outputs, ..., H / 2, W / 2)."""
        y = super().forward(x)
        return F.avg_pool2d(planes(y), 2).unflatten(1, y.shape[1:-2])


class UpBlock(ConvNorm):
    """Height and width are doubled by repetition, then `ConvNorm`."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, ..., H, W) to (B, outputs, ..., 2 H, 2 W)."""
        if isinstance(self.conv, RepeatedConvolution):
            return F.leaky_relu(applied(self.conv, x), self.slope)
        return super().forward(F.interpolate(planes(x), scale_factor=2).unflatten(1, x.shape[1:-2]))

    def fold(self) -> None:
        """See `Foldable`; afterwards the convolution works on the input before it is enlarged."""
        if isinstance(self.conv, RepeatedConvolution):
            return
        super().fold()
        self.conv = RepeatedConvolution(self.conv.weight, self.conv.bias, repeat=2)


def applied(convolution: nn.Module, x: Tensor) -> Tensor:
    """A convolution's result, in the precision of its weights."""
    return convolution(x.to(next(convolution.parameters()).dtype))


def planes(x: Tensor) -> Tensor:
    """(B, C, H, W) or (B, C, D, H, W) as (B, planes, H, W).

    Resizing does not change depth, and torch's 2-D resizing supports more devices and dtypes than its 3-D one.
    """
    return x.flatten(1, -3)


class SpectralConv2d(nn.Module):
    """A convolution stored with spectral normalisation (Miyato et al. 2018), in evaluation mode.

    The weight is `weight_orig` / sigma with sigma = uᵀ W v, W being `weight_orig` as a matrix of one row
    per output. u and v are used as stored: training left sigma an estimate, and the network was trained with
    that estimate, not with the true largest singular value.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True):
        super().__init__()
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.register_buffer("weight_u", torch.empty(outputs))
        self.register_buffer("weight_v", torch.empty(inputs * kernel * kernel))

    def normalised_weight(self) -> Tensor:
        """The effective weight (outputs, inputs, kernel, kernel)."""
        weight = self.weight_orig.double()
        sigma = self.weight_u.double() @ weight.flatten(1) @ self.weight_v.double()
        return (weight / sigma).to(self.weight_orig.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        weight = self.normalised_weight()
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)

    def folded(self) -> nn.Conv2d:
        """The same convolution with its effective weight computed once."""
        outputs, inputs, kernel, _ = self.weight_orig.shape
        has_bias = self.bias is not None
        plain = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=has_bias, device="meta")
        plain.weight = nn.Parameter(self.normalised_weight(), requires_grad=False)
        plain.bias = self.bias
        return plain


class SlicedConv3d(nn.Conv3d):
    """A 3-D convolution that keeps the size, computed as one 2-D convolution over all slices.

    Every depth tap of the kernel becomes a block of output channels of the 2-D convolution; the blocks are then
    added, each shifted by its tap. Where torch has no fused 3-D kernel (float64, odd dtypes) it would unfold the
    input, 12.8 GB for the 7 x 7 x 7 mask convolution; this needs tens of megabytes.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__(inputs, outputs, kernel_size=kernel, padding=kernel // 2)

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, D, H, W) to (B, outputs, D, H, W)."""
        taps, depth = self.kernel_size[0], input.shape[2]
        reach = taps // 2
        flat_weight = self.weight.permute(2, 0, 1, 3, 4).flatten(0, 1)
        slices = input.transpose(1, 2)
        blocks = F.conv2d(slices.flatten(0, 1), flat_weight, padding=reach)
        blocks = blocks.unflatten(1, (taps, -1)).unflatten(0, slices.shape[:2])
        blocks = F.pad(blocks, (0, 0) * 4 + (reach, reach))
        total = torch.stack([blocks[:, tap : tap + depth, tap] for tap in range(taps)]).sum(dim=0)
        total = total.transpose(1, 2)
        return total if self.bias is None else total + self.bias.reshape(-1, 1, 1, 1)


def count(shapes: Shapes, prefix: str) -> int:
    """One more than the highest number after `prefix` in any key: the number of blocks in a file."""
    found = (re.match(rf"{re.escape(prefix)}(\d+)\b", key) for key in shapes)
    highest = max((int(match.group(1)) for match in found if match), default=-1)
    return min(highest + 1, len(shapes))
