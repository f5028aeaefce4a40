"""Layers that a CPU computes wrongly in half precision, found by trying them and then computed in single precision.

Libraries choose their kernels by CPU and shape, and some of these are wrong: on CPUs with AMX, oneDNN 3.12 (torch
2.13) returns noise for a bfloat16 Conv1d of 4 or 12 channels a group with an even kernel, and is right for others.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITIONS = 64  # of the output in the test of a layer
LAYERS = nn.Conv1d, nn.Linear


def keep_wrong_layers_single(network: nn.Module) -> tuple[str, ...]:
    """Switches wrong layers of a half-precision network on the CPU to single precision; returns their names.

    These are the convolutions (zero-padded Conv1d) and linear layers that do not agree with single precision when
    they are tried, one of each configuration. Weights, inputs and outputs stay in half precision.
    """
    agree: dict[str, bool] = {}
    wrong = []
    for name, layer in network.named_modules():
        if isinstance(layer, LAYERS):
            configuration = layer.extra_repr()
            if configuration not in agree:
                agree[configuration] = agrees_with_single(layer)
            if not agree[configuration]:
                layer.register_forward_hook(_single_instead)
                wrong.append(name)
    return tuple(wrong)


@torch.no_grad()
def agrees_with_single(layer: nn.Conv1d | nn.Linear) -> bool:
    """Returns whether a half-precision layer agrees with single precision on seeded noise.

    They may differ by the format's epsilon (2^-7 in bfloat16), in norm. Rounding of the outputs contributes at most
    half of that, since the sums are in single precision; the order of summation contributes far less.
    """
    dtype = next(layer.parameters()).dtype
    noise = _noise_for(layer).to(dtype)
    given = layer(noise).float()
    expected = computed_in_single(layer, noise)
    return bool((given - expected).norm() <= torch.finfo(dtype).eps * expected.norm())


def computed_in_single(layer: nn.Conv1d | nn.Linear, features: Tensor) -> Tensor:
    """Returns the output, float32, of a layer for features, by single-precision arithmetic on its weights."""
    weight, bias = layer.weight.float(), None if layer.bias is None else layer.bias.float()
    if isinstance(layer, nn.Linear):
        return F.linear(features.float(), weight, bias)
    return F.conv1d(features.float(), weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _noise_for(layer: nn.Conv1d | nn.Linear) -> Tensor:
    """Returns seeded noise that fills POSITIONS outputs of a layer, or a few more where it pads."""
    generator = torch.Generator().manual_seed(0)
    if isinstance(layer, nn.Linear):
        return torch.randn(POSITIONS, layer.in_features, generator=generator)
    field = layer.dilation[0] * (layer.kernel_size[0] - 1) + 1
    length = field + layer.stride[0] * (POSITIONS - 1)
    return torch.randn(1, layer.in_channels, length, generator=generator)


def _single_instead(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """A forward hook: its result replaces the wrong output."""
    return computed_in_single(layer, inputs[0]).to(output.dtype)
