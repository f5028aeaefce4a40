"""Coefficients of a 3D face model from a picture: five-point alignment, ResNet-50, seven linear heads.

Deng et al. 2019, "Accurate 3D Face Reconstruction with Weakly-Supervised Learning"; the network of SadTalker's
`face_3drecon`. Its 64 expression coefficients condition the light lip driver on the person.

Convention: landmarks are in picture pixels, y down; the alignment has y up from the lower edge, like the template.
Check: the template's nose tip is nearest to the viewer (z 0.55), its right-hand eye at x +0.31.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.faces.crop import LEFT_EYE, MOUTH, RIGHT_EYE
from ...lp_core.liveportrait.nets.blocks import Foldable, PublishedNetwork, Shapes, fold_batch_norm

ALIGNED_SIZE = 224  # pixels a side of the network's input
FACE_SIZE = 102.0  # pixels per unit of the template in it
NOSE_TIP = 1  # of the 478-point mesh
# Picture-left eye, picture-right eye, nose tip, mouth corners left and right; y up.
TEMPLATE = (
    (-0.31148657, 0.29036078, 0.13377953),
    (0.30979887, 0.28972036, 0.13179526),
    (0.0032535, -0.04617932, 0.55244243),
    (-0.25216928, -0.38133916, 0.22405732),
    (0.2484662, -0.38128236, 0.22235769),
)
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # of ResNet-50: width and blocks
EXPANSION = 4
# identity, expression, texture, angle, light, translation x and y, translation z
HEADS = (80, 64, 80, 3, 27, 2, 1)


@dataclass(frozen=True, eq=False)
class FaceCoefficients:
    """Coefficients of the 3D face model for N pictures.

    Attributes:
        expression: (N, 64).
        angle: (N, 3) radians about x, y, z; y up, the camera looks along -z.
        translation: (N, 3) in the model's units.
    """

    expression: Tensor
    angle: Tensor
    translation: Tensor

    def stack(self) -> Tensor:
        """(N, 70): expression, angle, translation, in SadTalker's order."""
        return torch.cat([self.expression, self.angle, self.translation], -1)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Position and scale of the template in a picture.

    Attributes:
        scale: picture pixels per unit of the template.
        centre: (2,) x, y of the template's origin in pixels, y up from the lower edge.
    """

    scale: float
    centre: Tensor


class Bottleneck(Foldable):
    """1 × 1, 3 × 3 (with the stride), 1 × 1 convolutions, each normalised, added to the input."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.conv1, self.bn1 = _convolution(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _convolution(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _convolution(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if inputs != outputs:
            self.downsample = nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 4 width, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))

    def fold(self) -> None:
        """See `Foldable`."""
        self.conv1, self.bn1 = fold_batch_norm(self.conv1, self.bn1)
        self.conv2, self.bn2 = fold_batch_norm(self.conv2, self.bn2)
        self.conv3, self.bn3 = fold_batch_norm(self.conv3, self.bn3)
        if len(self.downsample):
            self.downsample = nn.Sequential(*fold_batch_norm(*self.downsample))


class ResNet50(Foldable):
    """Pictures (B, 3, H, W) to features (B, 2048, 1, 1); He et al. 2016, with the stride in the 3 × 3."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(3, STAGES[0][0], 7, 2), nn.BatchNorm2d(STAGES[0][0])
        inputs = STAGES[0][0]
        for stage, (width, blocks) in enumerate(STAGES, start=1):
            strides = (1 if stage == 1 else 2, *[1] * (blocks - 1))
            layers = []
            for stride in strides:
                layers.append(Bottleneck(inputs, width, stride))
                inputs = width * EXPANSION
            self.add_module(f"layer{stage}", nn.Sequential(*layers))

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, 2048, 1, 1) of pictures (B, 3, H, W)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(pictures))), kernel_size=3, stride=2, padding=1)
        for stage in range(1, len(STAGES) + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return F.adaptive_avg_pool2d(x, 1)

    def fold(self) -> None:
        """See `Foldable`; the blocks fold separately."""
        self.conv1, self.bn1 = fold_batch_norm(self.conv1, self.bn1)


class FaceReconstruction(PublishedNetwork):
    """Deep3DFaceRecon: ResNet-50 with linear heads; 24 million parameters."""

    published_name = "SadTalker_V0.0.2_256"
    title = "3D face reconstruction (face_3drecon)"
    signature = "final_layers.0.weight"

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(512 * EXPANSION, outputs, 1) for outputs in HEADS)

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "FaceReconstruction":  # noqa: ARG003
        """See `PublishedNetwork`; this network has one size."""
        return cls()

    def forward(self, aligned: Tensor) -> Tensor:
        """All 257 coefficients (B, 257), in the order of HEADS, of aligned pictures (B, 3, 224, 224) in 0 … 1."""
        features = self.backbone(aligned)
        return torch.cat([head(features) for head in self.final_layers], 1).flatten(1)

    def coefficients(self, aligned: Tensor) -> FaceCoefficients:
        """The coefficients used for driving, of aligned pictures (B, 224, 224, 3) in 0 … 1."""
        _, expression, _, angle, _, *translation = self(aligned.permute(0, 3, 1, 2)).split(HEADS, 1)
        return FaceCoefficients(expression, angle, torch.cat(translation, 1))


def coefficients_of(network: FaceReconstruction, picture: Tensor, landmarks: Tensor) -> FaceCoefficients:
    """Coefficients of the face with landmarks (478, 2 or 3) in a picture (H, W, 3) in 0 … 1."""
    return network.coefficients(aligned_picture(picture, align(five_points(landmarks), len(picture)))[None])


def five_points(landmarks: Tensor) -> Tensor:
    """Eye centres, nose tip and mouth corners (5, 2) of the 478-point mesh (478, 2 or 3)."""
    eyes = [landmarks[list(eye), :2].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)]
    left, right = MOUTH
    return torch.stack([*eyes, landmarks[NOSE_TIP, :2], landmarks[left, :2], landmarks[right, :2]])


def align(points: Tensor, height: int) -> Alignment:
    """The weak-perspective fit of the template to five points (5, 2) in picture pixels, y down.

    Least squares for both rows of the affine camera (Deng et al. 2019); the scale is the mean of their lengths.

    Args:
        points: as from `five_points`.
        height: of the picture in pixels.
    """
    raised = torch.stack([points[:, 0], height - 1 - points[:, 1]], 1).double()
    template = torch.tensor(TEMPLATE, dtype=torch.float64)
    rows = torch.linalg.lstsq(torch.cat([template, torch.ones(5, 1, dtype=torch.float64)], 1), raised).solution
    return Alignment(scale=rows[:3].norm(dim=0).mean().item(), centre=rows[3].float())


def aligned_picture(picture: Tensor, alignment: Alignment) -> Tensor:
    """Part (224, 224, 3) of a picture (H, W, 3) in 0 … 1, in which the face is aligned with the template."""
    from PIL import Image

    height, width = picture.shape[:2]
    factor = FACE_SIZE / alignment.scale
    size = int(width * factor), int(height * factor)
    pixels = (picture * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    x, y = alignment.centre.tolist()
    left = int(size[0] / 2 - ALIGNED_SIZE / 2 + (x - width / 2) * factor)
    top = int(size[1] / 2 - ALIGNED_SIZE / 2 + (height / 2 - y) * factor)
    cropped = resized.crop((left, top, left + ALIGNED_SIZE, top + ALIGNED_SIZE))
    return torch.from_numpy(np.asarray(cropped, dtype=np.float32) / 255)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
