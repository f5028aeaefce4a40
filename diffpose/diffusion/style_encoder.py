"""The style encoder: a window of normalised motion to a code of its speaker's style.

Source: Sun et al. (2024), "DiffPoseTalk", section 3.3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..transformer import PositionMode, PostNormLayer, sinusoidal_positions


@dataclass(frozen=True)
class StyleEncoderLayout:
    """Sizes of a style encoder.

    Attributes:
        motion_dims: numbers per frame, normalised as the denoiser's.
        width: length of the style code.
        layers: encoder layers.
        frames: frames of a training window (4 s at 25 frames a second).
        position: "legacy" for published encoders (a bag of frames), "sequential" for our own.
        heads: attention heads.
        feed_forward: hidden width, in multiples of the width.
    """

    motion_dims: int
    width: int = 128
    layers: int = 4
    frames: int = 100
    position: PositionMode = "legacy"
    heads: int = 4
    feed_forward: int = 4

    def __post_init__(self) -> None:
        if self.position not in ("legacy", "sequential"):
            raise ValueError(f"A style encoder numbers its frames as legacy or sequential; got {self.position!r}.")


class StyleEncoder(nn.Module):
    """Motion (N, n, d) to style codes (N, width), by a transformer and the mean over time."""

    def __init__(self, layout: StyleEncoderLayout) -> None:
        super().__init__()
        self.layout = layout
        hidden = layout.feed_forward * layout.width
        self.motion_map = nn.Linear(layout.motion_dims, layout.width)
        self.layers = nn.ModuleList(PostNormLayer(layout.width, layout.heads, hidden) for _ in range(layout.layers))

    def forward(self, motion: Tensor) -> Tensor:
        """Codes (N, width) of windows (N, n, d); their length may differ from training."""
        x = self.motion_map(motion)
        x = x + sinusoidal_positions(self.layout.position, x.shape[1], self.layout.frames, x)
        for layer in self.layers:
            x = layer(x)
        return x.mean(1)

    @torch.no_grad()
    def encode(self, motion: Tensor) -> Tensor:
        """One code (width,) of a clip (T, d): the mean over windows that cover all its frames.

        Raises:
            ValueError: the clip has no frames, or a different number of values per frame than the encoder takes.
        """
        if motion.ndim != 2 or not len(motion) or motion.shape[1] != self.layout.motion_dims:
            raise ValueError(
                f"The style encoder takes motion of shape (frames, {self.layout.motion_dims}) with at least one "
                f"frame; got {tuple(motion.shape)}."
            )
        starts = _window_starts(len(motion), self.layout.frames)
        windows = torch.stack([motion[start : start + self.layout.frames] for start in starts])
        return self(windows).mean(0)


def _window_starts(frames: int, window: int) -> list[int]:
    """Starts of the fewest evenly spaced windows that cover all frames; one when the clip fits in a window."""
    if frames <= window:
        return [0]
    count = -(-frames // window)
    return [(frames - window) * index // (count - 1) for index in range(count)]
