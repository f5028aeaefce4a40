"""The square crop that both renderers work in, and its pasting back into the picture.

Convention: pixel coordinates have their origin in the centre of the top-left pixel; matrices (2, 3) map column
vectors: p' = M[:, :2] p + M[:, 2]. Check: `to_picture` maps (256, 256) of a 512 crop, which LivePortrait calls its
middle (half a pixel beyond the true one), to the middle of the framed square.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..options import check_options, option
from .layouts import LAYOUTS, layout_of

CROP_SIZE = 512  # pixels a side
BLEND_RAMP = 16  # pixels over which a pasted crop fades into the picture

LEFT_EYE, RIGHT_EYE, MOUTH = LAYOUTS[478].left_eye, LAYOUTS[478].right_eye, LAYOUTS[478].mouth


def _shift(default: float, help: str, label: str) -> Any:
    """Returns the option of a shift of the square, in sides."""
    return option(default, help, minimum=-1.0, maximum=1.0, step=0.005, unit="sides", label=label)


@dataclass(frozen=True)
class CropOptions:
    """How the crop frames the face (the defaults are LivePortrait's for a source picture)."""

    scale: float = option(
        2.3,
        "Side of the crop square, in face sizes. Higher values include more hair and shoulders.",
        minimum=1.0,
        maximum=8.0,
        step=0.05,
        label="crop scale",
    )
    shift_x: float = _shift(
        0.0,
        "Shift of the crop square to the right, as a fraction of its side; negative values shift it left.",
        "crop's shift right",
    )
    shift_y: float = _shift(
        -0.125,
        "Shift of the crop square downwards, as a fraction of its side; negative values shift it up.",
        "crop's shift down",
    )
    upright: bool = option(
        True, "Rotates the crop square to the line of the eyes, so that a tilted head is upright in it."
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, eq=False)
class Crop:
    """A square cut from a picture.

    Attributes:
        image: (512, 512, 3) RGB in 0…1.
        to_picture: (2, 3) float32, affine map from crop pixels to picture pixels.
    """

    image: Tensor
    to_picture: Tensor

    @property
    def to_crop(self) -> Tensor:
        """The affine map (2, 3) from picture pixels to crop pixels."""
        return invert_affine(self.to_picture)


def invert_affine(matrix: Tensor) -> Tensor:
    """The inverse (2, 3) of an affine map (2, 3)."""
    linear = torch.linalg.inv(matrix[:, :2].double())
    return torch.cat([linear, -linear @ matrix[:, 2:].double()], 1).to(matrix)


def apply_affine(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (..., 2) mapped by an affine map (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


DRIVING = CropOptions(scale=2.2, shift_y=-0.1, upright=False)  # LivePortrait's for a driving clip


def crop_to_picture(points: Tensor, options: CropOptions, size: int = CROP_SIZE) -> Tensor:
    """The map (2, 3) from pixels of a `size` crop to picture pixels, for landmarks (N, 2 or 3) of any known layout.

    LivePortrait's framing (its spec, section 5), with the horizontal shift applied, which the original ignores.
    """
    layout = layout_of(points)
    flat = points[:, :2].double()
    left, right, mouth = (flat[list(part)].mean(0) for part in (layout.left_eye, layout.right_eye, layout.mouth))
    framed = flat if layout.framed is None else flat[list(layout.framed)]
    return framing(framed, (left + right) / 2, mouth, options, size).float()


def steady_crop(clip: Sequence[Tensor], options: CropOptions = DRIVING, size: int = CROP_SIZE) -> Tensor:
    """One level square for a whole clip, as a map (2, 3) from crop to picture: the mean of its frames' squares.

    Args:
        clip: landmarks (N, 2 or 3) of every frame that has a face, at least one.
        options: how each frame is framed; the squares are level regardless of `upright`.
        size: pixels a side of the crop.
    """
    level = replace(options, upright=False)
    return torch.stack([crop_to_picture(points, level, size) for points in clip]).mean(0)


def framing(points: Tensor, eyes: Tensor, mouth: Tensor, options: CropOptions, size: int) -> Tensor:
    """The map (2, 3) from crop to picture that frames points (N, 2), given the centres (2,) of eyes and mouth."""
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


def cut(picture: Tensor, to_picture: Tensor, size: int = CROP_SIZE, outside: str = "border") -> Crop:
    """The crop that `to_picture` describes, cut from a picture (H, W, 3).

    Bilinear; where the crop shrinks the picture, finer samples are averaged so that clips do not flicker.

    Args:
        picture: (H, W, 3), the source of the crop.
        to_picture: (2, 3) from crop to picture.
        size: pixels a side.
        outside: pixels beyond the picture: "border" repeats its edge, "zeros" is black.
    """
    shrink = math.ceil(float(torch.linalg.det(to_picture[:, :2]).abs().sqrt()) - 0.05)
    fine = max(1, min(shrink, 8))
    grid = _pixel_centres(size * fine, 1 / fine, picture.device)
    image = sample(picture.permute(2, 0, 1)[None], apply_affine(to_picture.to(picture), grid)[None], outside)
    image = F.avg_pool2d(image, fine) if fine > 1 else image
    return Crop(image[0].permute(1, 2, 0).contiguous(), to_picture.float())


def sample(images: Tensor, positions: Tensor, padding: str = "reflection") -> Tensor:
    """Images (B, C, H, W) sampled bilinearly at pixel positions (B, H', W', 2) as x, y: (B, C, H', W')."""
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


@dataclass(frozen=True, eq=False)
class Pasting:
    """How crops of one region are pasted into a picture: computed once for all frames.

    Attributes:
        rows: rows of the picture that a crop may cover.
        columns: columns of the picture that a crop may cover.
        positions: (1, h, w, 2) crop coordinates of those pixels, as x, y.
        weight: (h, w, 1) opacity of the crop at each of them, 0…1.
    """

    rows: slice
    columns: slice
    positions: Tensor
    weight: Tensor

    @classmethod
    def of(cls, crop: Tensor, to_picture: Tensor, size: tuple[int, ...], mask: Tensor | None = None) -> "Pasting":
        """The pasting of crops (S, S, 3) into a picture of `size` (height, width); the rest as in `paste`."""
        side = len(crop)
        if mask is not None and mask.shape != size:
            raise ValueError(f"The paste mask has shape {tuple(mask.shape)}; give it the picture's, {size}.")
        height, width = size
        rows, columns = _covered(to_picture.cpu(), side, height, width)
        positions = _positions(invert_affine(to_picture).to(crop), rows, columns)
        weight = sample(blend_mask(side).to(crop)[None, None], positions, "zeros")[0, 0, ..., None]
        if mask is not None:
            weight = weight * mask[rows, columns, None].to(crop)
        return cls(rows, columns, positions, weight)

    def over(self, background: Tensor, frames: Tensor) -> Tensor:
        """Pictures (T, H, W, 3): the background (T or 1, H, W, 3), not written to, under crops (T, S, S, 3)."""
        shown = sample(frames.permute(0, 3, 1, 2), self.positions.expand(len(frames), -1, -1, -1), "zeros")
        pasted = background.expand(len(frames), -1, -1, -1).clone()
        place = pasted[:, self.rows, self.columns]
        pasted[:, self.rows, self.columns] = torch.lerp(place, shown.permute(0, 2, 3, 1), self.weight)
        return pasted


def paste(frames: Tensor, to_picture: Tensor, background: Tensor, mask: Tensor | None = None) -> Tensor:
    """Pictures (T, H, W, 3) with crops pasted over them, faded at the crops' borders by `blend_mask`.

    Args:
        frames: (T, S, S, 3) crops.
        to_picture: (2, 3) from crop pixels to picture pixels.
        background: (T or 1, H, W, 3) pictures below the crops; not written to.
        mask: (H, W) in 0…1, opacity of the crops; everywhere 1 when None.

    Raises:
        ValueError: the mask does not have the picture's size.
    """
    size = background.shape[1], background.shape[2]
    return Pasting.of(frames[0], to_picture, size, mask).over(background, frames)


def _covered(to_picture: Tensor, size: int, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a picture that a crop of `size` may cover."""
    corners = to_picture.new_tensor([[0, 0], [size, 0], [0, size], [size, size]]) - 0.5
    places = apply_affine(to_picture, corners)
    left, top = (math.floor(value) for value in places.amin(0).tolist())
    right, bottom = (math.ceil(value) + 1 for value in places.amax(0).tolist())
    return _inside(top, bottom, height), _inside(left, right, width)


def _inside(start: int, stop: int, size: int) -> slice:
    """The part of start … stop inside 0 … size; an empty slice when there is none."""
    first = min(max(start, 0), size)
    return slice(first, min(max(stop, first), size))


def _positions(to_crop: Tensor, rows: slice, columns: slice) -> Tensor:
    """Crop coordinates (1, h, w, 2), as x, y, of the pixels in the given rows and columns of the picture."""
    y, x = torch.meshgrid(
        torch.arange(rows.start, rows.stop, dtype=to_crop.dtype, device=to_crop.device),
        torch.arange(columns.start, columns.stop, dtype=to_crop.dtype, device=to_crop.device),
        indexing="ij",
    )
    return apply_affine(to_crop, torch.stack([x, y], -1))[None]


def _pixel_centres(count: int, step: float, device: torch.device) -> Tensor:
    """Positions (count, count, 2) as x, y that tile a square with pixels of side `step`."""
    places = (torch.arange(count, dtype=torch.float32, device=device) + 0.5) * step - 0.5
    y, x = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([x, y], -1)
