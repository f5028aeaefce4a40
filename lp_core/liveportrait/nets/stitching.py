"""LivePortrait's three small perceptrons: stitching, mouth retargeting, eye retargeting."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from .blocks import PublishedNetwork, Shapes, count


class StitchingNetworks(PublishedNetwork):
    """Stitching and the two retargeting perceptrons, which are published in one file.

    Guo et al. 2024, "LivePortrait", section 3.2. Keypoints enter flattened as keypoint · 3 + axis.

    Args:
        shoulder: layer widths of the stitching perceptron, input first.
        mouth: layer widths of mouth retargeting.
        eye: layer widths of eye retargeting.
    """

    published_name = "stitching_retargeting_module"
    title = "stitching and retargeting networks"
    signature = "retarget_shoulder.mlp.0.weight"

    def __init__(
        self,
        shoulder: tuple[int, ...] = (126, 128, 128, 64, 65),
        mouth: tuple[int, ...] = (65, 128, 128, 64, 63),
        eye: tuple[int, ...] = (66, 256, 256, 128, 128, 64, 63),
    ):
        super().__init__()
        self.retarget_shoulder = Perceptron(shoulder)
        self.retarget_mouth = Perceptron(mouth)
        self.retarget_eye = Perceptron(eye)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "StitchingNetworks":
        """See `PublishedNetwork`."""
        return cls(*(_widths(shapes, f"retarget_{part}.mlp.") for part in ("shoulder", "mouth", "eye")))

    def stitching_delta(self, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Displacements (B, 21, 3) of driving keypoints that keep the shoulders still, and an x, y shift (B, 2)."""
        delta = self.retarget_shoulder(torch.cat([source.flatten(1), driving.flatten(1)], dim=1))
        keypoints = source[0].numel()
        return delta[:, :keypoints].reshape(source.shape), delta[:, keypoints:]

    def mouth_delta(self, source: Tensor, ratios: Tensor) -> Tensor:
        """Keypoint displacements (B, 21, 3) that bring the lips from one opening ratio to another.

        `ratios` (B, 2): the source's and the target opening over mouth width.
        """
        return self.retarget_mouth(torch.cat([source.flatten(1), ratios], dim=1)).reshape(source.shape)

    def eye_delta(self, source: Tensor, ratios: Tensor) -> Tensor:
        """Keypoint displacements (B, 21, 3) that open or close both eyes.

        `ratios` (B, 3): the source's left and right opening over eye width, and one target ratio for both.
        """
        return self.retarget_eye(torch.cat([source.flatten(1), ratios], dim=1)).reshape(source.shape)


class Perceptron(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, first width) to (B, last width)."""
        return self.mlp(x)


def _widths(shapes: Shapes, prefix: str) -> tuple[int, ...]:
    """Layer widths, input first; the ReLUs between the layers take every other index."""
    layers = (count(shapes, prefix) + 1) // 2
    return (shapes[f"{prefix}0.weight"][1], *(shapes[f"{prefix}{2 * layer}.weight"][0] for layer in range(layers)))
