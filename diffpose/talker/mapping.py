"""LivePortraitTalker's MappingNet: windows of expression coefficients to six lip keypoints.

Source: mkara44, "liveportrait_talker" (2024), after the mapping network of PIRender (Ren et al. 2021).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.liveportrait.nets.blocks import PublishedNetwork, Shapes
from ...lp_core.motion.keypoints import LIPS
from .expression import COEFFICIENTS

CONTEXT_FRAMES = 14  # frames before the middle one in a window
SHORT_WINDOW, TRAINED_WINDOW = 28, 29  # frames: in the published code, and in its training
LAYERS = 3
DILATION = 3
CONVOLVED = (7 - 1) + LAYERS * 2 * DILATION  # frames by which the convolutions shorten their input
CHUNK = 512  # frames processed together, to bound the memory


class MappingNetwork(PublishedNetwork):
    """MappingNet; 9.92 million parameters."""

    published_name = "mappingnet_basic_64inp_onlylip"
    title = "lip mapping network"
    signature = "fc_exp.weight"

    def __init__(self, inputs: int = COEFFICIENTS, width: int = 1024) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(inputs, width, kernel_size=7))
        for layer in range(LAYERS):
            convolution = nn.Conv1d(width, width, kernel_size=3, dilation=DILATION)
            self.add_module(f"encoder{layer}", nn.Sequential(nn.LeakyReLU(0.1), convolution))
        self.fc_exp = nn.Linear(width, len(LIPS) * 3)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "MappingNetwork":
        """See `PublishedNetwork`."""
        width, inputs, _ = shapes["first.0.weight"]
        return cls(inputs, width)

    def forward(self, coefficients: Tensor, window: int) -> Tensor:
        """Lip keypoints (B, L - window + 1, 6, 3) of every window of frames, in the order of LIPS.

        The convolutions are unpadded, so neighbouring windows share all but the final mean.

        Args:
            coefficients: (B, 64, L), L ≥ window.
            window: frames in a window, SHORT_WINDOW or TRAINED_WINDOW.
        """
        x = self.first(coefficients)
        for layer in range(LAYERS):
            x = self.get_submodule(f"encoder{layer}")(x) + x[..., DILATION:-DILATION]
        means = F.avg_pool1d(x, window - CONVOLVED, stride=1)
        return self.fc_exp(means.mT).unflatten(-1, (len(LIPS), 3))


def window_index(frames: int, window: int, ahead: int | None = None) -> Tensor:
    """Frame indices (T, window) of each of T frames' window: CONTEXT_FRAMES before it, itself, and those after.

    Args:
        frames: T; beyond both ends the outermost frame repeats.
        window: frames in a window.
        ahead: frames after the middle one that are used; the last of them repeats beyond. None: all.
    """
    middle = torch.arange(frames)[:, None]
    seen = window if ahead is None else ahead
    newest = (middle + seen).clamp(max=frames - 1)
    return torch.minimum((middle - CONTEXT_FRAMES + torch.arange(window)).clamp(min=0), newest)


def lips_at(
    network: MappingNetwork,
    coefficients: Tensor,
    frames: range,
    window: int = SHORT_WINDOW,
    ahead: int | None = None,
    offset: int = 0,
) -> Tensor:
    """Lip keypoints (N, 6, 3) of the given frames.

    Args:
        network: the MappingNet.
        coefficients: (L, 64) of consecutive frames; beyond the ends the outermost repeat.
        frames: range of consecutive frame indices, counted from the first frame of the voice.
        window: frames in a window.
        ahead: see `window_index`; with None, or all of the window, each frame is convolved once.
        offset: frame index of the first of `coefficients`.
    """
    starts = range(frames.start, frames.stop, CHUNK)
    chunks = [range(start, min(start + CHUNK, frames.stop)) for start in starts]
    lips = [_lips_of_chunk(network, coefficients, chunk, window, ahead, offset) for chunk in chunks]
    return torch.cat(lips) if lips else coefficients.new_zeros(0, len(LIPS), 3)


def _lips_of_chunk(
    network: MappingNetwork, coefficients: Tensor, frames: range, window: int, ahead: int | None, offset: int
) -> Tensor:
    newest = offset + len(coefficients)
    if ahead is None or ahead >= window - CONTEXT_FRAMES - 1:
        seen = torch.arange(frames.start - CONTEXT_FRAMES, frames.stop - CONTEXT_FRAMES + window - 1)
        return network(coefficients[seen.clamp(offset, newest - 1) - offset].T[None], window)[0]
    seen = window_index(newest, window, ahead)[frames.start : frames.stop]
    return network(coefficients[(seen - offset).clamp(min=0)].mT, window)[:, 0]
