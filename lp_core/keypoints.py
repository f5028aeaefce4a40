"""Implicit keypoints: their index sets, rotations, and the transform that places them in a frame.

Convention: x right, y down, z into the picture; a unit is half the side of the square crop. Rotations are given
in degrees as (pitch, yaw, roll) about (x, y, z) and act on row vectors: `points @ rotation_matrix(rotation)`.
Check: yaw +90 takes the nose (0, 0, -1) to (-1, 0, 0), so positive yaw turns the face to the picture's left;
positive pitch looks down; positive roll tilts clockwise.
"""

import torch
from torch import Tensor

KEYPOINTS = 21
LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)


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
    in_plane = translation * translation.new_tensor([1.0, 1.0, 0.0])
    posed = keypoints @ rotation_matrix(rotation) + expression
    return scale[:, :, None] * posed + in_plane[:, None]
