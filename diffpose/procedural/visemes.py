"""Mouth shapes of a voice, predicted by a small network of our own (viseme_net.safetensors).

It was trained by training/shipped/visemes.py on synthesised speech with known phoneme times, in many voices; no
recording of a person was used.
"""

import os
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..speech.analysis import MEL_BANDS, Speech
from ..speech.curves import Curve

ASSET = Path(__file__).with_name("viseme_net.safetensors")
DILATIONS = (1, 2, 4, 8, 4, 2)  # frames
REACH = 2 + sum(DILATIONS)  # frames of receptive field on both sides, 230 ms
BLOCK = 6_000  # frames processed together, to bound the memory for long sound


@dataclass(frozen=True, eq=False)
class Visemes:
    """Mouth shapes at ANALYSIS_RATE, each (T,): targets of the spoken sounds, before smoothing to a movement.

    Attributes:
        opening: between the inner lips, eye distances.
        width: of the mouth relative to rest, eye distances; negative is rounded.
        pout: protrusion of the lips, eye distances.
        closure: 0 … 1 of the lips pressed together (M, B, P).
        tongue: 0 … 1 of the tongue raised to the teeth (L, N, TH).
        tuck: 0 … 1 of the lower lip under the upper teeth (F, V).
    """

    opening: Curve
    width: Curve
    pout: Curve
    closure: Curve
    tongue: Curve
    tuck: Curve


SHAPES = tuple(field.name for field in fields(Visemes))
# Typical amplitudes, which are the units of the net's outputs.
UNITS = astuple(Visemes(*np.array([0.06, 0.035, 0.015, 0.5, 0.3, 0.5])))


class VisemeNet(nn.Module):
    """Residual dilated convolutions over time: normalised mels (N, 32, T) to mouth shapes (N, 6, T) in UNITS."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(MEL_BANDS, width, 5, padding=2)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, 3, padding=d, dilation=d) for d in DILATIONS)
        self.last = nn.Conv1d(width, len(SHAPES), 1)

    def forward(self, mels: Tensor) -> Tensor:
        """Mouth shapes (N, 6, T) in UNITS from normalised mels (N, 32, T)."""
        hidden = self.first(mels).relu()
        for block in self.blocks:
            hidden = hidden + block(hidden).relu()
        return self.last(hidden)


@cache
def load_viseme_net(path: str | os.PathLike[str] = ASSET) -> VisemeNet:
    """The trained net from a file, in float32; its width is taken from the tensors' shapes."""
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    net = VisemeNet(width=len(tensors["first.bias"]))
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


@torch.inference_mode()
def visemes(speech: Speech, net: VisemeNet | None = None) -> Visemes:
    """Mouth shapes of an analysed voice, by the built-in net when `net` is None."""
    chosen, mels = net or load_viseme_net(), torch.from_numpy(speech.mels)
    parts = []
    for start in range(0, len(mels), BLOCK):
        before = min(start, REACH)
        seen = mels[start - before : start + BLOCK + REACH].T[None]
        parts.append(chosen(seen)[0, :, before : before + BLOCK])
    shapes = torch.cat(parts, 1).numpy()
    return Visemes(*(shape * unit for shape, unit in zip(shapes, UNITS, strict=True)))
