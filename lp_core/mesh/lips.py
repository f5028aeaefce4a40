"""The line between the lips, located in the photograph with pixel accuracy."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.crop import sample
from ..faces.mesh_points import LOWER_INNER, UPPER_INNER
from .curves import look_up, tabulate
from .filters import gaussian_blur

OPEN_FROM = 0.06  # eye distances: a wider opening at rest is an open mouth
REACH = 0.06  # mouth widths to either side in which the line is searched
FROM, TO = 0.08, 0.92  # shares of the width between which it is searched
PLACES = 41  # along the line
HEIGHTS = 25  # across it
# Teeth over the line: where along it each of two front teeth is searched, and how far above it; the least contrast
# of each to the dark on either side, as a share of the mean brightness; and as a share of the other's contrast. On
# 19 stills the fainter one has a contrast of at most 0.005 over closed lips and at least 0.033 over teeth; over a
# moustache it has 0.12 of the other's.
FRONT_TEETH, TEETH_REACH, TEETH_LIGHT, TEETH_ALIKE = ((0.4, 0.5), (0.5, 0.6)), 0.16, 0.02, 0.16
PRIOR = 0.35 / 0.03**2  # cost of a line away from the landmarks, per squared mouth width
BENDING = 0.6 / 0.01**2  # cost of a line that jumps between neighbouring places


@dataclass(frozen=True, eq=False)
class LipLine:
    """The inner contours of both lips at rest.

    Attributes:
        upper: (11, 2) from the left to the right corner, pixels of the working square.
        lower: (11, 2) likewise; the same line when the lips are closed.
        parting: (11, 2) vectors from the upper to the lower lip's landmarks: the opening, or the dark line of
            slightly parted lips.
        gap: opening in the middle, eye distances; 0 when they are closed.
        shows_teeth: whether slightly parted lips show the upper teeth above the line.
    """

    upper: Tensor
    lower: Tensor
    parting: Tensor
    gap: float
    shows_teeth: bool

    def frame(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Points (N, 2) along (from the left corner) and below the line of the corners, and the mouth's width."""
        origin, right, down, width = corner_frame(self.upper[0], self.upper[-1])
        seen = points - origin
        return seen @ right, seen @ down, width

    def height_between(self, share: Tensor) -> Tensor:
        """Height below the corners' line of the middle between the lips, at shares (N,) of the width."""
        along, down, width = self.frame((self.upper + self.lower) / 2)
        table = tabulate(torch.stack([along, down], -1)[None], width[None])
        return look_up(table, share[None])[0]


def corner_frame(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Origin (..., 2), unit vectors right and down (..., 2), and width (...) of a mouth with these corners."""
    across = right - left
    width = across.norm(dim=-1)
    unit = across / width[..., None]
    return left, unit, torch.stack([-unit[..., 1], unit[..., 0]], -1), width


def find_lip_line(image: Tensor, points: Tensor, gap: float) -> LipLine:
    """The lip line in a working image (1, 3, H, W) with landmarks (478, 3) there.

    Args:
        image: the photograph in the working square.
        points: (478, 3) its landmarks.
        gap: opening between the landmarks, eye distances.
    """
    upper, lower = points[list(UPPER_INNER), :2], points[list(LOWER_INNER), :2]
    if gap > OPEN_FROM:
        return LipLine(upper, lower, lower - upper, gap, shows_teeth=False)
    line = _snapped(image, (upper + lower) / 2)
    return LipLine(line, line, lower - upper, 0.0, _teeth_over(image, line))


def _teeth_over(image: Tensor, line: Tensor) -> bool:
    """Whether pixels over the line (11, 2) are lighter than it and than those above: teeth under a lip."""
    _, _, down, width = corner_frame(line[0], line[-1])
    shares = torch.stack([torch.linspace(*tooth, PLACES // 4, device=line.device) for tooth in FRONT_TEETH])
    heights = torch.linspace(0, -TEETH_REACH, HEIGHTS, device=line.device)
    places = _along(line, shares.flatten())[:, None] + heights[:, None] * width * down
    seen = sample(gaussian_blur(image.mean(1, keepdim=True), 0.7), places[None])[0, 0]
    profiles = seen.unflatten(0, shares.shape).mean(1)
    darker_below = profiles.cummin(1)[0]
    darker_above = profiles.flip(1).cummin(1)[0].flip(1)
    prominence = (profiles - torch.maximum(darker_below, darker_above)).amax(1)
    return bool(prominence.amin() > max(TEETH_LIGHT * seen.mean(), TEETH_ALIKE * prominence.amax()))


def _snapped(image: Tensor, line: Tensor) -> Tensor:
    """The line (11, 2) moved onto the darkest ridge nearby."""
    _, _, down, width = corner_frame(line[0], line[-1])
    shares = torch.linspace(FROM, TO, PLACES, device=line.device)
    heights = torch.linspace(-REACH, REACH, HEIGHTS, device=line.device)
    base = _along(line, shares)
    places = base[:, None] + heights[:, None] * width * down
    grey = gaussian_blur(image.mean(1, keepdim=True), 1.0)
    seen = sample(grey, places[None])[0, 0]
    contrast = (seen - seen.mean(1, keepdim=True)) / (seen.std() + 1e-5)
    shift = _cheapest_path(contrast + PRIOR * heights**2, heights) * width
    smooth = F.avg_pool1d(F.pad(shift[None, None], (3, 3), mode="replicate"), 7, stride=1)[0, 0]
    inner = torch.linspace(0, 1, len(line), device=line.device)[1:-1]
    at = _along(smooth[:, None], (inner - FROM) / (TO - FROM))
    return torch.cat([line[:1], line[1:-1] + at * down, line[-1:]])


def _along(points: Tensor, shares: Tensor) -> Tensor:
    """A polyline (n, C) sampled at shares (N,) of its index range."""
    place = shares.clamp(0, 1) * (len(points) - 1)
    below = place.long().clamp(max=len(points) - 2)
    return torch.lerp(points[below], points[below + 1], (place - below)[:, None])


def _cheapest_path(cost: Tensor, heights: Tensor) -> Tensor:
    """Heights (n,) of the path of least total cost, of costs (n, m) and bending, by dynamic programming."""
    bending = BENDING * (heights[:, None] - heights) ** 2
    total, origins = cost[0], []
    for step in cost[1:]:
        reached, origin = (total + bending).min(1)
        total = reached + step
        origins.append(origin)
    place = total.argmin()
    path = [place]
    for origin in reversed(origins):
        place = origin[place]
        path.append(place)
    return heights[torch.stack(path[::-1])]
