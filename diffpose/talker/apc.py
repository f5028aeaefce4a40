"""Live Speech Portraits' speech features: a mel spectrum, 120 columns a second, and its autoregressive encoder.

Chung et al. 2019, "An Unsupervised Autoregressive Model for Speech Representation Learning" (APC); Lu, Chai and
Cao 2021, "Live Speech Portraits", section 3.1.
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.liveportrait.nets.blocks import PublishedNetwork, Shapes
from .spectrum import SAMPLE_RATE, mel_filters

VIDEO_FPS = 60
COLUMN_PERIOD = SAMPLE_RATE * (0.5 / VIDEO_FPS)  # samples; a float step, truncated to whole samples per column
CLIP = 266  # samples of each column's clip
MARGIN = 189  # reflected samples on either side of the clip
FFT_LENGTH = 512
BANDS = 80
BAND_RANGE = (90.0, 7600.0)  # Hz
FLOOR = 1e-5


class Apc(PublishedNetwork):
    """Three causal gated recurrent layers, published as APC_epoch_160.model; 4.06 million parameters."""

    published_name = "APC_epoch_160"
    title = "APC speech encoder"
    signature = "rnns.0.weight_ih_l0"

    def __init__(self, inputs: int = BANDS, width: int = 512, layers: int = 3) -> None:
        super().__init__()
        sizes = [inputs, *[width] * (layers - 1)]
        self.rnns = nn.ModuleList(nn.GRU(size, width, batch_first=True) for size in sizes)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "Apc":
        """See `PublishedNetwork`."""
        gates, inputs = shapes["rnns.0.weight_ih_l0"]
        layers = sum(key.endswith(".weight_ih_l0") for key in shapes)
        return cls(inputs, gates // 3, layers)

    def forward(self, columns: Tensor, memory: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Features (T, 512) of columns (T, 80), and the recurrent state for the next columns."""
        x, after = columns[None], []
        for layer, recurrent in enumerate(self.rnns):
            x, last = recurrent(x, None if memory is None else memory[layer])
            after.append(last)
        return x[0], after


def speech_columns(samples: Tensor) -> Tensor:
    """Mel spectrum (2 · frames, 80) of mono sound (S,) at 16 kHz, 0 (silence) … about 1, two columns a video frame.

    Every column is computed from its own clip of 266 samples, reflected at both ends.
    """
    frames = int(len(samples) / SAMPLE_RATE * VIDEO_FPS)
    starts = torch.tensor([int(column * COLUMN_PERIOD) for column in range(2 * frames)], dtype=torch.long)
    padded = F.pad(samples, (0, CLIP))
    clips = padded[starts[:, None] + torch.arange(CLIP)]
    mirrored = F.pad(clips[:, None], (MARGIN, MARGIN), mode="reflect")[:, 0, :FFT_LENGTH]
    magnitude = torch.fft.rfft(mirrored * _window()).abs()
    logarithm = torch.log((magnitude @ _filters().T).clamp(min=FLOOR))
    return (logarithm - math.log(FLOOR)) / -math.log(FLOOR)


@cache
def _window() -> Tensor:
    """A Hann window of the clip's length, centred in the FFT's."""
    before = (FFT_LENGTH - CLIP) // 2
    return F.pad(torch.hann_window(CLIP), (before, FFT_LENGTH - CLIP - before))


@cache
def _filters() -> Tensor:
    return mel_filters(BANDS, FFT_LENGTH, *BAND_RANGE)
