"""LivePortraitTalker's MappingNet: expression coefficients over half a second to six lip keypoints.

Source: mkara44, "liveportrait_talker" (2024), after the mapping network of PIRender (Ren et al. 2021).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.keypoints import LIPS
from ...lp_core.nets.blocks import PublishedNetwork, Shapes
from .expression import COEFFICIENTS

PAST = 14  # frames before the middle one in a window
SHORT_WINDOW, TRAINED_WINDOW = 28, 29  # frames: as published code runs it, and as it was trained
LAYERS = 3
DILATION = 3
CONVOLVED = (7 - 1) + LAYERS * 2 * DILATION  # frames that the convolutions use up
CHUNK = 512  # frames that go through the network together; bounds its memory


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
        """Lip keypoints (B, L - window + 1, 6, 3), in the order of LIPS, of every window of frames.

        The convolutions pad nothing, so neighbouring windows share all but their last mean.

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
    """The frames (T, window) in the window of each of T frames: PAST before it, itself, and what follows.

    Args:
        frames: T; beyond both ends the outermost frame repeats.
        window: frames in a window.
        ahead: frames after the middle one that may be seen; those beyond repeat the last of them. None: all.
    """
    middle = torch.arange(frames)[:, None]
    seen = window if ahead is None else ahead
    newest = (middle + seen).clamp(max=frames - 1)
    return torch.minimum((middle - PAST + torch.arange(window)).clamp(min=0), newest)


def lips_of_track(network: MappingNetwork, coefficients: Tensor, window: int = SHORT_WINDOW) -> Tensor:
    """Lip keypoints (T, 6, 3) of a whole track of coefficients (T, 64), each frame computed once."""
    after = window - PAST - 1
    padded = F.pad(coefficients.T[None], (PAST, after), mode="replicate")
    starts = range(0, len(coefficients), CHUNK)
    return torch.cat([network(padded[..., start : start + CHUNK + window - 1], window)[0] for start in starts])
