"""Curves through landmarks, stored as evenly spaced lookup tables."""

import torch
from torch import Tensor

TABLE = 65  # entries from one end of a curve to the other
SUBDIVISIONS = 4  # Catmull-Rom points per stretch between landmarks


def smoothstep(values: Tensor) -> Tensor:
    """0 below zero, 1 above one, 3x² - 2x³ between."""
    held = values.clamp(0, 1)
    return held * held * (3 - 2 * held)


def bell(values: Tensor) -> Tensor:
    """exp(-x²), without underflow, which would make it slow."""
    return torch.exp(-values.clamp(-4, 4).square())


def smooth_curve(points: Tensor) -> Tensor:
    """Points (B, n, 2) joined by a Catmull-Rom spline: (B, 4(n-1) + 1, 2), the given points among them."""
    ends = (2 * points[:, :1] - points[:, 1:2], 2 * points[:, -1:] - points[:, -2:-1])
    padded = torch.cat([ends[0], points, ends[1]], 1)
    stretches = points.shape[1] - 1
    before, start, end, after = (padded[:, place : place + stretches, None] for place in range(4))
    t = torch.arange(SUBDIVISIONS, device=points.device).to(points)[:, None] / SUBDIVISIONS
    between = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return torch.cat([between.flatten(1, 2), points[:, -1:]], 1)


def tabulate(curve: Tensor, width: Tensor) -> Tensor:
    """Heights (B, 65) of curves (B, n, 2), as position along and height, at even steps from 0 to `width` (B,).

    Where a curve turns back, its positions are clamped to be monotonic.
    """
    steps = 1e-3 * torch.arange(curve.shape[1], device=curve.device)
    along = torch.cummax(curve[..., 0] + steps, 1)[0].contiguous()
    places = torch.linspace(0, 1, TABLE, device=curve.device) * width[:, None]
    above = torch.searchsorted(along, places).clamp(1, curve.shape[1] - 1)
    low, high = along.gather(1, above - 1), along.gather(1, above)
    share = ((places - low) / (high - low).clamp(min=1e-3)).clamp(0, 1)
    return torch.lerp(curve[..., 1].gather(1, above - 1), curve[..., 1].gather(1, above), share)


def look_up(tables: Tensor, along: Tensor) -> Tensor:
    """Values of tables (B, 65) at positions `along` (B, ...), 0 … 1 of their length, clamped to the ends."""
    last = tables.shape[1] - 1
    place = (along.flatten(1) * last).clamp(0, last)
    below = place.long().clamp(max=last - 1)
    value = torch.lerp(tables.gather(1, below), tables.gather(1, below + 1), place - below)
    return value.view_as(along)
