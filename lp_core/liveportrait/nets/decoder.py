"""LivePortrait's decoder G: warped features to a picture."""

import re
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Foldable, PublishedNetwork, Shapes, SpectralConv2d, applied, count
from .convolutions import RepeatedConvolution, bias_of

SLOPE = 0.2  # of every leaky ReLU here
BEARS_BFLOAT16 = re.compile("G_middle_|up_")  # not the first and the last convolution


class SpadeDecoder(PublishedNetwork):
    """Decodes the picture, conditioned at every layer on the warped features (Park et al. 2019, "SPADE").

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
    bears_bfloat16 = BEARS_BFLOAT16
    sees_large_pictures = re.compile("")

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
            self.add_module(
                f"up_{index}",
                SpadeBlock(inputs, outputs, features, hidden, doubling=True, repeat=2 ** (index + 1)),
            )
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
        x = applied(self.fc, features)
        for index in range(self.middle):
            x = self.get_submodule(f"G_middle_{index}")(x, features)
        for index in range(self.ups):
            x = self.get_submodule(f"up_{index}")(x, features)
        return torch.sigmoid(applied(self.conv_img, F.leaky_relu(x, SLOPE)))


class SpadeBlock(Foldable):
    """A residual block of two convolutions, each after SPADE normalisation.

    Where the number of channels changes, the shortcut has a normalisation and a 1 x 1 convolution of its own,
    without bias and without an activation between them.

    Args:
        inputs: input channels.
        outputs: output channels.
        features: channels of the warped features.
        hidden: channels inside the normalisations.
        doubling: height and width are doubled first, by repetition.
        repeat: repetitions per axis of each pixel of the features in the output.
    """

    def __init__(
        self, inputs: int, outputs: int, features: int, hidden: int, doubling: bool = False, repeat: int = 1
    ):
        super().__init__()
        between = min(inputs, outputs)
        self.doubling, self.repeat = doubling, repeat
        self.conv_0 = SpectralConv2d(inputs, between, kernel=3)
        self.conv_1 = SpectralConv2d(between, outputs, kernel=3)
        self.norm_0 = Spade(inputs, features, hidden)
        self.norm_1 = Spade(between, features, hidden)
        self.has_shortcut = inputs != outputs
        if self.has_shortcut:
            self.conv_s = SpectralConv2d(inputs, outputs, kernel=1, bias=False)
            self.norm_s = Spade(inputs, features, hidden)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W), or doubled; the features may be smaller than the picture."""
        labels = self._labels(features)
        # Repeating pixels changes no mean and no variance, so the normalisation comes before it and is shared.
        normal = self._doubled(F.instance_norm(x))
        shortcut = applied(self.conv_s, self.norm_s(normal, labels[2])) if self.has_shortcut else self._doubled(x)
        y = applied(self.conv_0, F.leaky_relu(self.norm_0(normal, labels[0]), SLOPE))
        y = applied(self.conv_1, F.leaky_relu(self.norm_1(F.instance_norm(y), labels[1]), SLOPE))
        return shortcut + y

    def _norms(self) -> "list[Spade]":
        return [self.norm_0, self.norm_1, *([self.norm_s] if self.has_shortcut else [])]

    def _doubled(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2) if self.doubling else x

    def _labels(self, features: Tensor) -> "tuple[Tensor, ...]":
        """Hidden features (B, hidden, H, W) of each normalisation, from which gain and offset are predicted."""
        if hasattr(self, "shared"):
            return applied(self.shared, features).relu().chunk(len(self._norms()), 1)
        enlarged = F.interpolate(features, scale_factor=self.repeat)
        return tuple(applied(norm.mlp_shared, enlarged) for norm in self._norms())

    def fold(self) -> None:
        """Merges spectral normalisations, and the convolutions of the features, not enlarged, into one."""
        for name, child in list(self.named_children()):
            if isinstance(child, SpectralConv2d):
                self.add_module(name, child.folded())
            if isinstance(child, Spade):
                child.fold()
        if hasattr(self, "shared"):
            return
        parts = [part for norm in self._norms() for part in norm.mlp_shared]
        together = joined([part for part in parts if isinstance(part, nn.Conv2d)])
        for norm in self._norms():
            del norm.mlp_shared
        self.shared = together
        if self.repeat > 1:
            self.shared = RepeatedConvolution(together.weight, bias_of(together), self.repeat)


class Spade(nn.Module):
    """Scales and shifts a normalised picture by a gain and an offset per pixel, predicted from warped features."""

    def __init__(self, channels: int, features: int, hidden: int):
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(features, hidden, kernel_size=3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, kernel_size=3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, kernel_size=3, padding=1)

    def forward(self, normal: Tensor, label: Tensor) -> Tensor:
        """(B, channels, H, W), normalised, to the same; the label is (B, hidden, H, W)."""
        if hasattr(self, "both"):
            gain, offset = applied(self.both, label).chunk(2, 1)
        else:
            gain, offset = applied(self.mlp_gamma, label), applied(self.mlp_beta, label)
        return torch.addcmul(normal + offset, normal, gain.to(normal.dtype))

    def fold(self) -> None:
        """Merges the convolutions of gain and offset into one; idempotent."""
        if not hasattr(self, "both"):
            self.both = joined([self.mlp_gamma, self.mlp_beta])
            del self.mlp_gamma, self.mlp_beta


def joined(convolutions: list[nn.Conv2d]) -> nn.Conv2d:
    """One 3 x 3 convolution that returns the concatenated outputs of several of the same input."""
    first = convolutions[0]
    outputs = sum(convolution.out_channels for convolution in convolutions)
    both = nn.Conv2d(first.in_channels, outputs, kernel_size=3, padding=1, device="meta")
    weight = torch.cat([convolution.weight for convolution in convolutions])
    bias = torch.cat([bias_of(convolution) for convolution in convolutions])
    both.weight, both.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    return both
