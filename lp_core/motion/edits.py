"""Edits of motion: MotionSequence to MotionSequence, each relative to the rest frame, none modifies its input.

An edit changes the named controls of the expression delta; the residual that controls cannot express (in motion
from a network) is kept, or scaled with its region's keypoints.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from .controls import (
    BROW_CONTROLS,
    EYE_CONTROLS,
    LIP_CONTROLS,
    Controls,
    from_expression,
    to_expression,
)
from .keypoints import KEYPOINTS, REGION_KEYPOINTS, mean_rotation, rotation_degrees, rotation_matrix
from .sequence import MotionSequence
from .smoothers import Smoother, gaussian

Region = Literal["lips", "eyes", "brows", "pose"]
REGION_CONTROLS: dict[str, tuple[str, ...]] = {"lips": LIP_CONTROLS, "eyes": EYE_CONTROLS, "brows": BROW_CONTROLS}
REGIONS = (*REGION_CONTROLS, "pose")

# Gaze on the viewer turns the eyes against the head: iris radii per degree (eyeball radius 12 mm, iris 6 mm).
CONTACT_PER_YAW, CONTACT_PER_PITCH = 0.035, 0.030


def retarget_lips(
    motion: MotionSequence, gain: float = 1.0, opening: float = 0.0, wide: float = 0.0, smile: float = 0.0
) -> MotionSequence:
    """Lip motion made larger or smaller, with a constant opening, width or smile added.

    Args:
        motion: the motion to edit.
        gain: factor on the driver's lip motion; 1 keeps it, 0 stills the lips.
        opening: added to the mouth's opening, eye distances; below zero closes.
        wide: added to the mouth's width, eye distances; below zero rounds.
        smile: corners up, eye distances.
    """

    def change(controls: Controls) -> Controls:
        scaled = controls.scaled(LIP_CONTROLS, gain)
        return replace(scaled, jaw=scaled.jaw + opening, wide=scaled.wide + wide, smile=scaled.smile + smile)

    return _with_controls(motion, change, {"lips": gain})


def retarget_eyes(
    motion: MotionSequence, gain: float = 1.0, close_left: float = 0.0, close_right: float = 0.0
) -> MotionSequence:
    """Blinks made stronger or weaker, and either eye closed or widened by a constant.

    Args:
        motion: the motion to edit.
        gain: factor on the driver's blinks; 1 keeps them, 0 keeps the eyes as in the portrait.
        close_left: added to the picture's left eye: 1 closes it, below zero widens it.
        close_right: the same for the picture's right eye.
    """

    def change(controls: Controls) -> Controls:
        return replace(
            controls,
            blink_left=controls.blink_left * gain + close_left,
            blink_right=controls.blink_right * gain + close_right,
        )

    return _with_controls(motion, change, {})


def move_pupils(
    motion: MotionSequence, x: float = 0.0, y: float = 0.0, gain: float = 1.0, contact: float = 0.0
) -> MotionSequence:
    """Gaze shifted, scaled, or held on the viewer while the head turns.

    Args:
        motion: the motion to edit.
        x: added gaze to the picture's right, iris radii.
        y: added gaze down, iris radii.
        gain: factor on the driver's own gaze.
        contact: 0…1, how far the eyes replace the driver's gaze by turning against the head to look at the viewer.
    """
    turn = rotation_degrees(motion.relative_rotation())

    def change(controls: Controls) -> Controls:
        own = gain * (1 - contact)
        return replace(
            controls,
            pupil_x=controls.pupil_x * own + contact * CONTACT_PER_YAW * turn[:, 1] + x,
            pupil_y=controls.pupil_y * own - contact * CONTACT_PER_PITCH * turn[:, 0] + y,
        )

    return _with_controls(motion, change, {})


def scale_brows(motion: MotionSequence, gain: float) -> MotionSequence:
    """Brow motion made larger or smaller."""
    return _with_controls(motion, lambda controls: controls.scaled(BROW_CONTROLS, gain), {"brows": gain})


def head_pose(
    motion: MotionSequence, gain: float = 1.0, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> MotionSequence:
    """Head motion made larger or smaller and turned by a constant; gain 0 holds the head still.

    Rotations are scaled about their own axis; translation and scale are scaled with them.

    Args:
        motion: the motion to edit.
        gain: factor on the head's motion from rest.
        offset: degrees pitch, yaw, roll added on every frame.
    """
    turned = _scaled_rotation(motion.relative_rotation(), gain) @ rotation_matrix(torch.tensor(offset))
    rest = motion.rest
    return replace(
        motion,
        rotation=rotation_degrees(turned @ rotation_matrix(rest.rotation)),
        scale=rest.scale * (motion.scale / rest.scale) ** gain,
        translation=rest.translation + gain * (motion.translation - rest.translation),
    )


def smooth(motion: MotionSequence, seconds: float) -> MotionSequence:
    """Motion smoothed by a zero-phase Gaussian of standard deviation `seconds`; rotations stay rotations.

    Raises:
        ValueError: `seconds` is negative or too large.
    """
    if not 0 <= seconds <= 5:
        raise ValueError(f"The smoothing is {seconds} s; give 0 … 5 seconds (0.05 is gentle).")
    if seconds == 0:
        return motion
    return smooth_with(motion, lambda values: gaussian(values, seconds * float(motion.fps)))


def smooth_with(motion: MotionSequence, smoother: Smoother) -> MotionSequence:
    """Motion smoothed by a smoother of curves; rotations as rotation vectors from their mean."""
    if len(motion) == 1:
        return motion
    middle = mean_rotation(motion.rotation).to(motion.rotation)
    around = _rotation_vectors(rotation_matrix(motion.rotation) @ middle.mT)
    return replace(
        motion,
        expression=smoother(motion.expression),
        rotation=rotation_degrees(_rotations(smoother(around)) @ middle),
        scale=smoother(motion.scale),
        translation=smoother(motion.translation),
    )


def shift(motion: MotionSequence, seconds: float) -> MotionSequence:
    """Motion delayed by `seconds` (below zero: advanced); the ends are held and the length is kept."""
    positions = torch.arange(len(motion), dtype=torch.float64) - seconds * float(motion.fps)
    return motion.at(positions, motion.fps)


def mix(
    base: MotionSequence, other: MotionSequence, regions: tuple[str, ...], weight: float = 1.0
) -> MotionSequence:
    """`base` with the given regions from `other`, resampled to the rate and length of `base`.

    Args:
        base: source of everything else, of the frame rate, the length and the rest frame.
        other: source of the regions' motion, relative to its own rest frame.
        regions: any of REGIONS, in any combination.
        weight: 0…1, interpolates the regions from `base` to `other`.

    Raises:
        ValueError: a region is not in REGIONS.
    """
    unknown = set(regions) - set(REGIONS)
    if unknown:
        raise ValueError(f"Unknown regions {sorted(unknown)}; choose from {', '.join(REGIONS)}.")
    donor = other.resampled(base.fps, len(base))
    mixed = base
    for region in regions:
        mixed = _pose_of(mixed, donor, weight) if region == "pose" else _region_of(mixed, donor, region, weight)
    return mixed


def _with_controls(
    motion: MotionSequence, change: Callable[[Controls], Controls], residual_gains: dict[str, float]
) -> MotionSequence:
    """Motion with controls changed by `change`, and with the residual of whole regions scaled."""
    controls, residual = _split(motion.expression - motion.rest.expression)
    gains = torch.ones(KEYPOINTS, 1).to(residual)
    for region, gain in residual_gains.items():
        gains[list(REGION_KEYPOINTS[region])] = gain
    return _joined(motion, change(controls), gains * residual)


def _split(delta: Tensor) -> tuple[Controls, Tensor]:
    """Controls of an expression delta (T, 21, 3), and the residual (T, 21, 3) that they cannot express."""
    controls = from_expression(delta)
    return controls, delta - to_expression(controls)


def _joined(motion: MotionSequence, controls: Controls, residual: Tensor) -> MotionSequence:
    """`motion` with the expression of controls and a residual, of which the part along controls is removed."""
    _, unsaid = _split(residual)
    return replace(motion, expression=motion.rest.expression + to_expression(controls) + unsaid)


def _region_of(base: MotionSequence, donor: MotionSequence, region: str, weight: float) -> MotionSequence:
    """`base` with one region of the expression from `donor`, frame by frame."""
    own, own_residual = _split(base.expression - base.rest.expression)
    given, given_residual = _split(donor.expression - donor.rest.expression)
    names, keypoints = REGION_CONTROLS[region], list(REGION_KEYPOINTS[region])
    mixed = {name: torch.lerp(getattr(own, name), getattr(given, name), weight) for name in names}
    residual = own_residual.clone()
    residual[:, keypoints] = torch.lerp(own_residual[:, keypoints], given_residual[:, keypoints], weight)
    return _joined(base, replace(own, **mixed), residual)


def _pose_of(base: MotionSequence, donor: MotionSequence, weight: float) -> MotionSequence:
    """`base` with rotation, scale and translation from `donor`, frame by frame."""
    own, rest = base.relative_rotation(), base.rest
    way = own.mT @ donor.relative_rotation()
    turned = own @ _scaled_rotation(way, weight) @ rotation_matrix(rest.rotation)
    place = donor.translation - donor.rest.translation + rest.translation
    return replace(
        base,
        rotation=rotation_degrees(turned),
        scale=torch.lerp(base.scale, rest.scale * donor.scale / donor.rest.scale, weight),
        translation=torch.lerp(base.translation, place, weight),
    )


def _scaled_rotation(matrices: Tensor, gain: float) -> Tensor:
    """Rotations (T, 3, 3) about the same axes with their angles multiplied by `gain`."""
    return _rotations(gain * _rotation_vectors(matrices))


def _rotation_vectors(matrices: Tensor) -> Tensor:
    from scipy.spatial.transform import Rotation

    return torch.from_numpy(Rotation.from_matrix(matrices.double().cpu().numpy()).as_rotvec()).to(matrices)


def _rotations(vectors: Tensor) -> Tensor:
    from scipy.spatial.transform import Rotation

    return torch.from_numpy(Rotation.from_rotvec(vectors.double().cpu().numpy()).as_matrix()).to(vectors)
