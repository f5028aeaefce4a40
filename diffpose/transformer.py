"""Transformer parts of the denoisers and the style encoder: attention, feed-forward, post-norm layer, sinusoids."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PositionMode = Literal["learnable", "legacy", "sequential"]
POSITION_MODES = ("learnable", "legacy", "sequential")
WAVELENGTH = 10_000.0  # the longest sinusoid, in positions per radian


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sinusoidal codes (…, width) of positions (…): sine at even, cosine at odd dimensions.

    The frequency of dimension pair i is 10000^(-2i/width) radians per position. Check: position 0 gives 0, 1, 0, 1.
    Source: Vaswani et al. (2017), section 3.5.
    """
    pairs = torch.arange(0, width, 2, dtype=torch.float32, device=positions.device)
    angles = positions.float()[..., None] * torch.exp(pairs * (-math.log(WAVELENGTH) / width))
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)


def sinusoidal_positions(mode: PositionMode, length: int, trained_length: int, like: Tensor) -> Tensor:
    """Positional codes (1, length or 1, width) of a sequence of `length`, on the device of `like` (…, width).

    "sequential" gives rows 0 … length-1. "legacy" gives one row for all positions, at the index of the training's
    length: the published networks were trained with this bug (DiffPoseTalk issue 20), and must run with it. They
    therefore do not depend on order and may run at any length.
    """
    if mode == "legacy":
        positions = torch.tensor([trained_length], device=like.device)
    else:
        positions = torch.arange(length, device=like.device)
    return sinusoids(positions, like.shape[-1])[None].to(like.dtype)


@dataclass(frozen=True, eq=False)
class KeysValues:
    """Projected keys and values of a memory, each (N, heads, M, width / heads)."""

    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """Multi-head attention with one joint projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Self-attention of (N, n, width), unmasked."""
        queries, keys, values = self.in_proj(x).chunk(3, -1)
        return self._attend(self._split(queries), KeysValues(self._split(keys), self._split(values)), None)

    def remember(self, key_input: Tensor, value_input: Tensor) -> KeysValues:
        """Keys and values of a memory (N, M, width), projected once for repeated attention."""
        _, key_weight, value_weight = self.in_proj.weight.chunk(3)
        _, key_bias, value_bias = self.in_proj.bias.chunk(3)
        keys = F.linear(key_input, key_weight, key_bias)
        values = F.linear(value_input, value_weight, value_bias)
        return KeysValues(self._split(keys), self._split(values))

    def recall(self, x: Tensor, memory: KeysValues, allowed: Tensor | None = None) -> Tensor:
        """Attention of (N, n, width) to a memory; the mask `allowed` (n, M) is True where it may attend."""
        width = x.shape[-1]
        queries = F.linear(x, self.in_proj.weight[:width], self.in_proj.bias[:width])
        return self._attend(self._split(queries), memory, allowed)

    def aligned(self, memory: KeysValues) -> Tensor:
        """Attention (N, M, width) where position i may attend only to memory i; independent of the queries.

        A softmax over one key is one, so only the values remain.
        """
        return self.out_proj(self._join(memory.values))

    def _attend(self, queries: Tensor, memory: KeysValues, allowed: Tensor | None) -> Tensor:
        mixed = F.scaled_dot_product_attention(queries, memory.keys, memory.values, attn_mask=allowed)
        return self.out_proj(self._join(mixed))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _join(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)


def feed_forward(width: int, hidden: int) -> nn.Sequential:
    """Two linear layers with an exact GELU between them."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class PostNormLayer(nn.Module):
    """Encoder layer that normalises after each residual sum (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads)
        self.feed_forward = feed_forward(width, hidden)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, n, width) to the same shape."""
        x = self.norm1(x + self.self_attention(x))
        return self.norm2(x + self.feed_forward(x))
