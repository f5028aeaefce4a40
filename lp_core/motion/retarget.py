"""A driver's motion brought onto a portrait, whole or in regions: MotionSequence to MotionSequence."""

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

OBSERVATION_VARIANCE = 3e-7  # of a driving clip's motion when a clip is driven; larger is smoother

# How far a frame may be from rest before it counts as much as another kind of distance, for `calmest_frame`.
MOUTH_UNIT, BROW_UNIT, LID_UNIT, TURN_UNIT = 0.05, 0.05, 0.25, 5.0  # eye distances, same, closures, degrees
CLOSED_SHARE, OPEN_SHARE = 0.05, 0.25  # quantiles of a clip that stand for a closed mouth and open eyes


def relative_to(motion: MotionSequence, rest: MotionFrame | MotionSequence) -> MotionSequence:
    """The portrait's own frames when it does what the driver did, each measured from rest.

    R = R_i R_restᵀ R_s, expression = e_s + (e_i − e_rest), scale = s_s · s_i / s_rest, t = t_s + t_i − t_rest
    (LivePortrait's relative motion, its spec section 3.1, with the driver's neutral frame in place of frame 0).
    Motion that never leaves its rest frame gives `rest` on every frame.

    Args:
        motion: the driver's.
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
    """The portrait's own frames when the given regions of it do what the driver did.

    Args:
        motion: the driver's.
        rest: the portrait's own pose and expression, which the other regions keep.
        relative: what the driver did from its rest frame is added to the portrait's own; otherwise the driver's
            pose and expression replace it, and its scale is never taken.
        regions: any of keypoints.REGIONS together; "all" is expression, pose and scale.
        keep_identity: with `relative` off, expression values that tell more about the face than about what it
            does stay the portrait's; LivePortrait does so for people and not for animals.
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
    """A clip's frames when the given regions of it do what the driver did; the head keeps its own place and size.

    The driver is brought to the clip's time base. A single driving frame holds for all of the clip; longer motion
    is smoothed together with the clip's, and the shorter of the two decides how many frames there are.

    Args:
        motion: the driver's.
        clip: the pose and expression of every frame of the clip that is driven.
        relative: as in `transfer`; otherwise the driver's place is taken with its pose.
        regions: as in `transfer`.
        observation_variance: how much noise the smoother takes motion for; 0 smooths nothing.
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
    """Expression and rotation through the smoother of `filters.kalman`; a single frame stays as it is.

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
    """The same motion measured from one of its own frames: the one given, or the one nearest to rest.

    Raises:
        ValueError: the motion has no such frame.
    """
    index = nearest_to_rest(motion) if frame is None else frame
    if not 0 <= index < len(motion):
        raise ValueError(f"The motion has {len(motion)} frames; its neutral one cannot be frame {index}.")
    return replace(motion, rest=motion.frame(index))


def measured_from_neutral(motion: MotionSequence) -> MotionSequence:
    """The same motion measured from a calm face that looks straight ahead, for single driving pictures.

    Nearness and place are measured from the first frame, since they tell how the picture was cut.
    """
    first = motion.frame(0)
    return replace(motion, rest=replace(first, expression=neutral_expression(), rotation=torch.zeros(3)))


def nearest_to_rest(motion: MotionSequence) -> int:
    """The frame that looks most at rest: mouth closed, eyes open, brows calm, head as it mostly is.

    Closed, open and calm are judged within the clip, since every face has its own expression at rest.
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
    """Motion whose given regions (any of keypoints.REGIONS) stay at rest."""
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
    """Whether the expression is taken in single keypoints only; those are taken whole."""
    return not {"all", "expression"} & set(regions)


def _confined(
    moved: Moving, rest: MotionFrame | MotionSequence, chosen: Tensor, regions: Collection[str], takes_scale: bool
) -> Moving:
    """`moved` with everything that the regions leave out taken from `rest`."""
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
    """Degrees (T,) between rotations (T, 3) and their mean."""
    way = mean_rotation(rotation).mT @ rotation_matrix(rotation.double())
    cosine = (way.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).to(rotation)
