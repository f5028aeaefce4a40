"""Speech features that encode each frame once: the encoder continues from cached keys and values.

A HuBERT of base size encodes four seconds for every hop of a live stream, though only a fifth of a second is new.
Here the state of earlier frames is cached (keys and values of every layer, the positional convolution's input, the
statistics of the first convolution's normalisation) and only the new frames are computed.

The features are not numerically equal: a cached frame's keys and values are those of the window that settled it,
with its look-ahead as future, while encoding again would include later frames. The first window is exact.
tests/benchmarks/diffusion_speed.py measures the time saved, and on published weights the difference; on the
two-layer encoder of the tests it is a ninth of the features' variation.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..transformer import KeysValues
from .encoder import CONV_STRIDES, UNIT, SpeechEncoder, pad_to_units, pair_mean
from .settings import SpeechSettings
from .streaming import ArrivedSound

UNITS_PER_FRAME = 2
POSITIONS_PER_UNIT = UNIT // CONV_STRIDES[0]  # output positions of the first convolution
MARGIN = 1  # frames encoded before the new ones, so that padding does not affect those


@dataclass(frozen=True, eq=False)
class Loudness:
    """Statistics over time of a part of the first convolution's output.

    Attributes:
        count: positions.
        total: (1, C, 1) float64, sum over positions.
        squares: (1, C, 1) float64, sum of squares.
    """

    count: int
    total: Tensor
    squares: Tensor

    @classmethod
    def of(cls, signal: Tensor) -> "Loudness":
        """The statistics of a signal (1, C, positions)."""
        wide = signal.double()
        return cls(signal.shape[-1], wide.sum(-1, keepdim=True), wide.square().sum(-1, keepdim=True))


@dataclass(frozen=True, eq=False)
class HeardWindow:
    """State of the encoder for the latest window of n units.

    Attributes:
        signal: (1, C, positions) the first convolution's output.
        projected: (1, n, H) input of the positional convolution.
        layers: keys and values of each layer.
    """

    signal: Tensor
    projected: Tensor
    layers: tuple[KeysValues, ...]


class IncrementalFeatures:
    """A `streaming.SpeechFeatures` at a cost independent of the length of cached sound.

    Windows must be consecutive: each begins at the frame that was last passed to `forget`.

    Args:
        encoder: the speech encoder, of base size.
        speech: preprocessing of its network's sound; the level must be "as_is".
        memory: frames cached in addition to those being encoded.

    Raises:
        ValueError: the encoder or the level does not allow incremental encoding.
    """

    def __init__(self, encoder: SpeechEncoder, speech: SpeechSettings, memory: int) -> None:
        network: Any = encoder.network
        if network.config.do_stable_layer_norm or network.config.feat_extract_norm != "group":
            raise ValueError(
                "Only speech encoders of base size are heard incrementally; use a plan that hears anew."
            )
        if speech.level != "as_is":
            raise ValueError(
                f"This network levels its sound over the {speech.level}, which is not known while it is still "
                "arriving; use a plan that hears anew."
            )
        encoder.ensure_loaded(0)
        self._encoder, self._network, self._memory = encoder, network, memory * UNITS_PER_FRAME
        self._arrived = ArrivedSound(speech.padding)
        # Single precision takes no longer for so few units, and half precision is wrong on some CPUs.
        positional = network.encoder.pos_conv_embed.conv
        self._position_weight, self._position_bias = positional.weight.detach().float(), positional.bias.float()
        self._next = 0  # the first frame that is not cached yet
        self._loudness: deque[Loudness] = deque()
        nothing = torch.zeros(1, 0, network.config.hidden_size, device=encoder.device, dtype=encoder.dtype)
        self._projected = nothing
        self._layers = tuple(self._keys_values(layer.attention, nothing) for layer in network.encoder.layers)
        self._window: HeardWindow | None = None

    @property
    def samples(self) -> int:
        """See SpeechFeatures."""
        return self._arrived.samples

    def push(self, sound: Tensor) -> None:
        """Append sound (S,), 16 kHz; see `streaming.mono`."""
        self._arrived.push(sound)

    @torch.no_grad()
    def between(self, start: int, end: int) -> Tensor:
        """See SpeechFeatures.

        Raises:
            ValueError: the window does not begin at the frame last passed to `forget`.
        """
        if start != self._next:
            raise ValueError(f"This stream goes on at frame {self._next}; it was asked for frame {start}.")
        self._encoder.ensure_loaded(0)
        before = min(MARGIN, start)
        sound = pad_to_units(self._arrived.frames(start - before, end)).to(
            self._encoder.device, self._encoder.dtype
        )
        signal = self._network.feature_extractor.conv_layers[0].conv(sound[:, None])
        signal = signal[..., before * UNITS_PER_FRAME * POSITIONS_PER_UNIT :]
        projected = self._network.feature_projection(self._convolved(signal).mT)
        hidden, layers = self._encoded(projected + self._positions(projected))
        self._window = HeardWindow(signal, projected, layers)
        return pair_mean(self._encoder.handed_on(hidden.float()))

    def forget(self, frame: int) -> None:
        """See SpeechFeatures; the state of the frames before this one is cached."""
        units, window = (frame - self._next) * UNITS_PER_FRAME, self._window
        if window is None:
            return
        self._loudness.append(Loudness.of(window.signal[..., : units * POSITIONS_PER_UNIT]))
        while sum(part.count for part in self._loudness) > self._memory * POSITIONS_PER_UNIT:
            self._loudness.popleft()
        reach = self._network.encoder.pos_conv_embed.conv.padding[0]
        self._projected = torch.cat((self._projected, window.projected[:, :units]), 1)[:, -reach:]
        self._layers = tuple(
            self._remembered(old, new, units) for old, new in zip(self._layers, window.layers, strict=True)
        )
        self._next, self._window = frame, None
        self._arrived.forget(frame - MARGIN)

    def _convolved(self, signal: Tensor) -> Tensor:
        """The convolutions' output (1, C, n) from the first one's, normalised over all cached sound."""
        first, *others = self._network.feature_extractor.conv_layers
        parts = [*self._loudness, Loudness.of(signal)]
        count = sum(part.count for part in parts)
        mean = torch.stack([part.total for part in parts]).sum(0) / count
        variance = torch.stack([part.squares for part in parts]).sum(0) / count - mean.square()
        norm = first.layer_norm
        gain = norm.weight[:, None] * torch.rsqrt(variance.clamp(min=0) + norm.eps)
        x = first.activation(((signal - mean) * gain + norm.bias[:, None]).to(signal.dtype))
        for layer in others:
            x = layer(x)
        return x

    def _positions(self, projected: Tensor) -> Tensor:
        """Positional convolution (1, n, H) of new units and those before them, zero-padded after."""
        embedding = self._network.encoder.pos_conv_embed
        reach = embedding.conv.padding[0]
        known = torch.cat((self._projected, projected), 1).mT
        padded = F.pad(known, (reach - self._projected.shape[1], reach))
        weight, bias, groups = self._position_weight, self._position_bias, embedding.conv.groups
        placed = F.conv1d(padded.float(), weight, bias, groups=groups).to(projected.dtype)
        return embedding.activation(placed[..., : projected.shape[1]]).mT

    def _encoded(self, x: Tensor) -> tuple[Tensor, tuple[KeysValues, ...]]:
        """Last hidden state (1, n, H) of new units, and their keys and values in each layer."""
        encoder = self._network.encoder
        x, made = encoder.layer_norm(x), []
        for layer, before in zip(encoder.layers, self._layers, strict=True):
            new = self._keys_values(layer.attention, x)
            queries = self._split(layer.attention.q_proj(x))
            keys, values = torch.cat((before.keys, new.keys), 2), torch.cat((before.values, new.values), 2)
            mixed = F.scaled_dot_product_attention(queries, keys, values)
            x = layer.layer_norm(x + layer.attention.out_proj(mixed.transpose(1, 2).flatten(2)))
            x = layer.final_layer_norm(x + layer.feed_forward(x))
            made.append(new)
        return x, tuple(made)

    def _remembered(self, old: KeysValues, new: KeysValues, units: int) -> KeysValues:
        keys = torch.cat((old.keys, new.keys[:, :, :units]), 2)
        values = torch.cat((old.values, new.values[:, :, :units]), 2)
        kept = slice(max(keys.shape[2] - self._memory, 0), None)
        return KeysValues(keys[:, :, kept], values[:, :, kept])

    def _keys_values(self, attention: Any, x: Tensor) -> KeysValues:
        return KeysValues(self._split(attention.k_proj(x)), self._split(attention.v_proj(x)))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self._network.config.num_attention_heads, -1)).transpose(1, 2)
