"""The target of drawing, the picture or the crop by itself, and the position of its pixels in the working square.

Source positions are in sampling units: -1 … 1 from the left or upper border of the view's picture to the
right or lower one, as torch's grid_sample has it.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.crop import apply_affine, invert_affine
from .curves import smoothstep
from .sheet import Grid


@dataclass(frozen=True)
class Box:
    """Pixels of a view, `bottom` and `right` excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def empty(self) -> bool:
        """Whether it has no pixels."""
        return self.bottom <= self.top or self.right <= self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    def within(self, other: "Box") -> "Box":
        """The intersection with another box."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def inside(self, other: "Box") -> tuple[slice, slice]:
        """Its rows and columns, counted from the corner of a box that contains it."""
        return (
            slice(self.top - other.top, self.bottom - other.top),
            slice(self.left - other.left, self.right - other.left),
        )


@dataclass(frozen=True, eq=False)
class View:
    """A picture to draw on.

    Attributes:
        texture: (1, 3, H, W) the photograph in 0…1.
        to_work: (2, 3) from its pixels to pixels of the working square.
        square: the pixels that the working square covers, counted from its corner in steps of `step`.
        step: pixels from one coarse cell to the next.
        ramp: pixels over which all motion fades out at its borders; 0 does not fade.
    """

    texture: Tensor
    to_work: Tensor
    square: Box
    step: int
    ramp: int = 0

    @property
    def bounds(self) -> Box:
        """The box of all pixels."""
        return Box(0, 0, self.texture.shape[-2], self.texture.shape[-1])

    @cached_property
    def pixel(self) -> float:
        """Side of its pixels in the working square's pixels."""
        return float(torch.linalg.det(self.to_work[:, :2]).abs().sqrt())

    @cached_property
    def from_work(self) -> Tensor:
        """The affine map (2, 3) from pixels of the working square to its pixels."""
        return invert_affine(self.to_work)

    @cached_property
    def to_units(self) -> Tensor:
        """The affine map (2, 3) from pixels of the working square to sampling units."""
        size = self.to_work.new_tensor([self.bounds.width, self.bounds.height])
        scaled = self.from_work * (2 / size)[:, None]
        return torch.cat([scaled[:, :2], scaled[:, 2:] + (1 / size - 1)[:, None]], 1)

    @cached_property
    def units_to_work(self) -> Tensor:
        """The affine map (2, 3) from sampling units to pixels of the working square."""
        return invert_affine(self.to_units)

    def pixels(self, box: Box) -> Tensor:
        """Positions (h, w, 2) of a box's pixels as x, y."""
        x = torch.arange(box.left, box.right, device=self.texture.device, dtype=torch.float32)
        y = torch.arange(box.top, box.bottom, device=self.texture.device, dtype=torch.float32)
        down, across = torch.meshgrid(y, x, indexing="ij")
        return torch.stack([across, down], -1)

    def box_around(self, points: Tensor) -> Box:
        """The bounding box, within the square, of points (..., 2) of the working square."""
        places = apply_affine(self.from_work, points.flatten(0, -2))
        left, top = (math.floor(value) for value in places.amin(0).tolist())
        right, bottom = (math.ceil(value) + 1 for value in places.amax(0).tolist())
        return Box(top, left, bottom, right).within(self.square).within(self.bounds)

    def aligned(self, box: Box) -> Box:
        """The box enlarged to whole coarse cells, so that drawing does not depend on where the box begins."""
        top = self.square.top + (box.top - self.square.top) // self.step * self.step
        left = self.square.left + (box.left - self.square.left) // self.step * self.step
        return Box(top, left, box.bottom, box.right)

    def coarse_places(self, box: Box) -> Tensor:
        """Centres (rows, columns, 2), in the working square, of an aligned box's coarse cells and of one around."""
        rows, columns = (math.ceil(count / self.step) + 2 for count in (box.height, box.width))
        middle = (self.step - 1) / 2 - self.step
        cells = self.pixels(Box(0, 0, rows, columns)) * self.step
        return apply_affine(self.to_work, cells + cells.new_tensor([box.left + middle, box.top + middle]))

    def sources(self, box: Box, coarse: Tensor) -> Tensor:
        """Source positions (B, h, w, 2), in sampling units, of an aligned box's pixels.

        Args:
            box: the pixels.
            coarse: (B, rows, columns, 2) source positions of its `coarse_places`, in the working square.
        """
        held = self._with_still_borders(self.coarse_places(box), coarse) if self.ramp else coarse
        positions = apply_affine(self.to_units, held).permute(0, 3, 1, 2).contiguous()
        fine = F.interpolate(positions, scale_factor=self.step, mode="bilinear", align_corners=False)
        rows, columns = slice(self.step, self.step + box.height), slice(self.step, self.step + box.width)
        return fine[..., rows, columns].permute(0, 2, 3, 1)

    def _with_still_borders(self, places: Tensor, sources: Tensor) -> Tensor:
        """Source positions (B, rows, columns, 2), faded to no displacement towards the view's borders."""
        pixels = apply_affine(self.from_work, places)
        size = pixels.new_tensor([self.bounds.width - 1.0, self.bounds.height - 1.0])
        inset = torch.minimum(pixels, size - pixels) / self.ramp
        return torch.lerp(places, sources, smoothstep(inset).prod(-1, keepdim=True))

    def read(self, units: Tensor) -> Tensor:
        """The photograph (B, 3, h, w) at sampling units (B, h, w, 2); mirrored beyond its edge."""
        return _sampled(self.texture, units)

    def read_patch(self, patch: Tensor, box: Box, units: Tensor) -> Tensor:
        """A patch (1, C, h, w) of a box, sampled at sampling units (B, h', w', 2) of the view: (B, C, h', w')."""
        whole = units.new_tensor([self.bounds.width, self.bounds.height])
        corner, size = units.new_tensor([box.left, box.top]), units.new_tensor([box.width, box.height])
        return _sampled(patch, torch.addcmul((whole - 2 * corner) / size - 1, units, whole / size))


def _sampled(images: Tensor, units: Tensor) -> Tensor:
    images = images.expand(len(units), -1, -1, -1)
    return F.grid_sample(images, units, mode="bilinear", padding_mode="reflection", align_corners=False)


def view_of(image: Tensor, to_work: Tensor, grid: Grid, ramp: int = 0) -> View:
    """The view of a picture (H, W, 3) whose pixels `to_work` (2, 3) places in the grid's square.

    Motion fades out over `ramp` pixels at its borders.
    """
    from_work = invert_affine(to_work)
    edge = grid.size - 0.5
    corners = to_work.new_tensor([[-0.5, -0.5], [edge, -0.5], [-0.5, edge], [edge, edge]])
    places = apply_affine(from_work, corners)
    left, top = (math.floor(value) for value in places.amin(0).tolist())
    right, bottom = (math.ceil(value) + 1 for value in places.amax(0).tolist())
    bounds = Box(0, 0, image.shape[0], image.shape[1])
    scale = float(torch.linalg.det(from_work[:, :2]).abs().sqrt())
    return View(
        texture=image.permute(2, 0, 1)[None].contiguous(),
        to_work=to_work,
        square=Box(top, left, bottom, right).within(bounds),
        step=max(1, round(grid.step * scale)),
        ramp=ramp,
    )
