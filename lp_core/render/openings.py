"""Lips and eyes of a portrait brought to wanted openings: MotionSequence to MotionSequence.

A displacement Δ of placed keypoints folds exactly into `expression + Δ / scale`, since expression is added inside
the scale.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..faces.landmarks import OUTER_EYE_CORNERS
from ..faces.layouts import eye_ratios, lip_ratio, mouth_width
from ..motion.controls import Controls, to_expression
from ..motion.retarget import hold
from ..motion.sequence import MotionSequence
from .portrait import Portrait


def displaced(motion: MotionSequence, portrait: Portrait, displacement: Tensor) -> MotionSequence:
    """Motion that also moves the portrait's placed keypoints by a displacement (T or 1, 21, 3), in crop units."""
    placed_scale = portrait.rest.scale * (motion.scale / motion.rest.scale)
    return replace(motion, expression=motion.expression + displacement / placed_scale[:, :, None])


@runtime_checkable
class Retargeter(Protocol):
    """A renderer that has learned how its portraits' lips and eyes open and close."""

    def lip_displacement(self, portrait: Portrait, ratios: Tensor) -> Tensor:
        """How placed keypoints move (T, 21, 3) to bring the lips to opening ratios (T,)."""
        ...

    def eye_displacement(self, portrait: Portrait, left: Tensor, right: Tensor) -> Tensor:
        """How placed keypoints move (T, 21, 3) to bring the eyes to opening ratios (T,) each."""
        ...


@dataclass(frozen=True)
class ControlRetargeter:
    """Lips and eyes by the named controls, for renderers that have learned nothing of them."""

    def lip_displacement(self, portrait: Portrait, ratios: Tensor) -> Tensor:
        """See `Retargeter`."""
        landmarks = portrait.landmarks.cpu()
        left, right = OUTER_EYE_CORNERS
        eye_distance = (landmarks[left] - landmarks[right]).norm()
        opening = (ratios - lip_ratio(landmarks)) * mouth_width(landmarks) / eye_distance
        return to_expression(Controls.still(len(ratios), jaw=opening)) * portrait.rest.scale

    def eye_displacement(self, portrait: Portrait, left: Tensor, right: Tensor) -> Tensor:
        """See `Retargeter`."""
        own = eye_ratios(portrait.landmarks.cpu()).clamp(min=1e-3)
        closed = Controls.still(len(left), blink_left=1 - left / own[0], blink_right=1 - right / own[1])
        return to_expression(closed) * portrait.rest.scale


def open_lips_to(
    motion: MotionSequence, portrait: Portrait, ratio: float | Tensor, keep_own: bool = False
) -> MotionSequence:
    """Motion whose lips stand open by a wanted ratio; pose and the rest of the face stay as they were.

    Args:
        motion: what is edited.
        portrait: whose lips; its renderer's learned retargeting is used where it has one.
        ratio: inner-lip opening over mouth width, one for all frames or (T,): 0 is closed, 0.4 wide open.
        keep_own: the change from the portrait's own opening is added to the motion's lips, which otherwise are
            replaced by it.
    """
    ratios = _each_frame(ratio, len(motion), "lip opening")
    base = motion if keep_own else hold(motion, ("lips",))
    return displaced(base, portrait, _retargeter(portrait).lip_displacement(portrait, ratios))


def open_eyes_to(
    motion: MotionSequence,
    portrait: Portrait,
    left: float | Tensor,
    right: float | Tensor,
    keep_own: bool = False,
) -> MotionSequence:
    """Motion whose eyes stand open by wanted ratios; pose and the rest of the face stay as they were.

    Args:
        motion: what is edited.
        portrait: whose eyes; its renderer's learned retargeting is used where it has one.
        left: lid opening over eye width of the picture's left eye, one for all frames or (T,): 0 is closed, about
            0.35 open.
        right: the same of the picture's right eye.
        keep_own: the change from the portrait's own opening is added to the motion's lids, which otherwise are
            replaced by it.
    """
    wanted = [_each_frame(ratio, len(motion), "eye opening") for ratio in (left, right)]
    base = motion if keep_own else hold(motion, ("eyes",))
    return displaced(base, portrait, _retargeter(portrait).eye_displacement(portrait, *wanted))


def _retargeter(portrait: Portrait) -> Retargeter:
    return portrait.renderer if isinstance(portrait.renderer, Retargeter) else ControlRetargeter()


def _each_frame(ratio: float | Tensor, frames: int, what: str) -> Tensor:
    """The ratio of every frame (T,)."""
    ratios = torch.as_tensor(ratio, dtype=torch.float32).flatten()
    if len(ratios) not in (1, frames):
        raise ValueError(f"The motion has {frames} frames, but there are {len(ratios)} values of {what}.")
    if not torch.isfinite(ratios).all() or ratios.min() < 0 or ratios.max() > 2:
        raise ValueError(f"The {what} is a ratio of 0 … 2; got {ratios.min():.3g} … {ratios.max():.3g}.")
    return ratios.expand(frames)
