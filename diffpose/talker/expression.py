"""SadTalker's ExpNet: mel windows to 64 expression coefficients of a 3D face model.

Zhang et al. 2023, "SadTalker", section 3.2. The names of modules are those of the published file.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.liveportrait.nets.blocks import Foldable, PublishedNetwork, Shapes, fold_batch_norm

COEFFICIENTS = 64  # expression coefficients of the Basel face model
FRAMES_AT_ONCE = 64  # windows processed together, to bound the memory
# Of each convolution: inputs, outputs, kernel, stride over (bands, columns), padding. Residual if sizes are equal.
CONVOLUTIONS = (
    (1, 32, 3, (1, 1), 1), (32, 32, 3, (1, 1), 1), (32, 32, 3, (1, 1), 1),
    (32, 64, 3, (3, 1), 1), (64, 64, 3, (1, 1), 1), (64, 64, 3, (1, 1), 1),
    (64, 128, 3, (3, 3), 1), (128, 128, 3, (1, 1), 1), (128, 128, 3, (1, 1), 1),
    (128, 256, 3, (3, 2), 1), (256, 256, 3, (1, 1), 1),
    (256, 512, 3, (1, 1), 0), (512, 512, 1, (1, 1), 0),
)  # fmt: skip


class AudioBlock(Foldable):
    """Convolution, batch normalisation, addition of the input if `residual`, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: tuple[int, int], padding: int, residual: bool
    ) -> None:
        super().__init__()
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.conv_block = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = self.conv_block(x)
        return F.relu(y + x if self.residual else y)

    def fold(self) -> None:
        """See `Foldable`."""
        self.conv_block = nn.Sequential(*fold_batch_norm(*self.conv_block))


class AudioEncoder(nn.Sequential):
    """Windows (T, 80, 16) to embeddings (T, 512); frames are independent of one another."""

    def __init__(self) -> None:
        # The last block has equal sizes too, but is not residual.
        super().__init__(
            *(AudioBlock(*sizes, residual=sizes[0] == sizes[1] and sizes[2] == 3) for sizes in CONVOLUTIONS)
        )

    def forward(self, input: Tensor) -> Tensor:
        """Windows (T, 80, 16) to embeddings (T, 512)."""
        parts = input[:, None].split(FRAMES_AT_ONCE)
        return torch.cat([super(AudioEncoder, self).forward(part).flatten(1) for part in parts])


class ExpressionNetwork(PublishedNetwork):
    """ExpNet, published as SadTalker's `audio2exp`; 2.85 million parameters."""

    published_name = "SadTalker_V0.0.2_256"
    title = "expression network (audio2exp)"
    signature = "mapping1.weight"

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = AudioEncoder()
        self.mapping1 = nn.Linear(512 + COEFFICIENTS + 1, COEFFICIENTS)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "ExpressionNetwork":  # noqa: ARG003
        """See `PublishedNetwork`; this network has one size."""
        return cls()

    def forward(self, windows: Tensor, conditioning: Tensor, blink: Tensor | None = None) -> Tensor:
        """Expression coefficients (T, 64).

        Args:
            windows: (T, 80, 16) mel windows, see `spectrum`.
            conditioning: (64,) or (T, 64) coefficients of the person's picture.
            blink: (T,) 0 open … 1 closed; zeros when None, as in LivePortraitTalker.
        """
        return self.coefficients(self.audio_encoder(windows), conditioning, blink)

    def coefficients(self, embeddings: Tensor, conditioning: Tensor, blink: Tensor | None = None) -> Tensor:
        """Expression coefficients (T, 64) of the audio encoder's embeddings (T, 512); the rest as in `forward`."""
        frames = len(embeddings)
        closed = embeddings.new_zeros(frames) if blink is None else blink
        person = conditioning.expand(frames, COEFFICIENTS)
        return self.mapping1(torch.cat([embeddings, person, closed[:, None]], 1))
