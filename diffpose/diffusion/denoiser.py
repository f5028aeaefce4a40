"""The DiffPoseTalk family's denoiser: noisy motion and speech features in, clean motion out.

One network with switches covers JoyVASA's motion generator, DiffPoseTalk's denoisers, hazard-10's DiffLiveHead
and our own training (Sun et al. 2024, "DiffPoseTalk", section 3.2).

Letters: N batch, L new frames, P context frames, d motion dimensions, D width, T diffusion steps.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from ..transformer import (
    POSITION_MODES,
    Attention,
    KeysValues,
    PositionMode,
    feed_forward,
    sinusoidal_positions,
    sinusoids,
)

Condition = Literal["audio", "style"]
NOTHING_DROPPED: tuple[frozenset[Condition], ...] = (frozenset(),)


@dataclass(frozen=True)
class TokenLayout:
    """Sizes of the person token's inputs; 0 leaves an input out, all 0 leave the token out.

    Attributes:
        shape: identity: 100 FLAME shape coefficients, or 63 canonical keypoint coordinates.
        style: the speaking-style code.
        mouth_open_ratio: the clip's median mouth opening.
        mean_expression: the clip's mean motion vector.
    """

    shape: int = 0
    style: int = 0
    mouth_open_ratio: int = 0
    mean_expression: int = 0

    def sizes(self) -> dict[str, int]:
        """Input name to size, of the inputs with a size above 0."""
        return {name: size for name, size in vars(self).items() if size}


@dataclass(frozen=True)
class DenoiserLayout:
    """Sizes and switches of a denoiser of the family.

    Attributes:
        motion_dims: d.
        audio_dims: width of the speech encoder's features.
        width: D.
        layers: decoder layers.
        new_frames: L of training.
        context_frames: P of training.
        position: numbering of frames; see transformer.sinusoidal_positions.
        time_on: where the embedding of the diffusion step is added: to the person token or to every frame.
        token: inputs of the person token.
        indicator: whether frames carry a flag that audio is present.
        mask_width: frame i attends to audio j where |i-j| < mask_width; 0 attends everywhere.
        start_tokens: whether the first window's context is learned; zeros are used otherwise.
        heads: attention heads (no published file records them; all have 8).
        feed_forward: hidden width of the feed-forward part, in multiples of D.
    """

    motion_dims: int
    audio_dims: int
    width: int
    layers: int
    new_frames: int
    context_frames: int
    position: PositionMode
    time_on: Literal["token", "frames"]
    token: TokenLayout = TokenLayout()
    indicator: bool = False
    mask_width: int = 1
    start_tokens: bool = True
    heads: int = 8
    feed_forward: int = 4

    def __post_init__(self) -> None:
        if self.position not in POSITION_MODES:
            raise ValueError(
                f"Unknown positional encoding {self.position!r}; known are {', '.join(POSITION_MODES)}."
            )
        if self.time_on == "token" and not self.token.sizes():
            raise ValueError("The diffusion step cannot enter on a person token that has no inputs.")
        if self.width % self.heads:
            raise ValueError(f"A width of {self.width} does not divide into {self.heads} attention heads.")

    @property
    def has_token(self) -> bool:
        """Whether a person token precedes the frames."""
        return bool(self.token.sizes())

    @property
    def trained_length(self) -> int:
        """Length of the sequence in training: token, context and new frames."""
        return int(self.has_token) + self.context_frames + self.new_frames


@dataclass(frozen=True, eq=False)
class WindowInput:
    """Conditions of one window of motion.

    Attributes:
        audio: (N, L, D) mapped speech features of the new frames.
        context_audio: (N, P, D) mapped speech features of the context.
        context_motion: (N, P, d) clean motion of the context.
        indicator: (N, L) 1 where there is audio and 0 where the window is padding; None means all 1.
        shape: (N, shape) person-token input; None when the layout has none.
        style: (N, style) likewise.
        mouth_open_ratio: (N, 1) likewise.
        mean_expression: (N, d) likewise.
    """

    audio: Tensor
    context_audio: Tensor
    context_motion: Tensor
    indicator: Tensor | None = None
    shape: Tensor | None = None
    style: Tensor | None = None
    mouth_open_ratio: Tensor | None = None
    mean_expression: Tensor | None = None


@dataclass(frozen=True, eq=False)
class LayerMemory:
    """Cross-attention of one layer, precomputed as far as it does not depend on the motion.

    Attributes:
        attended: (N, P+L, D) its output for the frames when each attends to its own audio alone.
        memory: keys and values for positions that attend to more audio than their own.
        allowed: (positions, P+L) bool, where they may attend; None is everywhere.
    """

    attended: Tensor | None
    memory: KeysValues
    allowed: Tensor | None


@dataclass(frozen=True, eq=False)
class Window:
    """One prepared window: all inputs that are constant over the diffusion steps.

    Attributes:
        context: (N, P, d) clean motion before the new frames.
        flags: (N, P+L, 1) the indicator channel; None without one.
        token: (N, 1, D) the person token without the diffusion step; None without one.
        layers: cross-attention of each layer.
    """

    context: Tensor
    flags: Tensor | None
    token: Tensor | None
    layers: tuple[LayerMemory, ...]


class DecoderLayer(nn.Module):
    """Post-norm decoder layer with cross-attention prepared once per window."""

    def __init__(self, layout: DenoiserLayout) -> None:
        super().__init__()
        self.mask_width = layout.mask_width
        self.has_token = layout.has_token
        self.self_attention = Attention(layout.width, layout.heads)
        self.cross_attention = Attention(layout.width, layout.heads)
        self.feed_forward = feed_forward(layout.width, layout.feed_forward * layout.width)
        self.norm1 = nn.LayerNorm(layout.width)
        self.norm2 = nn.LayerNorm(layout.width)
        self.norm3 = nn.LayerNorm(layout.width)

    def remember(self, audio: Tensor) -> LayerMemory:
        """Prepared cross-attention to audio (N, P+L, D)."""
        memory = self.cross_attention.remember(audio, audio)
        if self.mask_width == 1:
            attended = self.cross_attention.aligned(memory)
            return LayerMemory(attended, memory, None)
        allowed = alignment(audio.shape[1], self.mask_width, self.has_token, audio.device)
        return LayerMemory(None, memory, allowed)

    def forward(self, x: Tensor, prepared: LayerMemory) -> Tensor:
        """(N, positions, D) to the same shape."""
        x = self.norm1(x + self.self_attention(x))
        x = self.norm2(x + self._recall(x, prepared))
        return self.norm3(x + self.feed_forward(x))

    def _recall(self, x: Tensor, prepared: LayerMemory) -> Tensor:
        if prepared.attended is None:
            return self.cross_attention.recall(x, prepared.memory, prepared.allowed)
        if not self.has_token:
            return prepared.attended
        token = self.cross_attention.recall(x[:, :1], prepared.memory)
        return torch.cat((token, prepared.attended), 1)


def alignment(frames: int, width: int, has_token: bool, device: torch.device | str = "cpu") -> Tensor | None:
    """Attention mask (token + frames, frames), True where a position may attend; None is everywhere (`width` < 1).

    Frame i attends to audio j where |i-j| < width; the token's row comes first and is all True.
    """
    if width < 1:
        return None
    index = torch.arange(frames, device=device)
    near = (index[:, None] - index).abs() < width
    if not has_token:
        return near
    return torch.cat((torch.ones_like(near[:1]), near))


class Denoiser(nn.Module):
    """Predicts clean motion, or the noise, depending on its training, from noisy motion, step and speech."""

    def __init__(self, layout: DenoiserLayout) -> None:
        super().__init__()
        self.layout = layout
        width, dims = layout.width, layout.motion_dims
        self.audio_map = nn.Linear(layout.audio_dims, width)
        self.null_audio = nn.Parameter(torch.randn(1, 1, width))
        if layout.token.style:
            self.null_style = nn.Parameter(torch.randn(1, 1, layout.token.style))
        if layout.start_tokens:
            self.start_audio = nn.Parameter(torch.randn(1, layout.context_frames, width))
            self.start_motion = nn.Parameter(torch.randn(1, layout.context_frames, dims))
        if layout.position == "learnable":
            self.position = nn.Parameter(torch.randn(1, layout.trained_length, width))
        self.time_map = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.frame_map = nn.Linear(dims + layout.indicator, width)
        self.token_maps = nn.ModuleDict(
            {name: nn.Linear(size, width) for name, size in layout.token.sizes().items()}
        )
        self.layers = nn.ModuleList(DecoderLayer(layout) for _ in range(layout.layers))
        self.head = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, dims))

    def start(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Context motion (N, P, d) and mapped context audio (N, P, D) of a first window.

        A network without learned start tokens was trained with still motion and the features of real silence:
        its context audio is None here, and is computed by the speech encoder.
        """
        if self.layout.start_tokens:
            return self.start_motion.expand(batch, -1, -1), self.start_audio.expand(batch, -1, -1)
        shape = (batch, self.layout.context_frames, self.layout.motion_dims)
        return self.frame_map.weight.new_zeros(shape), None

    def window(self, inputs: WindowInput, dropped: Sequence[Collection[Condition]] = NOTHING_DROPPED) -> Window:
        """The window prepared for denoising.

        Args:
            inputs: the window's conditions, batch N.
            dropped: for each entry of classifier-free guidance, the conditions to leave out; the window's
                batch is entries · N, entry by entry.

        Raises:
            ValueError: an input of the layout is missing, or one that it does not have is given.
        """
        self._check(inputs)
        entries = [self._without(inputs, conditions) for conditions in dropped]
        audio = torch.cat([torch.cat((entry.context_audio, entry.audio), 1) for entry in entries])
        token = torch.cat([self._token(entry) for entry in entries]) if self.layout.has_token else None
        flags = self._flags(inputs)
        return Window(
            context=inputs.context_motion.repeat(len(entries), 1, 1),
            flags=None if flags is None else flags.repeat(len(entries), 1, 1),
            token=token,
            layers=tuple(layer.remember(audio) for layer in self.layers),  # type: ignore[operator]
        )

    def forward(self, motion: Tensor, step: Tensor | int, window: Window) -> Tensor:
        """Denoised context and new frames (N, P+L, d).

        Args:
            motion: (N, L, d) noisy motion of the new frames, at diffusion step `step`.
            step: t, one for all or (N,).
            window: prepared by `window`, of batch N.
        """
        frames = torch.cat((window.context, motion), 1)
        if window.flags is not None:
            frames = torch.cat((frames, window.flags), -1)
        x = self.frame_map(frames)
        time = self._time(step, len(motion), x)
        if window.token is not None:
            x = torch.cat((window.token, x), 1)
        x = x + self._positions(x)
        x = x + time if self.layout.time_on == "frames" else torch.cat((x[:, :1] + time, x[:, 1:]), 1)
        for layer, prepared in zip(self.layers, window.layers, strict=True):
            x = layer(x, prepared)
        return self.head(x[:, int(self.layout.has_token) :])

    def new_frames(self, motion: Tensor, step: Tensor | int, window: Window) -> Tensor:
        """Denoised new frames (N, L, d) without the context."""
        return self(motion, step, window)[:, -motion.shape[1] :]

    def _time(self, step: Tensor | int, batch: int, like: Tensor) -> Tensor:
        steps = torch.as_tensor(step, device=like.device).expand(batch)
        return self.time_map(sinusoids(steps, self.layout.width).to(like.dtype))[:, None]

    def _positions(self, x: Tensor) -> Tensor:
        layout, length = self.layout, x.shape[1]
        if layout.position != "learnable":
            return sinusoidal_positions(layout.position, length, layout.trained_length, x)
        if length > layout.trained_length:
            raise ValueError(
                f"This network has learned positions for {layout.trained_length} frames and was given {length}; "
                f"use at most {layout.context_frames} context and {layout.new_frames} new frames."
            )
        return self.position[:, :length]

    def _token(self, inputs: WindowInput) -> Tensor:
        parts = [project(getattr(inputs, name)) for name, project in self.token_maps.items()]
        return torch.stack(parts).sum(0)[:, None]

    def _flags(self, inputs: WindowInput) -> Tensor | None:
        if not self.layout.indicator:
            return None
        given = torch.ones_like(inputs.audio[..., 0]) if inputs.indicator is None else inputs.indicator
        context = torch.zeros_like(inputs.context_audio[..., 0])
        return torch.cat((context, given.to(context)), 1)[..., None]

    def _without(self, inputs: WindowInput, dropped: Collection[Condition]) -> WindowInput:
        """The inputs with the learned null embedding in place of each dropped condition; context is kept."""
        if "audio" in dropped:
            inputs = replace(inputs, audio=self.null_audio.expand_as(inputs.audio))
        if "style" in dropped:
            if inputs.style is None:
                raise ValueError(
                    "This network has no style input, so style cannot be guided; set its scale to none."
                )
            inputs = replace(inputs, style=self.null_style[:, 0].expand_as(inputs.style))
        return inputs

    def _check(self, inputs: WindowInput) -> None:
        sizes = self.layout.token.sizes()
        for name in vars(TokenLayout()):
            value, size = getattr(inputs, name), sizes.get(name, 0)
            given = 0 if value is None else value.shape[-1]
            if given != size:
                raise ValueError(
                    f"The denoiser expects {name.replace('_', ' ')} of {size} numbers per person and got {given}."
                )
