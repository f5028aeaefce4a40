"""LivePortrait's decoder G: warped features to a picture."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Foldable, PublishedNetwork, Shapes, SpectralConv2d, count

SLOPE = 0.2  # of every leaky ReLU here


class SpadeDecoder(PublishedNetwork):
    """Draws the picture, steered at every layer by the warped features (Park et al. 2019, "SPADE").

    Args:
        features: channels of the warped features.
        width: channels of the middle blocks.
        middle: number of middle blocks.
        ups: channels after each doubling of the picture's sides.
        hidden: channels inside the SPADE normalisations.
        upscale: factor of the last enlargement, by sub-pixel shuffling.
    """

    published_name = "spade_generator"
    title = "decoder"
    signature = "G_middle_0.conv_0.weight_orig"

    def __init__(
        self,
        features: int = 256,
        width: int = 512,
        middle: int = 6,
        ups: tuple[int, ...] = (256, 64),
        hidden: int = 128,
        upscale: int = 2,
    ):
        super().__init__()
        self.fc = nn.Conv2d(features, width, kernel_size=3, padding=1)
        for index in range(middle):
            self.add_module(f"G_middle_{index}", SpadeBlock(width, width, features, hidden))
        for index, (inputs, outputs) in enumerate(pairwise((width, *ups))):
            self.add_module(f"up_{index}", SpadeBlock(inputs, outputs, features, hidden))
        last = nn.Conv2d((width, *ups)[-1], 3 * upscale**2, kernel_size=3, padding=1)
        self.conv_img = nn.Sequential(last, nn.PixelShuffle(upscale))
        self.middle = middle
        self.ups = len(ups)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "SpadeDecoder":
        """See `PublishedNetwork`."""
        ups = count(shapes, "up_")
        return cls(
            features=shapes["fc.weight"][1],
            width=shapes["fc.weight"][0],
            middle=count(shapes, "G_middle_"),
            ups=tuple(shapes[f"up_{index}.conv_1.bias"][0] for index in range(ups)),
            hidden=shapes["G_middle_0.norm_0.mlp_shared.0.weight"][0],
            upscale=round((shapes["conv_img.0.weight"][0] / 3) ** 0.5),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Warped features (B, 256, 64, 64) to pictures (B, 3, 512, 512), RGB in [0, 1]."""
        x = self.fc(features)
        for index in range(self.middle):
            x = self.get_submodule(f"G_middle_{index}")(x, features)
        for index in range(self.ups):
            x = self.get_submodule(f"up_{index}")(F.interpolate(x, scale_factor=2), features)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))


class SpadeBlock(Foldable):
    """A residual block of two convolutions, each after SPADE normalisation.

    Where the number of channels changes, the shortcut has a normalisation and a 1 x 1 convolution of its own,
    without bias and without an activation between them.
    """

    def __init__(self, inputs: int, outputs: int, features: int, hidden: int):
        super().__init__()
        between = min(inputs, outputs)
        self.conv_0 = SpectralConv2d(inputs, between, kernel=3)
        self.conv_1 = SpectralConv2d(between, outputs, kernel=3)
        self.norm_0 = Spade(inputs, features, hidden)
        self.norm_1 = Spade(between, features, hidden)
        self.has_shortcut = inputs != outputs
        if self.has_shortcut:
            self.conv_s = SpectralConv2d(inputs, outputs, kernel=1, bias=False)
            self.norm_s = Spade(inputs, features, hidden)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W); the features may be smaller than the picture."""
        shortcut = self.conv_s(self.norm_s(x, features)) if self.has_shortcut else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, features), SLOPE))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, features), SLOPE))
        return shortcut + y

    def fold(self) -> None:
        """See `Foldable`."""
        for name, child in list(self.named_children()):
            if isinstance(child, SpectralConv2d):
                self.add_module(name, child.folded())


class Spade(nn.Module):
    """Instance normalisation whose gain and offset are drawn from the warped features at every pixel."""

    def __init__(self, channels: int, features: int, hidden: int):
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(features, hidden, kernel_size=3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, kernel_size=3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, kernel_size=3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """(B, channels, H, W) to the same."""
        shared = self.mlp_shared(F.interpolate(features, size=x.shape[2:]))
        return F.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
