"""Retargeting of lips and eyes to given openings: MotionSequence to MotionSequence.

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
    """Motion plus a displacement (T or 1, 21, 3) of the portrait's placed keypoints, in crop units."""
    placed_scale = portrait.rest.scale * (motion.scale / motion.rest.scale)
    return replace(motion, expression=motion.expression + displacement / placed_scale[:, :, None])


@runtime_checkable
class Retargeter(Protocol):
    """A renderer with learned retargeting of lips and eyes."""

    def lip_displacement(self, portrait: Portrait, ratios: Tensor) -> Tensor:
        """Displacements (T, 21, 3) of placed keypoints that bring the lips to opening ratios (T,)."""
        ...

    def eye_displacement(self, portrait: Portrait, left: Tensor, right: Tensor) -> Tensor:
        """Displacements (T, 21, 3) of placed keypoints that bring the eyes to opening ratios (T,) each."""
        ...


@dataclass(frozen=True)
class ControlRetargeter:
    """Retargeting by the named controls, for renderers without learned retargeting."""

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
    """Motion with the lips open by a given ratio; pose and the rest of the face are unchanged.

    Args:
        motion: the motion to edit.
        portrait: the portrait to draw; its renderer's learned retargeting is used where it has one.
        ratio: inner-lip opening over mouth width, one for all frames or (T,): 0 is closed, 0.4 wide open.
        keep_own: adds the change from the portrait's own opening to the motion's lips instead of replacing them.
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
    """Motion with the eyes open by given ratios; pose and the rest of the face are unchanged.

    Args:
        motion: the motion to edit.
        portrait: the portrait to draw; its renderer's learned retargeting is used where it has one.
        left: lid opening over eye width of the picture's left eye, one for all frames or (T,): 0 is closed, about
            0.35 open.
        right: the same for the picture's right eye.
        keep_own: adds the change from the portrait's own opening to the motion's lids instead of replacing them.
    """
    wanted = [_each_frame(ratio, len(motion), "eye opening") for ratio in (left, right)]
    base = motion if keep_own else hold(motion, ("eyes",))
    return displaced(base, portrait, _retargeter(portrait).eye_displacement(portrait, *wanted))


def _retargeter(portrait: Portrait) -> Retargeter:
    return portrait.renderer if isinstance(portrait.renderer, Retargeter) else ControlRetargeter()


def _each_frame(ratio: float | Tensor, frames: int, what: str) -> Tensor:
    """The ratio (T,) of every frame."""
    ratios = torch.as_tensor(ratio, dtype=torch.float32).flatten()
    if len(ratios) not in (1, frames):
        raise ValueError(f"The motion has {frames} frames, but there are {len(ratios)} values of {what}.")
    if not torch.isfinite(ratios).all() or ratios.min() < 0 or ratios.max() > 2:
        raise ValueError(f"The {what} is a ratio of 0 … 2; got {ratios.min():.3g} … {ratios.max():.3g}.")
    return ratios.expand(frames)
