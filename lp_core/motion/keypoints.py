"""Implicit keypoints: their index sets, rotations, and the transform that places them in a frame.

Convention: x right, y down, z into the picture; a unit is half the side of the square crop. Rotations are given
in degrees as (pitch, yaw, roll) about (x, y, z) and act on row vectors: `points @ rotation_matrix(rotation)`.
Check: yaw +90 takes the nose (0, 0, -1) to (-1, 0, 0), so positive yaw turns the face to the picture's left;
positive pitch looks down; positive roll tilts clockwise.
"""

from collections.abc import Collection
from functools import cache

import torch
from torch import Tensor

KEYPOINTS = 21
LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)
BROWS = (1, 2)
LEFT_EYE = (11, 13)  # upper and lower lid of the eye on the picture's left
RIGHT_EYE = (15, 16)

REGIONS = ("all", "expression", "lips", "eyes", "brows", "pose")
REGION_KEYPOINTS: dict[str, tuple[int, ...]] = {"lips": LIPS, "eyes": EYES, "brows": BROWS}

# Values of a driver's expression that replace the portrait's own in absolute motion: the other values of the 63
# depend more on the identity than on the expression.
EXPRESSIVE_KEYPOINTS = (1, 2, 6, *range(11, 21))
EXPRESSIVE_AXES = ((3, 1), (4, 1), (5, 2), (8, 2), (9, 1), (9, 2))  # keypoint and axis (x, y, z are 0, 1, 2)

ANGLE_BINS, DEGREES_PER_BIN, FIRST_BIN = 66, 3.0, -97.5

# A closed, calm mouth and open eyes, in crop units before scaling, per keypoint x, y, z; LivePortrait measures
# single driving pictures against it (its spec, section 3.2, and the original's `lip_array`).
NEUTRAL_EXPRESSION_MILLIONTHS = (
    (-94.524, 242.22, -40.0974), (208.596, 468.054, 12.7464), (-124.602, 324.972, 4.425),
    (119.652, -456.624, 54.0852), (-265.254, -74.598, -15.528), (-33.4884, -183.036, -3.49404),
    (-0.475428, -0.452466, 1.59498), (-541.296, 2632.8, 7.2486), (-11.694, 5.00502, 9.9888),
    (0.80286, 5.19132, -409.344), (166.878, -19.815, -88.548), (-15.1536, 82.506, 5.94012),
    (-0.261054, 2.7591, 2.21028), (-66.282, -68.286, -3.45318), (-832.62, -1795.92, -2.59176),
    (6.9714, 36.5514, -1.8978), (-4.80876, 7.1148, -10.3236), (-636.84, -1166.1, 56.2314),
    (283.29, -14.5656, 10.9746), (-4.16022, -15090.6, -2549.4), (222.474, 5627.88, 2726.46),
)  # fmt: skip


def neutral_expression() -> Tensor:
    """The expression (21, 3) of a calm face with a closed mouth."""
    return torch.tensor(NEUTRAL_EXPRESSION_MILLIONTHS, dtype=torch.float64).mul(1e-6).float()


@cache
def expressive() -> Tensor:
    """Mask (21, 3), bool, of the values that depend on the expression more than on the identity."""
    values = torch.zeros(KEYPOINTS, 3, dtype=torch.bool)
    values[list(EXPRESSIVE_KEYPOINTS)] = True
    for keypoint, axis in EXPRESSIVE_AXES:
        values[keypoint, axis] = True
    return values


def region_values(regions: Collection[str]) -> Tensor:
    """Mask (21, 3), bool, of the expression values that belong to any of the given REGIONS."""
    if {"all", "expression"} & set(regions):
        return torch.ones(KEYPOINTS, 3, dtype=torch.bool)
    values = torch.zeros(KEYPOINTS, 3, dtype=torch.bool)
    for region in regions:
        values[list(REGION_KEYPOINTS.get(region, ()))] = True
    return values


def angle_degrees(logits: Tensor) -> Tensor:
    """Degrees (...) from the logits (..., 66) of 3-degree bins: the mean of the bins, weighed by their softmax."""
    weights = logits.softmax(-1)
    places = torch.arange(logits.shape[-1], dtype=weights.dtype, device=weights.device)
    return DEGREES_PER_BIN * (weights * places).sum(-1) + FIRST_BIN


def rotation_matrix(rotation: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) for row vectors from degrees (..., 3) pitch, yaw, roll.

    R = (Rz Ry Rx)ᵀ with right-handed elementary matrices (LivePortrait, Guo et al. 2024, section 3.1).
    """
    sine, cosine = torch.deg2rad(rotation).sin(), torch.deg2rad(rotation).cos()
    (sx, sy, sz), (cx, cy, cz) = sine.unbind(-1), cosine.unbind(-1)
    rows = (
        torch.stack([cy * cz, cy * sz, -sy], -1),
        torch.stack([sx * sy * cz - cx * sz, sx * sy * sz + cx * cz, sx * cy], -1),
        torch.stack([cx * sy * cz + sx * sz, cx * sy * sz - sx * cz, cx * cy], -1),
    )
    return torch.stack(rows, -2)


def rotation_degrees(matrix: Tensor) -> Tensor:
    """Degrees (..., 3) pitch, yaw, roll of rotation matrices (..., 3, 3): the inverse of `rotation_matrix`."""
    yaw = torch.asin((-matrix[..., 0, 2]).clamp(-1, 1))
    pitch = torch.atan2(matrix[..., 1, 2], matrix[..., 2, 2])
    roll = torch.atan2(matrix[..., 0, 1], matrix[..., 0, 0])
    return torch.rad2deg(torch.stack([pitch, yaw, roll], -1))


def nearest_rotation(matrices: Tensor) -> Tensor:
    """The rotations (..., 3, 3) nearest to matrices (..., 3, 3) in the least-squares sense.

    Kabsch (1976); of the mean of rotations it is their mean (Moakher 2002, "Means and averaging in the group of
    rotations").
    """
    left, _, right = torch.linalg.svd(matrices)
    handedness = torch.ones_like(matrices[..., 0])
    handedness[..., 2] = torch.det(left @ right)
    return left @ (handedness[..., None] * right)


def mean_rotation(rotation: Tensor) -> Tensor:
    """The mean, a float64 matrix (3, 3), of rotations (T, 3) in degrees, in the least-squares sense."""
    return nearest_rotation(rotation_matrix(rotation.double()).mean(0))


def transform(
    keypoints: Tensor, expression: Tensor, rotation: Tensor, scale: Tensor, translation: Tensor
) -> Tensor:
    """Keypoints of T frames (T, 21, 3): scale · (keypoints @ R + expression) + translation, with tz := 0.

    Args:
        keypoints: canonical keypoints (21, 3).
        expression: (T, 21, 3), in crop units before scaling.
        rotation: (T, 3) degrees.
        scale: (T, 1), a plain factor.
        translation: (T, 3) crop units; z is ignored, as in LivePortrait (equation 2).
    """
    return place(keypoints, expression, rotation_matrix(rotation), scale, translation)


def place(keypoints: Tensor, expression: Tensor, matrices: Tensor, scale: Tensor, translation: Tensor) -> Tensor:
    """Keypoints (T, 21, 3) as by `transform`, for rotations given as matrices (T, 3, 3)."""
    in_plane = translation * translation.new_tensor([1.0, 1.0, 0.0])
    return scale[:, :, None] * (keypoints @ matrices + expression) + in_plane[:, None]


def hull_volume(keypoints: Tensor) -> float:
    """Volume of the convex hull of keypoints (21, 3), in cubic crop units."""
    from scipy.spatial import ConvexHull

    return float(ConvexHull(keypoints.double().cpu().numpy()).volume)


def spread_ratio(keypoints: Tensor, other: Tensor) -> float:
    """The size of keypoints (21, 3) relative to others: the square root of the ratio of their hulls' volumes.

    The square root is the original's, although a ratio of volumes calls for a cube root.
    """
    return (hull_volume(keypoints) / hull_volume(other)) ** 0.5
