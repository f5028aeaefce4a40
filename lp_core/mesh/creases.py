"""Creases: the shading of folding skin, which warping a photograph cannot produce.

A crease is a line between landmarks that darkens with the amounts of shapes; beside it a ridge brightens. Creases
in the photograph are taken into account by the rig: a face that smiles has little range left to smile more.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..faces.mesh_points import NOSE_TIP
from .curves import bell, smooth_curve, smoothstep
from .rig import HIGHEST, SHAPES
from .sheet import Grid

TINT = (0.72, 1.0, 1.08)  # of the shadow per RGB channel: light scattered in skin is red
FINE = 0.05  # depth at which a crease begins to show
WIDEST = 0.15  # eye distances from a path beyond which shading is zero

Place = tuple[int, int, float]  # point between two landmarks: share of the distance to the second


@dataclass(frozen=True)
class Crease:
    """One fold of the skin.

    Attributes:
        path: points of its line.
        pulls: shapes that deepen it, and the depth (0 … 1) of each at its highest amount.
        width: width of the shadow, eye distances.
        shadow: share of the brightness removed by the deepest shadow.
        ridge: brightening of the skin beside it, as a share of the shadow; on the side away from the midline, or
            above where the crease is horizontal.
    """

    path: tuple[Place, ...]
    pulls: tuple[tuple[str, float], ...]
    width: float
    shadow: float
    ridge: float


def _beside_mouth(*landmarks: int) -> Crease:
    path = tuple((landmark, landmark, 0.0) for landmark in landmarks)
    return Crease(path, (("smile", 1.0), ("wide", 0.45)), width=0.022, shadow=0.15, ridge=0.3)


def _across_forehead(share: float, shadow: float) -> Crease:
    below, above = (
        (70, 63, 105, 66, 107, 9, 336, 296, 334, 293, 300),
        (21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251),
    )
    path = tuple((low, high, share) for low, high in zip(below, above, strict=True))
    pulls = (("brow_left", 0.5), ("brow_right", 0.5), ("brow_inner", 0.5))
    return Crease(path[1:-1], pulls, width=0.016, shadow=shadow, ridge=0.4)


def _between_brows(inner: tuple[int, int, int], middle: tuple[int, int, int]) -> Crease:
    path = tuple((at, centre, 0.55) for at, centre in zip(inner, middle, strict=True))
    return Crease(path, (("frown", 1.0),), width=0.016, shadow=0.16, ridge=0.3)


CREASES = (
    _beside_mouth(129, 203, 206, 216, 212),
    _beside_mouth(358, 423, 426, 436, 432),
    _across_forehead(0.42, 0.10),
    _across_forehead(0.68, 0.08),
    _between_brows((107, 55, 193), (9, 8, 168)),
    _between_brows((336, 285, 417), (9, 8, 168)),
)


@dataclass(frozen=True, eq=False)
class Shading:
    """The creases of a portrait, at rest in the working square.

    Attributes:
        grid: cells of the maps.
        maps: (creases, cells, cells) relative change of brightness by each crease at full depth.
        pulls: (shapes, creases) depth per unit of each shape.
        reach: pixels from a crease's path within which it changes the brightness.
    """

    grid: Grid
    maps: Tensor
    pulls: Tensor
    reach: float

    def depths(self, amounts: Tensor) -> Tensor:
        """Depths of the creases (B, creases), 0 … 1, for shapes at amounts (B, shapes)."""
        return (amounts.clamp(min=0) @ self.pulls - FINE).clamp(0, 1)

    def change(self, depths: Tensor, positions: Tensor) -> Tensor:
        """Relative change of brightness (B, 1, h, w) of skin from positions (B, h, w, 2) in the working square."""
        return self.grid.read(torch.einsum("bn,nhw->bhw", depths, self.maps)[:, None], positions)


def landmarks_of(creases: Tensor) -> list[int]:
    """Landmarks on the paths of the creases selected by a mask (creases,)."""
    chosen = (crease for crease, drawn in zip(CREASES, creases.tolist(), strict=True) if drawn)
    return sorted(
        {landmark for crease in chosen for first, second, _ in crease.path for landmark in (first, second)}
    )


def shade(image: Tensor, change: Tensor) -> None:
    """Multiplies skin (B, 3, h, w), in place, by 1 + TINT · change, for relative changes (B, 1, h, w)."""
    for channel, tint in zip(image.unbind(1), TINT, strict=True):
        channel.addcmul_(channel, change[:, 0], value=tint).clamp_(max=1)


def find_shading(points: Tensor, unit: float, grid: Grid) -> Shading:
    """The creases of a face with landmarks (478, 3) in the grid's square, `unit` pixels per eye distance."""
    maps = torch.stack([_map(crease, points[:, :2], unit, grid) for crease in CREASES])
    pulls = torch.zeros(len(SHAPES), len(CREASES), device=points.device)
    for column, crease in enumerate(CREASES):
        for name, depth in crease.pulls:
            pulls[SHAPES.index(name), column] = depth / HIGHEST[name]
    return Shading(grid, maps, pulls, reach=WIDEST * unit)


def _map(crease: Crease, points: Tensor, unit: float, grid: Grid) -> Tensor:
    """Relative change of brightness (cells, cells) by a crease at full depth."""
    firsts, seconds, shares = (list(column) for column in zip(*crease.path, strict=True))
    between = torch.lerp(points[firsts], points[seconds], points.new_tensor(shares)[:, None])
    line = smooth_curve(between[None])[0]
    places = grid.places(points.device)
    near = ((places > line.amin(0) - WIDEST * unit) & (places < line.amax(0) + WIDEST * unit)).all(-1)
    along, aside = _nearest(line, places[near])
    fade = smoothstep(along / 0.3) * smoothstep((1 - along) / 0.3)
    profile = _profile(aside * _outer_side(line, points) / (unit * crease.width), crease.ridge)
    light = torch.zeros_like(places[..., 0])
    light[near] = crease.shadow * fade * profile
    return light


def _profile(outward: Tensor, ridge: float) -> Tensor:
    """Brightness across a crease, -1 at its bottom, at distances in widths: steep outside, gradual inside."""
    shadow = bell(torch.where(outward < 0, outward / 2.2, outward))
    return ridge * bell((outward - 2.8) / 2.2) - shadow


def _nearest(line: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (M,), 0 … 1 along a line (n, 2), nearest to places (M, 2), and signed distances (M,) from them."""
    start, stretch = line[:-1], line.diff(dim=0)
    away = places[:, None] - start
    share = ((away * stretch).sum(-1) / stretch.square().sum(1).clamp(min=1e-6)).clamp(0, 1)
    off = away - share[..., None] * stretch
    side = torch.where(stretch[:, 0] * off[..., 1] < stretch[:, 1] * off[..., 0], -1.0, 1.0)
    distance, index = off.norm(dim=-1).min(1, keepdim=True)
    along = (index + share.gather(1, index)) / len(stretch)
    return along[:, 0], (distance * side.gather(1, index))[:, 0]


def _outer_side(line: Tensor, points: Tensor) -> float:
    """+1 where the positive side of a line (n, 2) is the outer, or the upper, one; else -1."""
    nose = points[NOSE_TIP]
    middle, direction = line[len(line) // 2], line[-1] - line[0]
    away = middle - nose
    return float(torch.sign(direction[0] * away[1] - direction[1] * away[0]))
