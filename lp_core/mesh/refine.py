"""Landmarks of one face, from a rough idea of where it stands, by looking at it again and again.

Each look cuts a crop that the last look framed. The last look is several at once, shifted, turned, resized and
mirrored: their mean is the answer, and how far they lie apart tells whether there is a face at all, since on
anything else the network's points follow the crop and not the picture.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..crop import apply_affine, cut
from ..landmarks import OUTER_EYE_CORNERS
from .face_model import face_model
from .landmark_net import EYE, MARGIN, MOUTH, SIZE, Part, landmark_net, part_net

SKIN = 468  # landmarks before the irises
MOUTH_CROSS = (61, 291, 0, 17)
PASSES = 3  # looks from a rough idea to a settled one


@dataclass(frozen=True)
class Placement:
    """Where a face is thought to stand.

    Attributes:
        x: middle of the face's box, picture pixels.
        y: the same, downwards.
        size: larger side of the box, picture pixels.
        angle: radians by which the face is tilted clockwise.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    @classmethod
    def of(cls, landmarks: Tensor) -> "Placement":
        """Where landmarks (478, 2 or 3) in picture pixels stand.

        The tilt is read from the line of the eyes and the line from eyes to mouth together.
        """
        points = landmarks[:SKIN, :2]
        left, right = points[list(OUTER_EYE_CORNERS)]
        across, down = right - left, points[list(MOUTH_CROSS)].mean(0) - (left + right) / 2
        angle = math.atan2(float(across[1] - down[0]), float(across[0] + down[1]))
        axes = _rotation(angle).to(points)
        seen = points @ axes
        low, high = seen.amin(0), seen.amax(0)
        x, y = (axes @ ((low + high) / 2)).tolist()
        return cls(x, y, float((high - low).max()), angle)

    def to_picture(self, size: int = SIZE, margin: float = MARGIN) -> Tensor:
        """The map (2, 3) from pixels of a crop, `size` a side and `margin` faces wide, to picture pixels."""
        linear = _rotation(self.angle) * (self.size * margin / size)
        corner = torch.tensor([self.x, self.y]) - linear @ torch.full((2,), size / 2)
        return torch.cat([linear, corner[:, None]], 1)

    def distance(self, other: "Placement") -> float:
        """Pixels between the middles of two."""
        return math.hypot(other.x - self.x, other.y - self.y)

    def following(self, other: "Placement", slack: float) -> "Placement":
        """Itself moved towards another until no more than `slack` apart, in its sizes and radians alike.

        A crop on such a leash stands exactly still while the face does, and never jumps.
        """
        apart = max(
            self.distance(other) / self.size,
            abs(math.log(other.size / self.size)),
            abs(other.angle - self.angle),
        )
        share = max(0.0, 1.0 - slack / apart) if apart > 0 else 0.0
        return Placement(
            self.x + share * (other.x - self.x),
            self.y + share * (other.y - self.y),
            self.size + share * (other.size - self.size),
            self.angle + share * (other.angle - self.angle),
        )


@dataclass(frozen=True)
class Look:
    """One way of looking at a placement: shares of its size, a factor, radians, and whether mirrored."""

    right: float = 0.0
    down: float = 0.0
    zoom: float = 1.0
    turn: float = 0.0
    mirrored: bool = False

    def of(self, placement: Placement) -> Placement:
        """The placement that is cut."""
        return replace(
            placement,
            x=placement.x + self.right * placement.size,
            y=placement.y + self.down * placement.size,
            size=placement.size * self.zoom,
            angle=placement.angle + self.turn,
        )


STRAIGHT = (Look(),)
BOTH_WAYS = (Look(), Look(mirrored=True))
ALL_ROUND = (
    *BOTH_WAYS,
    Look(0.04, 0.02, 1.07, 0.10),
    Look(-0.04, 0.02, 1.07, -0.10, mirrored=True),
    Look(-0.03, -0.04, 0.95, -0.12),
    Look(0.03, -0.04, 0.95, 0.12, mirrored=True),
)
PART_LOOKS = (Look(), Look(0.015, 0.01, 1.05, 0.05), Look(-0.015, -0.01, 0.95, -0.05))
SEEN_IN_MIRROR = ((EYE, False), (EYE, True), (MOUTH, False), (MOUTH, True))


@dataclass(frozen=True, eq=False)
class Fit:
    """Landmarks and how well the looks agree.

    Attributes:
        landmarks: (478, 3) in picture pixels.
        spread: mean distance of the looks' points from their mean, over the eye distance.
    """

    landmarks: Tensor
    spread: float


def refine(picture: Tensor, placement: Placement, passes: int = PASSES, last: tuple[Look, ...] = ALL_ROUND) -> Fit:
    """The landmarks of the face near a placement in a picture (H, W, 3).

    Args:
        picture: RGB in 0…1.
        placement: where to look first.
        passes: looks that only better the placement.
        last: the looks whose mean is given.
    """
    factor = max(1, int(placement.size * MARGIN / SIZE))
    small = _pooled(picture, factor)
    place = _scaled(placement, 1 / factor)
    for _ in range(passes):
        place = Placement.of(_look(small, place, STRAIGHT)[0])
    seen = _look(small, place, last)
    mean = seen.mean(0)
    left, right = mean[list(OUTER_EYE_CORNERS), :2]
    spread = (seen - mean)[..., :2].norm(dim=-1).mean() / (right - left).norm()
    return Fit(_scaled_points(mean, factor), float(spread))


def look_closer(picture: Tensor, landmarks: Tensor) -> Tensor:
    """The landmarks (478, 3) with eyes, brows and mouth placed anew by the networks that see only them."""
    factor = max(1, int(Placement.of(landmarks).size * EYE.share / EYE.size))
    small, points = _pooled(picture, factor), _scaled_points(landmarks, 1 / factor)
    sums, counts = torch.zeros_like(points), torch.zeros(len(points), 1)
    for part, mirrored in SEEN_IN_MIRROR:
        indices, seen = _look_at_part(small, points, part, mirrored)
        sums[indices, :2] += seen
        counts[indices] += 1
    flat = torch.where(counts > 0, sums / counts.clamp(min=1), points)[:, :2]
    return _scaled_points(torch.cat([flat, points[:, 2:]], 1), factor)


@torch.no_grad()
def _look_at_part(picture: Tensor, landmarks: Tensor, part: Part, mirrored: bool) -> tuple[Tensor, Tensor]:
    """Indices (n,) and places (n, 2) of a part's landmarks, or of its mirror image's."""
    indices, framed = torch.tensor(part.points), torch.tensor(part.framed)
    if mirrored:
        indices, framed = face_model().mirror[indices], face_model().mirror[framed]
    x, y = landmarks[framed, :2].mean(0).tolist()
    place = replace(Placement.of(landmarks), x=x, y=y)
    maps = [look.of(place).to_picture(part.size, part.share) for look in PART_LOOKS]
    crops = _crops(picture, maps, part.size)
    points = part_net(part)(crops.flip(-1) if mirrored else crops)
    if mirrored:
        points = torch.cat([part.size - 1 - points[..., :1], points[..., 1:]], -1)
    seen = [apply_affine(to_picture, each) for to_picture, each in zip(maps, points, strict=True)]
    return indices, torch.stack(seen).mean(0)


@torch.no_grad()
def _look(picture: Tensor, placement: Placement, looks: tuple[Look, ...]) -> Tensor:
    """Landmarks (looks, 478, 3) in picture pixels."""
    maps = [look.of(placement).to_picture() for look in looks]
    crops = _crops(picture, maps, SIZE)
    mirrored = torch.tensor([look.mirrored for look in looks])
    points = landmark_net()(torch.where(mirrored[:, None, None, None], crops.flip(-1), crops))
    points = torch.where(mirrored[:, None, None], mirror(points), points)
    return torch.stack([_to_picture(to_picture, each) for to_picture, each in zip(maps, points, strict=True)])


def _crops(picture: Tensor, maps: list[Tensor], size: int) -> Tensor:
    """Crops (maps, 3, size, size) on the CPU, where the networks run."""
    return torch.stack([cut(picture, to_picture, size).image for to_picture in maps]).permute(0, 3, 1, 2).cpu()


def mirror(points: Tensor, width: int = SIZE) -> Tensor:
    """Landmarks (..., 478, 3) of a picture of the given width, as they stand in its mirror image."""
    swapped = points[..., face_model().mirror, :]
    return torch.cat([width - 1 - swapped[..., :1], swapped[..., 1:]], -1)


def _to_picture(to_picture: Tensor, points: Tensor) -> Tensor:
    scale = torch.linalg.det(to_picture[:, :2]).sqrt()
    return torch.cat([apply_affine(to_picture, points[:, :2]), points[:, 2:] * scale], 1)


def _pooled(picture: Tensor, factor: int) -> Tensor:
    """The picture (H, W, 3) with squares of factor × factor pixels averaged to one."""
    if factor == 1:
        return picture
    small = F.avg_pool2d(picture.permute(2, 0, 1)[None], factor, ceil_mode=True)
    return small[0].permute(1, 2, 0)


def _scaled(placement: Placement, factor: float) -> Placement:
    """The placement in a picture resized by a factor."""
    x, y = (placement.x + 0.5) * factor - 0.5, (placement.y + 0.5) * factor - 0.5
    return replace(placement, x=x, y=y, size=placement.size * factor)


def _scaled_points(points: Tensor, factor: float) -> Tensor:
    """Landmarks (478, 3) in a picture resized by a factor."""
    middle = points.new_tensor([0.5, 0.5, 0.0])  # of the top-left pixel, from its corner
    return (points + middle) * factor - middle


def _rotation(angle: float) -> Tensor:
    """The axes of something tilted clockwise by `angle` radians, as columns: its right, its down."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.tensor([[cosine, -sine], [sine, cosine]])
