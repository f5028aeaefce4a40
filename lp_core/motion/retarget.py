"""Transfer of a driver's motion to a portrait, whole or by region: MotionSequence to MotionSequence."""

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from .controls import from_expression
from .keypoints import (
    expressive,
    mean_rotation,
    nearest_rotation,
    neutral_expression,
    region_values,
    rotation_degrees,
    rotation_matrix,
)
from .sequence import MotionFrame, MotionSequence
from .smoothers import kalman

Moving = TypeVar("Moving", MotionFrame, MotionSequence)

OBSERVATION_VARIANCE = 3e-7  # of the driver's motion when a clip is driven; larger is smoother

# Units of the distances from rest that `calmest_frame` adds up.
MOUTH_UNIT, BROW_UNIT, LID_UNIT, TURN_UNIT = 0.05, 0.05, 0.25, 5.0  # eye distances, same, closures, degrees
CLOSED_SHARE, OPEN_SHARE = 0.05, 0.25  # quantiles of a clip that define a closed mouth and open eyes


def relative_to(motion: MotionSequence, rest: MotionFrame | MotionSequence) -> MotionSequence:
    """The portrait's own frames under a driver's motion, each relative to rest.

    R = R_i R_restᵀ R_s, expression = e_s + (e_i − e_rest), scale = s_s · s_i / s_rest, t = t_s + t_i − t_rest
    (LivePortrait's relative motion, its spec section 3.1, with the driver's neutral frame in place of frame 0).
    For motion that stays at its rest frame the result is `rest` in every frame.

    Args:
        motion: the driver's motion.
        rest: the portrait's own pose and expression, or those of every frame of a clip of as many frames.
    """
    turned = motion.relative_rotation().double() @ rotation_matrix(rest.rotation.double())
    return replace(
        motion,
        expression=rest.expression + (motion.expression - motion.rest.expression),
        rotation=rotation_degrees(turned).to(motion.rotation),
        scale=rest.scale * (motion.scale / motion.rest.scale),
        translation=rest.translation + (motion.translation - motion.rest.translation),
        rest=_rest_of(rest),
    )


def transfer(
    motion: MotionSequence,
    rest: MotionFrame,
    relative: bool = True,
    regions: Collection[str] = ("all",),
    keep_identity: bool = True,
) -> MotionSequence:
    """The portrait's own frames with the driver's motion in the given regions.

    Args:
        motion: the driver's motion.
        rest: the portrait's own pose and expression, which the other regions keep.
        relative: adds the driver's change from its rest frame to the portrait's own values; otherwise the driver's
            pose and expression replace them, and the portrait's scale is kept.
        regions: any of keypoints.REGIONS together; "all" is expression, pose and scale.
        keep_identity: with `relative` off, keeps the portrait's values that depend more on the identity than on the
            expression; LivePortrait does so for people and not for animals.
    """
    chosen = region_values(regions)
    if relative:
        return _confined(relative_to(motion, rest), rest, chosen, regions, takes_scale="all" in regions)
    chosen = chosen & expressive() if keep_identity and not _only_parts(regions) else chosen
    driver_rest = _confined(motion.rest, rest, chosen, regions, takes_scale=False)
    return replace(_confined(motion, rest, chosen, regions, takes_scale=False), rest=driver_rest)


def transfer_to_clip(
    motion: MotionSequence,
    clip: MotionSequence,
    relative: bool = True,
    regions: Collection[str] = ("all",),
    observation_variance: float = OBSERVATION_VARIANCE,
) -> MotionSequence:
    """A clip's frames with the driver's motion in the given regions; the head keeps its own position and size.

    The driver is resampled to the clip's frame rate. A single driving frame is used for all of the clip; longer
    motion is smoothed together with the clip's, and the result has the frames of the shorter of the two.

    Args:
        motion: the driver's motion.
        clip: the pose and expression of every frame of the driven clip.
        relative: as in `transfer`; otherwise the driver's translation is used along with its pose.
        regions: as in `transfer`.
        observation_variance: noise variance of the smoother; 0 does not smooth.
    """
    held = len(motion) == 1
    driver = motion.resampled(clip.fps, len(clip) if held else None)
    frames = min(len(driver), len(clip))
    driver, own = driver[:frames], clip[:frames]
    moved = relative_to(driver, own) if relative else driver
    moved = moved if held or not observation_variance else smoothed(moved, observation_variance)
    chosen = region_values(regions) & expressive() if not _only_parts(regions) else region_values(regions)
    confined = _confined(moved, own, chosen, regions, takes_scale=False)
    return replace(confined, rest=clip.rest, translation=own.translation if relative else confined.translation)


def smoothed(motion: MotionSequence, observation_variance: float) -> MotionSequence:
    """Motion with expression and rotation smoothed by `smoothers.kalman`; a single frame is unchanged.

    Rotations are averaged as matrices and brought back to the nearest rotation, which is their weighted mean in
    the least-squares sense (Moakher 2002, "Means and averaging in the group of rotations").
    """
    matrices = kalman(rotation_matrix(motion.rotation.double()), observation=observation_variance)
    return replace(
        motion,
        expression=kalman(motion.expression, observation=observation_variance),
        rotation=rotation_degrees(nearest_rotation(matrices)).to(motion.rotation),
    )


def measured_from(motion: MotionSequence, frame: int | None = None) -> MotionSequence:
    """The same motion relative to one of its own frames: the given one, or the one nearest to rest.

    Raises:
        ValueError: the motion does not have the frame.
    """
    index = nearest_to_rest(motion) if frame is None else frame
    if not 0 <= index < len(motion):
        raise ValueError(f"The motion has {len(motion)} frames; its neutral one cannot be frame {index}.")
    return replace(motion, rest=motion.frame(index))


def measured_from_neutral(motion: MotionSequence) -> MotionSequence:
    """The same motion relative to a neutral face that looks straight ahead, for single driving pictures.

    Scale and translation are relative to the first frame, since they depend on the crop.
    """
    first = motion.frame(0)
    return replace(motion, rest=replace(first, expression=neutral_expression(), rotation=torch.zeros(3)))


def nearest_to_rest(motion: MotionSequence) -> int:
    """The index of the frame nearest to rest: mouth closed, eyes open, brows relaxed, head in its mean pose.

    Closed, open and relaxed are relative to the clip, since every face has its own expression at rest.
    """
    return calmest_frame(motion.expression, motion.rotation)


def calmest_frame(expression: Tensor, rotation: Tensor) -> int:
    """The index of the frame that `nearest_to_rest` describes, of expressions (T, 21, 3) and degrees (T, 3)."""
    typical = expression.median(0).values
    controls = from_expression(expression - typical)
    turns = _turns_from_middle(rotation)
    distance = (turns / TURN_UNIT).square()
    for mouth in ("wide", "smile", "pout"):
        distance += (getattr(controls, mouth) / MOUTH_UNIT).square()
    opened = (controls.jaw - controls.jaw.quantile(CLOSED_SHARE)).clamp(min=0)
    distance += (opened / MOUTH_UNIT).square()
    for lid in (controls.blink_left, controls.blink_right):
        distance += ((lid - lid.quantile(OPEN_SHARE)) / LID_UNIT).square()
    for brow in (controls.brow_left, controls.brow_right):
        distance += (brow / BROW_UNIT).square()
    return int(distance.argmin())


def hold(motion: MotionSequence, regions: Collection[str]) -> MotionSequence:
    """Motion with the given regions (any of keypoints.REGIONS) held at rest."""
    chosen = region_values(regions)
    held = replace(motion, expression=torch.where(chosen, motion.rest.expression, motion.expression))
    if {"all", "pose"} & set(regions):
        held = replace(
            held,
            rotation=motion.rest.rotation.expand_as(motion.rotation),
            translation=motion.rest.translation.expand_as(motion.translation),
            scale=motion.rest.scale.expand_as(motion.scale),
        )
    return held


def _only_parts(regions: Collection[str]) -> bool:
    """Whether the regions select single keypoints of the expression only, all axes of each."""
    return not {"all", "expression"} & set(regions)


def _confined(
    moved: Moving, rest: MotionFrame | MotionSequence, chosen: Tensor, regions: Collection[str], takes_scale: bool
) -> Moving:
    """`moved` with the values of `rest` outside of the regions."""
    takes_pose = bool({"all", "pose"} & set(regions))
    return replace(
        moved,
        expression=torch.where(chosen, moved.expression, rest.expression),
        rotation=moved.rotation if takes_pose else rest.rotation.expand_as(moved.rotation),
        translation=moved.translation if takes_pose else rest.translation.expand_as(moved.translation),
        scale=moved.scale if takes_scale else rest.scale.expand_as(moved.scale),
    )


def _rest_of(rest: MotionFrame | MotionSequence) -> MotionFrame:
    return rest.rest if isinstance(rest, MotionSequence) else rest


def _turns_from_middle(rotation: Tensor) -> Tensor:
    """Angles (T,) in degrees between rotations (T, 3) and their mean."""
    way = mean_rotation(rotation).mT @ rotation_matrix(rotation.double())
    cosine = (way.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).to(rotation)
