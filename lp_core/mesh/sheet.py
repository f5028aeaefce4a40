"""Elastic sheets: dense displacements of the working square, interpolated from control points and inverted.

Everything here is in pixels of the working square (drawing.py), x right, y down, z away.

A frame's displacement is linear in the amounts of the rig's shapes, so each shape is interpolated over the grid
once, when the portrait is prepared; a frame is then a small matrix product and not a spline.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .curves import smoothstep
from .rig import HeadMotion, Rig

SMOOTHING = 2e-4  # of the thin-plate spline, which then misses control points by less than a tenth of a pixel
LENGTH_UNIT = 100.0  # pixels: keeps the spline's system well conditioned
NEAREST = 0.5  # pixels: control points closer than this are duplicates
BORDER = 0.06  # of the square's side, over which all motion fades out at its border
NEWTON_STEPS = 3
SMALLEST_STRETCH = 0.25  # lowest determinant in a Newton step
LONGEST_STEP = 12.0  # pixels


@dataclass(frozen=True)
class Grid:
    """An even grid of cell centres over a square of `size` pixels.

    Attributes:
        size: side of the square in pixels.
        cells: cells a side.
    """

    size: int
    cells: int

    @property
    def step(self) -> float:
        """Pixels from one cell to the next."""
        return self.size / self.cells

    def places(self, device: torch.device | str) -> Tensor:
        """Positions (cells, cells, 2) of the cell centres as x, y."""
        line = (torch.arange(self.cells, device=device) + 0.5) * self.step - 0.5
        y, x = torch.meshgrid(line, line, indexing="ij")
        return torch.stack([x, y], -1)

    def read(self, fields: Tensor, positions: Tensor, padding: str = "border") -> Tensor:
        """Fields (B, C, cells, cells) at pixel positions (B, h, w, 2): (B, C, h, w), bilinear."""
        grid = positions * (2 / self.size) + (1 / self.size - 1)
        return F.grid_sample(fields, grid, mode="bilinear", padding_mode=padding, align_corners=False)


@dataclass(frozen=True, eq=False)
class Sheet:
    """The rig interpolated over a grid of G² cells.

    Attributes:
        grid: the cells.
        rest: (G², 3) head share times the position relative to the pivot.
        share: (G², 1) share of the head's motion.
        shapes: (N, G², 3) displacement of each shape at amount one.
        fade: (cells, cells) 1 inside of the square, 0 at its border.
    """

    grid: Grid
    rest: Tensor
    share: Tensor
    shapes: Tensor
    fade: Tensor

    def displacement(self, amounts: Tensor, head: HeadMotion) -> Tensor:
        """Forward displacement (B, 2, cells, cells) of shapes at amounts (B, N) under a head motion."""
        moved = (amounts @ self.shapes.flatten(1)).view(len(amounts), -1, 3) + self.rest
        turned = head.scale[:, None, None] * (moved @ head.turn[:, :, :2])
        field = turned - self.rest[:, :2] + self.share * head.shift[:, None]
        return field.mT.unflatten(-1, (self.grid.cells, self.grid.cells)) * self.fade


def spread(rig: Rig, chosen: Tensor, positions: Tensor, grid: Grid, kernel: Tensor) -> Sheet:
    """The sheet that follows the chosen control points.

    Args:
        rig: control points and shapes.
        chosen: indices of the control points to follow.
        positions: (K, 2) positions of all control points.
        grid: the cells.
        kernel: `thin_plate_kernel` between the grid's cells and all positions.
    """
    index = distinct(positions, chosen)
    centred = rig.head[:, None] * (rig.points - rig.pivot)
    values = torch.cat([centred, rig.head[:, None], rig.shapes.permute(1, 0, 2).flatten(1)], 1)
    over = thin_plate(positions, values, index, kernel, SMOOTHING).float()
    shapes = over[:, 4:].unflatten(1, (-1, 3)).permute(1, 0, 2).contiguous()
    return Sheet(grid, over[:, :3].contiguous(), over[:, 3:4].contiguous(), shapes, _fade(grid, positions.device))


def _fade(grid: Grid, device: torch.device) -> Tensor:
    """Weights (cells, cells) that keep the square's border in place."""
    line = torch.arange(grid.cells, device=device)
    ramp = smoothstep(torch.minimum(line, grid.cells - 1 - line) / (BORDER * grid.cells))
    return ramp[:, None] * ramp


def distinct(positions: Tensor, chosen: Tensor) -> Tensor:
    """The chosen indices without points nearer than half a pixel to an earlier one."""
    near = torch.cdist(positions[chosen], positions[chosen]) < NEAREST
    return chosen[~near.tril(-1).any(1)]


def thin_plate_kernel(places: Tensor, points: Tensor) -> Tensor:
    """Thin-plate basis (M, K + 3), float64, at positions (M, 2): r² log r of points (K, 2), then 1, x and y."""
    near, far = points.double() / LENGTH_UNIT, places.double() / LENGTH_UNIT
    square = (far[:, None, 0] - near[None, :, 0]).square_() + (far[:, None, 1] - near[None, :, 1]).square_()
    bent = square * (square + 1e-12).log_() * 0.5
    return torch.cat([bent, torch.ones_like(far[:, :1]), far], 1)


def thin_plate(positions: Tensor, values: Tensor, index: Tensor, kernel: Tensor, smoothing: float) -> Tensor:
    """Values (M, C), float64, interpolated from the points `index` by a thin-plate spline (Bookstein 1989).

    Args:
        positions: (K, 2) of all points.
        values: (K, C) at all points.
        index: indices of the points that the spline follows.
        kernel: `thin_plate_kernel` from all points to the M output positions.
        smoothing: 0 passes through every point.
    """
    count = len(index)
    own = thin_plate_kernel(positions[index], positions[index])
    system = own.new_zeros(count + 3, count + 3)
    system[:count] = own
    system[count:, :count] = own[:, count:].mT
    system[range(count), range(count)] += smoothing
    wanted = torch.cat([values[index].double(), own.new_zeros(3, values.shape[1])])
    coefficients = torch.linalg.solve(system, wanted)
    columns = torch.cat([index, torch.arange(len(positions), len(positions) + 3, device=index.device)])
    return kernel[:, columns] @ coefficients


def invert(grid: Grid, field: Tensor, places: Tensor) -> Tensor:
    """Source positions x (B, h, w, 2) of positions y (h, w, 2): x + field(x) = y, field (B, 2, cells, cells).

    Newton's method with the field's finite differences.
    """
    across, down = torch.zeros_like(field), torch.zeros_like(field)
    across[..., 1:-1] = (field[..., 2:] - field[..., :-2]) / (2 * grid.step)
    down[..., 1:-1, :] = (field[..., 2:, :] - field[..., :-2, :]) / (2 * grid.step)
    local = torch.cat([field, across, down], 1)
    everywhere = places.expand(len(field), -1, -1, -1)
    source = everywhere - grid.read(field, everywhere).permute(0, 2, 3, 1)
    for _ in range(NEWTON_STEPS):
        fx, fy, xx, yx, xy, yy = grid.read(local, source).unbind(1)
        off_x, off_y = source[..., 0] + fx - places[..., 0], source[..., 1] + fy - places[..., 1]
        stretch_x, stretch_y = 1 + xx, 1 + yy
        determinant = (stretch_x * stretch_y - xy * yx).clamp_(min=SMALLEST_STRETCH)
        step_x = (stretch_y * off_x - xy * off_y) / determinant
        step_y = (stretch_x * off_y - yx * off_x) / determinant
        source = source - torch.stack([step_x, step_y], -1).clamp_(-LONGEST_STEP, LONGEST_STEP)
    return source
