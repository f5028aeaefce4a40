"""Ditto's motion network (LMDM), a denoiser with the interface of `diffusion.denoiser`.

It takes 80-frame windows of LivePortrait motion in Ditto's form (265 numbers a frame: scale - 1, the raw 66-bin
logits of pitch, yaw and roll, translation, expression), with 1103 conditions a frame (speech 1024, emotion 8, eye
opening 2, eyeball 6, canonical keypoints 63).
Source: Li et al. (2024), "Ditto", section 3.2; the FiLM decoder is that of Tseng et al. (2023), "EDGE".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..transformer import WAVELENGTH, Attention, KeysValues, feed_forward

TIME_TOKENS = 2
TIME_EXPANSION = 4  # width of the hidden time embedding, in multiples of the model's


@dataclass(frozen=True)
class LmdmLayout:
    """Sizes of an LMDM checkpoint.

    Attributes:
        motion_dims: motion channels.
        condition_dims: condition channels.
        frames: window length.
        width: transformer width.
        hidden: feed-forward width.
        layers: decoder layers.
        condition_layers: encoder layers of the condition.
        heads: attention heads.
    """

    motion_dims: int = 265
    condition_dims: int = 1103
    frames: int = 80
    width: int = 512
    hidden: int = 1024
    layers: int = 8
    condition_layers: int = 2
    heads: int = 8


@dataclass(frozen=True, eq=False)
class LmdmWindow:
    """One prepared window, batch B = guidance entries · N.

    Attributes:
        condition: (B, frames, width) encoded condition.
        pooled: (B, width) projected mean over its frames.
        first_frame: (B, motion_dims) the motion just before the window.
    """

    condition: Tensor
    pooled: Tensor
    first_frame: Tensor


def rotated(x: Tensor) -> Tensor:
    """(N, n, width) with rotary positions: neighbouring pairs rotated by position · 10000^(-2i/width).

    Check: position 0 is unchanged. Source: Su et al. (2021), equation 15. Ditto rotates the whole width before the
    query and key projections, where the paper rotates each head after them.
    """
    length, width = x.shape[1:]
    pairs = torch.arange(0, width, 2, device=x.device, dtype=torch.float32)
    positions = torch.arange(length, device=x.device, dtype=torch.float32)
    angles = positions[:, None] * WAVELENGTH ** (-pairs / width)
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), -1).flatten(-2)


class RotaryAttention(Attention):
    """Attention with queries and keys from rotated inputs, and values from unrotated ones."""

    def prepare(self, memory: Tensor) -> KeysValues:
        """Keys and values of a memory (N, M, width)."""
        return self.remember(rotated(memory), memory)

    def forward(self, x: Tensor, memory: KeysValues | None = None) -> Tensor:
        """Attention of (N, n, width) to a prepared memory, or to itself."""
        return self.recall(rotated(x), self.prepare(x) if memory is None else memory)


class Film(nn.Module):
    """Feature-wise scale and shift from a vector (Perez et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """(N, n, width) modulated by vector (N, width): (1 + a) · x + b."""
        scale, shift = self.project(F.mish(vector))[:, None].chunk(2, -1)
        return (1 + scale) * x + shift


class ConditionLayer(nn.Module):
    """Pre-norm encoder layer."""

    def __init__(self, layout: LmdmLayout) -> None:
        super().__init__()
        self.self_attention = RotaryAttention(layout.width, layout.heads)
        self.feed_forward = feed_forward(layout.width, layout.hidden)
        self.norm1 = nn.LayerNorm(layout.width)
        self.norm2 = nn.LayerNorm(layout.width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, n, width) to the same shape."""
        x = x + self.self_attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class FilmDecoderLayer(nn.Module):
    """Pre-norm decoder layer with a FiLM modulation of every residual by a vector."""

    def __init__(self, layout: LmdmLayout) -> None:
        super().__init__()
        self.self_attention = RotaryAttention(layout.width, layout.heads)
        self.cross_attention = RotaryAttention(layout.width, layout.heads)
        self.feed_forward = feed_forward(layout.width, layout.hidden)
        self.norm1 = nn.LayerNorm(layout.width)
        self.norm2 = nn.LayerNorm(layout.width)
        self.norm3 = nn.LayerNorm(layout.width)
        self.film = nn.ModuleList(Film(layout.width) for _ in range(3))

    def forward(self, x: Tensor, memory: Tensor, vector: Tensor) -> Tensor:
        """(N, n, width) conditioned on memory (N, M, width) and vector (N, width)."""
        x = x + self.film[0](self.self_attention(self.norm1(x)), vector)
        x = x + self.film[1](self.cross_attention(self.norm2(x), self.cross_attention.prepare(memory)), vector)
        return x + self.film[2](self.feed_forward(self.norm3(x)), vector)


class Lmdm(nn.Module):
    """Predicts a clean window of Ditto's motion."""

    def __init__(self, layout: LmdmLayout) -> None:
        super().__init__()
        self.layout = layout
        width = layout.width
        self.null_condition = nn.Parameter(torch.randn(1, layout.frames, width))
        self.null_pooled = nn.Parameter(torch.randn(1, width))
        self.time_map = nn.Sequential(nn.Linear(width, TIME_EXPANSION * width), nn.Mish())
        self.time_vector = nn.Linear(TIME_EXPANSION * width, width)
        self.time_tokens = nn.Linear(TIME_EXPANSION * width, TIME_TOKENS * width)
        self.input_map = nn.Linear(2 * layout.motion_dims, width)
        self.condition_map = nn.Linear(layout.condition_dims, width)
        self.condition_layers = nn.ModuleList(ConditionLayer(layout) for _ in range(layout.condition_layers))
        self.pooled_map = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.memory_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(FilmDecoderLayer(layout) for _ in range(layout.layers))
        self.head = nn.Linear(width, layout.motion_dims)

    def window(self, condition: Tensor, first_frame: Tensor, dropped: Sequence[frozenset[str]]) -> LmdmWindow:
        """The window prepared for denoising.

        Args:
            condition: (N, frames, condition_dims).
            first_frame: (N, motion_dims) the motion just before the window.
            dropped: for each guidance entry the conditions to drop; only "audio" has an effect, and drops the
                whole condition.

        Raises:
            ValueError: the condition has another shape than the network takes.
        """
        expected = (self.layout.frames, self.layout.condition_dims)
        if tuple(condition.shape[1:]) != expected:
            raise ValueError(f"Ditto takes conditions of shape {expected}; got {tuple(condition.shape[1:])}.")
        encoded = self.condition_map(condition)
        for layer in self.condition_layers:
            encoded = layer(encoded)
        pooled = self.pooled_map(encoded.mean(1))
        absent = ["audio" in names for names in dropped]
        return LmdmWindow(
            torch.cat([self.null_condition.expand_as(encoded) if none else encoded for none in absent]),
            torch.cat([self.null_pooled.expand_as(pooled) if none else pooled for none in absent]),
            first_frame.repeat(len(absent), 1),
        )

    def forward(self, motion: Tensor, step: Tensor | int, window: LmdmWindow) -> Tensor:
        """Clean motion (B, frames, motion_dims) predicted from noisy motion at step t = 1 … T."""
        # Ditto's steps begin at 0, ours at 1.
        steps = torch.as_tensor(step, device=motion.device).expand(len(motion)) - 1
        time = self.time_map(_time_code(steps, self.layout.width).to(motion.dtype))
        vector = self.time_vector(time) + window.pooled
        tokens = self.time_tokens(time).unflatten(-1, (TIME_TOKENS, -1))
        memory = self.memory_norm(torch.cat((window.condition, tokens), 1))
        before = window.first_frame[:, None].expand_as(motion)
        x = self.input_map(torch.cat((motion, before), -1))
        for layer in self.layers:
            x = layer(x, memory, vector)
        return self.head(x)


def _time_code(steps: Tensor, width: int) -> Tensor:
    """Sines, then cosines (N, width) of steps (N,), with frequencies from 1 to exactly 1 / 10000."""
    half = width // 2
    index = torch.arange(half, device=steps.device, dtype=torch.float32)
    angles = steps.float()[:, None] * torch.exp(index * (-math.log(WAVELENGTH) / (half - 1)))
    return torch.cat((angles.sin(), angles.cos()), -1)
