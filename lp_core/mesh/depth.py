"""Depth of the head over the working square, smooth enough that rotation never folds the picture."""

import torch
from torch import Tensor

from .filters import gaussian_blur
from .sheet import Grid, distinct, thin_plate

SMOOTHING = 2e-2  # of the thin-plate spline: landmark depths are noisy
BLUR = 0.07  # eye distances
STEEPEST = 2.0  # pixels of depth per pixel; beyond it the far cheek folds at ten degrees of yaw
ROUNDS = 60


def smooth_depth(grid: Grid, positions: Tensor, depth: Tensor, kernel: Tensor, unit: float) -> Tensor:
    """Depth map (1, 1, cells, cells) through control points.

    Args:
        grid: the cells.
        positions: (K, 2) positions of the control points.
        depth: (K,) depths of the control points, pixels.
        kernel: thin-plate kernel between cells and control points (sheet.py).
        unit: pixels per eye distance.
    """
    index = distinct(positions, torch.arange(len(positions), device=positions.device))
    spread = thin_plate(positions, depth[:, None], index, kernel, SMOOTHING)
    depths = spread.float().view(1, 1, grid.cells, grid.cells)
    return _with_gentle_slopes(gaussian_blur(depths, BLUR * unit / grid.step), grid)


def _with_gentle_slopes(depth: Tensor, grid: Grid) -> Tensor:
    """The map, blurred repeatedly wherever it is steeper than STEEPEST."""
    for _ in range(ROUNDS):
        steep = _steep_cells(depth, grid.step)
        if not steep.any():
            break
        weight = gaussian_blur(steep.float(), 1.0).clamp(0, 1)
        depth = torch.lerp(depth, gaussian_blur(depth, 1.2), weight)
    return depth


def _steep_cells(depth: Tensor, step: float) -> Tensor:
    across = (depth.diff(dim=-1).abs() / step) > STEEPEST
    down = (depth.diff(dim=-2).abs() / step) > STEEPEST
    steep = torch.zeros_like(depth, dtype=torch.bool)
    steep[..., 1:] |= across
    steep[..., :-1] |= across
    steep[..., 1:, :] |= down
    steep[..., :-1, :] |= down
    return steep
