"""The square crop that both renderers work in, and the way back into the picture.

Convention: pixel coordinates have their origin in the centre of the top-left pixel; matrices (2, 3) map column
vectors: p' = M[:, :2] p + M[:, 2]. Check: `to_picture` maps (255.5, 255.5), the middle of a 512 crop, to the middle
of the square.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_SIZE = 512  # pixels a side
BLEND_RAMP = 16  # pixels over which a pasted crop fades into the picture

# Landmarks of the 478-point mesh that stand at the eyes and the mouth.
LEFT_EYE = (33, 133, 159, 145)
RIGHT_EYE = (263, 362, 386, 374)
MOUTH = (61, 291)
# The part of the mesh that LivePortrait's 106 points span: jaw, brows, nose and mouth, without the forehead.
FOREHEAD = frozenset(
    (10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 151, 108, 69, 104, 68, 71, 337, 299, 333, 298, 301)
)
FRAMED = tuple(index for index in range(468) if index not in FOREHEAD)


@dataclass(frozen=True)
class CropOptions:
    """How the crop frames the face (the defaults are LivePortrait's for a source picture).

    Attributes:
        scale: side of the square over the larger side of the face's box.
        shift_x: centre moved right, in sides; negative is left.
        shift_y: centre moved down, in sides; negative is up.
        upright: the crop turns with the eyes, so that the face stands upright in it.
    """

    scale: float = 2.3
    shift_x: float = 0.0
    shift_y: float = -0.125
    upright: bool = True

    def __post_init__(self) -> None:
        if not 1.0 <= self.scale <= 8.0:
            raise ValueError(f"The crop scale is {self.scale}; give 1.0 … 8.0 (2.3 is usual).")
        if max(abs(self.shift_x), abs(self.shift_y)) > 1.0:
            raise ValueError(
                f"The crop is shifted by ({self.shift_x}, {self.shift_y}) of its side; give -1 … 1 each."
            )


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut from a picture.

    Attributes:
        image: (512, 512, 3) RGB in 0…1.
        to_picture: (2, 3) float32, from crop pixels to picture pixels.
    """

    image: Tensor
    to_picture: Tensor

    @property
    def to_crop(self) -> Tensor:
        """(2, 3) from picture pixels to crop pixels."""
        return invert_affine(self.to_picture)


def invert_affine(matrix: Tensor) -> Tensor:
    """The inverse (2, 3) of an affine map (2, 3)."""
    linear = torch.linalg.inv(matrix[:, :2].double())
    return torch.cat([linear, -linear @ matrix[:, 2:].double()], 1).to(matrix)


def apply_affine(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (..., 2) mapped by an affine map (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def crop_to_picture(points: Tensor, options: CropOptions, size: int = CROP_SIZE) -> Tensor:
    """The map (2, 3) from pixels of a `size` crop to picture pixels, for a face's 478 mesh points (478, 2 or 3).

    LivePortrait's framing (its spec, section 5), with the horizontal shift honoured, which the original ignores.
    """
    framed = points[list(FRAMED), :2].double()
    eyes = (points[list(LEFT_EYE), :2].double().mean(0) + points[list(RIGHT_EYE), :2].double().mean(0)) / 2
    mouth = points[list(MOUTH), :2].double().mean(0)
    return framing(framed, eyes, mouth, options, size).float()


def framing(points: Tensor, eyes: Tensor, mouth: Tensor, options: CropOptions, size: int) -> Tensor:
    """The map (2, 3) from crop to picture for points (N, 2) to be framed and the middles (2,) of eyes and mouth."""
    down = mouth - eyes
    length = down.norm()
    down = down / length if length > 1e-3 else down.new_tensor([0.0, 1.0])
    axes = torch.stack([torch.stack([down[1], -down[0]]), down])  # rows: the face's right and down in the picture
    middle = points.mean(0)
    seen = (points - middle) @ axes.T
    low, high = seen.amin(0), seen.amax(0)
    side = (high - low).max() * options.scale
    shift = side * side.new_tensor([options.shift_x, options.shift_y])
    centre = middle + ((low + high) / 2 + shift) @ axes
    linear = (axes.T if options.upright else torch.eye(2).to(axes)) * (side / size)
    corner = centre - linear @ linear.new_full((2,), size / 2)
    return torch.cat([linear, corner[:, None]], 1)


def cut(picture: Tensor, to_picture: Tensor, size: int = CROP_SIZE) -> Crop:
    """The crop that `to_picture` describes, cut from a picture (H, W, 3).

    Bilinear; a crop that shrinks the picture is averaged over its finer samples so that nothing flickers; beyond
    the picture its edge goes on.
    """
    shrink = math.ceil(float(torch.linalg.det(to_picture[:, :2]).abs().sqrt()) - 0.05)
    fine = max(1, min(shrink, 8))
    grid = _pixel_centres(size * fine, 1 / fine, picture.device)
    image = sample(picture.permute(2, 0, 1)[None], apply_affine(to_picture.to(picture), grid)[None], "border")
    image = F.avg_pool2d(image, fine) if fine > 1 else image
    return Crop(image[0].permute(1, 2, 0).contiguous(), to_picture.float())


def sample(images: Tensor, positions: Tensor, padding: str = "reflection") -> Tensor:
    """Images (B, C, H, W) read bilinearly at pixel positions (B, H', W', 2) as x, y: (B, C, H', W')."""
    height, width = images.shape[-2:]
    size = positions.new_tensor([width, height])
    grid = (positions + 0.5) * (2 / size) - 1
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def blend_mask(size: int = CROP_SIZE, ramp: int = BLEND_RAMP) -> Tensor:
    """Weights (size, size) with which a crop is pasted: one inside, a linear ramp with round corners at the border.

    LivePortrait's mask template by its formula (its spec, section 5), here unquantised: row and column 0 are 0.
    """
    place = torch.arange(size, dtype=torch.float32)
    inset = (ramp - torch.minimum(place, size - place)).clamp(min=0)
    return (1 - torch.hypot(inset[:, None], inset[None, :]) / ramp).clamp(0, 1)


def _pixel_centres(count: int, step: float, device: torch.device) -> Tensor:
    """Positions (count, count, 2) as x, y that tile a square with pixels of side `step`."""
    places = (torch.arange(count, dtype=torch.float32, device=device) + 0.5) * step - 0.5
    y, x = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([x, y], -1)
