"""Landmarks of one face by iterative refinement of a rough box.

Each pass crops the face as framed by the landmarks of the pass before. The last pass has several crops, shifted,
rotated, resized and mirrored: the mean of their predictions is the result, and their spread shows whether there is
a face, since elsewhere the network's points follow the crop and not the picture.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from .crop import apply_affine, sample
from .face_model import face_model
from .landmark_net import EYE, MARGIN, MOUTH, SIZE, Part, landmark_net, part_net
from .landmarks import OUTER_EYE_CORNERS
from .mesh_points import LOWER_LIP_ROWS, UPPER_LIP_ROWS

SKIN = 468  # landmarks before the irises
MOUTH_CROSS = (61, 291, 0, 17)
PASSES = 3  # from a rough box to a converged one


@dataclass(frozen=True)
class FaceBox:
    """The estimated box and tilt of a face.

    Attributes:
        x: horizontal centre of the face's box, picture pixels.
        y: vertical centre, downwards.
        size: larger side of the box, picture pixels.
        angle: radians by which the face is tilted clockwise.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    @classmethod
    def of(cls, landmarks: Tensor) -> "FaceBox":
        """The box of landmarks (478, 2 or 3) in picture pixels.

        The tilt is computed from the line of the eyes and the line from eyes to mouth together.
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

    def distance(self, other: "FaceBox") -> float:
        """Pixels between the centres of two boxes."""
        return math.hypot(other.x - self.x, other.y - self.y)

    def following(self, other: "FaceBox", slack: float) -> "FaceBox":
        """This box moved towards another until they differ by at most `slack`, in sizes of the box and in radians.

        A crop that follows with such a dead band is exactly constant while the face is still, and never jumps.
        """
        apart = max(
            self.distance(other) / self.size,
            abs(math.log(other.size / self.size)),
            abs(other.angle - self.angle),
        )
        share = max(0.0, 1.0 - slack / apart) if apart > 0 else 0.0
        return FaceBox(
            self.x + share * (other.x - self.x),
            self.y + share * (other.y - self.y),
            self.size + share * (other.size - self.size),
            self.angle + share * (other.angle - self.angle),
        )


@dataclass(frozen=True)
class Look:
    """One augmentation of a box: shift in its sizes, scale factor, rotation in radians, and mirroring."""

    right: float = 0.0
    down: float = 0.0
    zoom: float = 1.0
    turn: float = 0.0
    mirrored: bool = False

    def of(self, placement: FaceBox) -> FaceBox:
        """The augmented box, which is cropped."""
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


@dataclass(frozen=True, eq=False)
class Fit:
    """Landmarks and the agreement of the augmented predictions.

    Attributes:
        landmarks: (478, 3) in picture pixels.
        spread: mean distance of the predicted points from their mean, over the eye distance.
    """

    landmarks: Tensor
    spread: float


def refine(picture: Tensor, placement: FaceBox, passes: int = PASSES, last: tuple[Look, ...] = ALL_ROUND) -> Fit:
    """The landmarks of the face near a box in a picture (H, W, 3).

    Args:
        picture: RGB in 0…1.
        placement: initial box.
        passes: passes that only improve the box.
        last: augmentations of the last pass; the mean of their predictions is returned.
    """
    factor = _shrink(placement, SIZE, MARGIN)
    small, place = _pooled(picture, factor), _scaled(placement, 1 / factor)
    for _ in range(passes):
        place = FaceBox.of(_look(small, place, STRAIGHT)[0])
    return _fit(_look(small, place, last), factor)


def follow(picture: Tensor, placement: FaceBox, slack: float) -> tuple[FaceBox, Fit]:
    """The face in the next frame (H, W, 3): its box, moved by FaceBox.following, and its fit."""
    factor = _shrink(placement, SIZE, MARGIN)
    small, before = _pooled(picture, factor), _scaled(placement, 1 / factor)
    place = before.following(FaceBox.of(_look(small, before, STRAIGHT)[0]), slack)
    return _scaled(place, factor), _fit(_look(small, place, ALL_ROUND), factor)


def look_closer(picture: Tensor, landmarks: Tensor) -> Tensor:
    """The landmarks (478, 3) with eyes, brows and mouth refined by the part networks."""
    factor = _shrink(FaceBox.of(landmarks), EYE.size, EYE.share)
    small, points = _pooled(picture, factor), _scaled_points(landmarks, 1 / factor)
    sums, counts = torch.zeros_like(points), torch.zeros(len(points), 1)
    for part in (EYE, MOUTH):
        for indices, seen in _look_at_part(small, points, part):
            sums[indices, :2] += seen
            counts[indices] += 1
    flat = torch.where(counts > 0, sums / counts.clamp(min=1), points)[:, :2]
    closer = _lips_between(points, torch.cat([flat, points[:, 2:]], 1))
    return _scaled_points(closer, factor)


def _lips_between(before: Tensor, after: Tensor) -> Tensor:
    """The landmarks (478, 3) with the rows between the lips' rims moved along with them, so their order is kept."""
    result, change = after.clone(), after - before
    for outer, *between, inner in (UPPER_LIP_ROWS, LOWER_LIP_ROWS):
        for step, row in enumerate(between, start=1):
            share = step / (len(between) + 1)
            result[list(row)] = before[list(row)] + torch.lerp(change[list(outer)], change[list(inner)], share)
    return result


@torch.no_grad()
def _look_at_part(picture: Tensor, landmarks: Tensor, part: Part) -> list[tuple[Tensor, Tensor]]:
    """Indices (n,) and positions (n, 2) of a part's landmarks, then of its mirror image's."""
    side, looks = FaceBox.of(landmarks), len(PART_LOOKS)
    indices = [torch.tensor(part.points), face_model().mirror[list(part.points)]]
    maps = []
    for framed in (torch.tensor(part.framed), face_model().mirror[list(part.framed)]):
        x, y = landmarks[framed, :2].mean(0).tolist()
        maps += [look.of(replace(side, x=x, y=y)).to_picture(part.size, part.share) for look in PART_LOOKS]
    crops = _crops(picture, maps, part.size)
    points = part_net(part)(torch.cat([crops[:looks], crops[looks:].flip(-1)]))
    points[looks:, :, 0] = part.size - 1 - points[looks:, :, 0]
    seen = torch.stack([apply_affine(to_picture, each) for to_picture, each in zip(maps, points, strict=True)])
    return [(indices[0], seen[:looks].mean(0)), (indices[1], seen[looks:].mean(0))]


@torch.no_grad()
def _look(picture: Tensor, placement: FaceBox, looks: tuple[Look, ...]) -> Tensor:
    """Landmarks (looks, 478, 3) in picture pixels, one prediction for each augmentation."""
    maps = [look.of(placement).to_picture() for look in looks]
    crops = _crops(picture, maps, SIZE)
    mirrored = torch.tensor([look.mirrored for look in looks])
    points = landmark_net()(torch.where(mirrored[:, None, None, None], crops.flip(-1), crops))
    points = torch.where(mirrored[:, None, None], mirror(points), points)
    return torch.stack([_to_picture(to_picture, each) for to_picture, each in zip(maps, points, strict=True)])


def _crops(picture: Tensor, maps: list[Tensor], size: int) -> Tensor:
    """Crops (maps, 3, size, size) on the CPU, where the networks run; no map shrinks by much."""
    places = torch.stack([apply_affine(to_picture, _pixel_grid(size)) for to_picture in maps])
    images = picture.permute(2, 0, 1).expand(len(maps), -1, -1, -1)
    return sample(images, places.to(picture), "border").cpu()


@cache
def _pixel_grid(size: int) -> Tensor:
    """Positions (size, size, 2) of a crop's pixels as x, y; cached, so not to be modified."""
    place = torch.arange(size, dtype=torch.float32)
    y, x = torch.meshgrid(place, place, indexing="ij")
    return torch.stack([x, y], -1)


def mirror(points: Tensor, width: int = SIZE) -> Tensor:
    """Landmarks (..., 478, 3) of a picture of the given width, transformed to its mirror image."""
    swapped = points[..., face_model().mirror, :]
    return torch.cat([width - 1 - swapped[..., :1], swapped[..., 1:]], -1)


def _to_picture(to_picture: Tensor, points: Tensor) -> Tensor:
    scale = torch.linalg.det(to_picture[:, :2]).sqrt()
    return torch.cat([apply_affine(to_picture, points[:, :2]), points[:, 2:] * scale], 1)


def _fit(seen: Tensor, factor: int) -> Fit:
    """The fit of predictions (looks, 478, 3) in a picture reduced by a factor."""
    mean = seen.mean(0)
    left, right = mean[list(OUTER_EYE_CORNERS), :2]
    spread = (seen - mean)[..., :2].norm(dim=-1).mean() / (right - left).norm()
    return Fit(_scaled_points(mean, factor), float(spread))


def _shrink(placement: FaceBox, size: int, margin: float) -> int:
    """The factor to reduce the picture by, so that crops of a box are neither shrunk nor enlarged much."""
    return max(1, round(placement.size * margin / size))


def _pooled(picture: Tensor, factor: int) -> Tensor:
    """The picture (H, W, 3) averaged over squares of factor × factor pixels; the remainder is dropped.

    Adding up shifted views takes a fifth of avg_pool2d's time with three channels at the end.
    """
    if factor == 1:
        return picture
    height, width = (side // factor * factor for side in picture.shape[:2])
    total = torch.zeros_like(picture[:height:factor, :width:factor])
    for top in range(factor):
        for left in range(factor):
            total += picture[top:height:factor, left:width:factor]
    return total / factor**2


def _scaled(placement: FaceBox, factor: float) -> FaceBox:
    """The box in a picture resized by a factor."""
    x, y = (placement.x + 0.5) * factor - 0.5, (placement.y + 0.5) * factor - 0.5
    return replace(placement, x=x, y=y, size=placement.size * factor)


def _scaled_points(points: Tensor, factor: float) -> Tensor:
    """Landmarks (478, 3) in a picture resized by a factor."""
    middle = points.new_tensor([0.5, 0.5, 0.0])  # of the top-left pixel, from its corner
    return (points + middle) * factor - middle


def _rotation(angle: float) -> Tensor:
    """Rotation matrix (2, 2) of a clockwise tilt by `angle` radians; its columns are right and down."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.tensor([[cosine, -sine], [sine, cosine]])
