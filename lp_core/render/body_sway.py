"""Shoulders that follow the head in the whole picture (experimental).

Lu, Chai and Cao 2021, "Live Speech Portraits", section 3.3: the upper body moves by half of the head's translation.
"""

import torch
from torch import Tensor

from ..faces.crop import Crop, sample
from ..motion.sequence import MotionSequence

SHARE = 0.5  # of the head's translation
CHIN, CHEEKS = 152, (234, 454)  # of the 478-point mesh
START, RAMP = 0.35, 0.9  # face widths below the chin: where the weight starts, and over which it rises to 1
REACH = 1.6  # face widths to either side at which the weight has fallen to 1 / e


def sway_body(frames: Tensor, own: MotionSequence, crop: Crop, landmarks: Tensor, share: float = SHARE) -> Tensor:
    """Frames (T, H, W, 3) with the body moved by a share of the head's translation; above the chin bit-identical.

    Args:
        frames: (T, H, W, 3) whole pictures with the head drawn.
        own: the motion of these frames, relative to the portrait's rest frame.
        crop: the portrait's crop, the units of the motion.
        landmarks: (478, 3) of the portrait, in picture pixels.
        share: 0…1 of the head's translation; 0 changes nothing.

    Raises:
        ValueError: the motion does not have one frame for each picture.
    """
    if len(frames) != len(own):
        raise ValueError(f"There are {len(frames)} frames and {len(own)} motion frames; give one for each.")
    if share == 0:
        return frames
    half = len(crop.image) / 2
    way = (own.translation - own.rest.translation)[:, :2] * half @ crop.to_picture[:, :2].T * share
    weight = body_region(landmarks, *frames.shape[1:3])
    y, x = torch.meshgrid(torch.arange(frames.shape[1]), torch.arange(frames.shape[2]), indexing="ij")
    places = torch.stack([x, y], -1).to(frames)
    moved = [_moved(frame, places - weight[..., None] * step) for frame, step in zip(frames, way, strict=True)]
    return torch.where(weight[..., None] > 0, torch.stack(moved), frames)


def body_region(landmarks: Tensor, height: int, width: int) -> Tensor:
    """Weights (H, W) 0…1 of the body below a face (478, 2 or 3): a smooth ramp down from under the chin."""
    points = landmarks[:, :2].float()
    face_width = (points[CHEEKS[1]] - points[CHEEKS[0]]).norm()
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    depth = ((y - points[CHIN, 1]) / face_width - START).clamp(min=0) / RAMP
    ramp = depth.clamp(max=1) ** 2 * (3 - 2 * depth.clamp(max=1))
    return ramp * torch.exp(-(((x - points[CHIN, 0]) / (REACH * face_width)) ** 2))


def _moved(frame: Tensor, places: Tensor) -> Tensor:
    """A frame (H, W, 3) sampled at positions (H, W, 2)."""
    return sample(frame.permute(2, 0, 1)[None], places[None])[0].permute(1, 2, 0)
