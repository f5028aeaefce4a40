"""Conversion between networks' normalised motion vectors and motion, with the statistics of two motion spaces.

JoyVASA's 70 numbers are LivePortrait's motion: expression 63 (21×3, row-major), scale 1, translation 3, pitch, yaw
and roll in degrees. DiffPoseTalk's 54 or 51 are FLAME coefficients: expression 50, head rotation 3 (absent from the
51), jaw opening 1, angles in radians.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from ...lp_core.motion.keypoints import KEYPOINTS
from ...lp_core.motion.sequence import MotionFrame, MotionSequence

EXPRESSION = 3 * KEYPOINTS
POSE_NAMES = ("scale", "t", "pitch", "yaw", "roll")
SMALLEST_SPREAD = 1e-9
SMALLEST_SCALE = 0.1
FLAME_EXPRESSION = 50
FLAME_HEAD = 3


class MotionSpace(Protocol):
    """Converts a network's motion vectors to motion."""

    def motion(self, vectors: Tensor, fps: Fraction, rest: MotionFrame | None = None) -> MotionSequence:
        """Motion of vectors (T, d), measured from `rest`, or from the space's default rest frame when None."""
        ...


@dataclass(frozen=True, eq=False)
class JoyvasaSpace:
    """JoyVASA's motion space: the statistics in its motion template.

    Attributes:
        expression_mean: (63,) crop units.
        expression_std: (63,) crop units.
        pose_low: (7,) minimum of scale, translation, pitch, yaw and roll in the training data.
        pose_high: (7,) maximum of the same.
    """

    expression_mean: Tensor
    expression_std: Tensor
    pose_low: Tensor
    pose_high: Tensor

    @classmethod
    def from_template(cls, template: Mapping[str, Tensor]) -> "JoyvasaSpace":
        """The space of a template's entries mean_exp, std_exp, and min_ and max_ of scale, t, pitch, yaw, roll.

        Raises:
            ValueError: an entry is missing or has a wrong size.
        """
        try:
            mean, std = (template[name].float().flatten() for name in ("mean_exp", "std_exp"))
            low, high = (
                torch.cat([template[f"{bound}_{name}"].float().flatten() for name in POSE_NAMES])
                for bound in ("min", "max")
            )
        except KeyError as error:
            raise ValueError(f"The motion template lacks {error}; expected JoyVASA's motion_template.") from error
        sizes = [len(part) for part in (mean, std, low, high)]
        if sizes != [EXPRESSION, EXPRESSION, 7, 7]:
            raise ValueError(f"The motion template's sizes are {sizes}; expected [63, 63, 7, 7].")
        return cls(mean, std, low, high)

    @property
    def dims(self) -> int:
        """Numbers per frame, 70."""
        return len(self.expression_mean) + len(self.pose_low)

    @property
    def rest_expression(self) -> Tensor:
        """(21, 3) the mean expression of the training data, from which expressions are measured."""
        return self.expression_mean.view(KEYPOINTS, 3)

    def normalised(self, motion: MotionSequence) -> Tensor:
        """Vectors (T, 70) of a motion: expression standardised, the rest scaled to 0 … 1."""
        expression = (motion.expression.flatten(1) - self.expression_mean) / (self.expression_std + SMALLEST_SPREAD)
        pose = torch.cat((motion.scale, motion.translation, motion.rotation), 1)
        return torch.cat((expression, (pose - self.pose_low) / (self._span() + SMALLEST_SPREAD)), 1)

    def motion(self, vectors: Tensor, fps: Fraction, rest: MotionFrame | None = None) -> MotionSequence:
        """Motion of vectors (T, 70).

        It is measured from `rest`; when None, from the mean face in the pose of the first frame, so that the head
        starts in the portrait's own pose.
        """
        expression = (vectors[:, :EXPRESSION] * self.expression_std + self.expression_mean).unflatten(1, (-1, 3))
        pose = vectors[:, EXPRESSION:] * self._span() + self.pose_low
        scale, translation, rotation = pose.split((1, 3, 3), 1)
        # The vectors are unbounded, and a scale of 0 or less cannot be compared with any other.
        scale = scale.clamp(min=SMALLEST_SCALE)
        if rest is None:
            rest = MotionFrame(self.rest_expression, rotation[0], scale[0], translation[0])
        return MotionSequence(expression, rotation, scale, translation, fps, rest)

    def _span(self) -> Tensor:
        return self.pose_high - self.pose_low


@dataclass(frozen=True, eq=False)
class FlameCoefficients:
    """Motion of a FLAME head (Li et al. 2017).

    Attributes:
        expression: (T, 50).
        pose: (T, 6) axis-angle of head and jaw, radians.
    """

    expression: Tensor
    pose: Tensor


@dataclass(frozen=True, eq=False)
class FlameSpace:
    """DiffPoseTalk's motion space: the statistics in its stats_train.npz.

    Attributes:
        expression_mean: (50,).
        expression_std: (50,).
        pose_mean: (6,) radians.
        pose_std: (6,) radians.
        shape_mean: (100,) of the identity.
        shape_std: (100,).
    """

    expression_mean: Tensor
    expression_std: Tensor
    pose_mean: Tensor
    pose_std: Tensor
    shape_mean: Tensor
    shape_std: Tensor

    @classmethod
    def from_statistics(cls, statistics: Mapping[str, Tensor]) -> "FlameSpace":
        """The space of entries exp_mean, exp_std, pose_mean, pose_std, shape_mean and shape_std.

        Raises:
            ValueError: an entry is missing.
        """
        names = ("exp_mean", "exp_std", "pose_mean", "pose_std", "shape_mean", "shape_std")
        try:
            return cls(*(statistics[name].float().flatten() for name in names))
        except KeyError as error:
            raise ValueError(f"The statistics lack {error}; expected DiffPoseTalk's stats_train.npz.") from error

    def normalised_shape(self, shape: Tensor) -> Tensor:
        """Identity coefficients (N, 100) as the denoiser takes them."""
        return (shape - self.shape_mean) / self.shape_std

    def normalised(self, coefficients: FlameCoefficients, head: bool = True) -> Tensor:
        """Vectors (T, 54), or (T, 51) without `head`; only the jaw's opening is kept of its rotation."""
        expression = (coefficients.expression - self.expression_mean) / self.expression_std
        pose = (coefficients.pose - self.pose_mean) / self.pose_std
        return torch.cat((expression, pose[:, 0 if head else FLAME_HEAD : FLAME_HEAD + 1]), 1)

    def coefficients(self, vectors: Tensor) -> FlameCoefficients:
        """The coefficients of vectors (T, 54 or 51).

        The jaw's other axes are the data's means; without head rotation in the vectors it is zero.
        """
        expression, pose = vectors[:, :FLAME_EXPRESSION], vectors[:, FLAME_EXPRESSION:]
        turns = pose.shape[1] > 1
        head = pose[:, :FLAME_HEAD] if turns else pose.new_zeros(len(pose), FLAME_HEAD)
        sideways = pose.new_zeros(len(pose), 2)
        full = torch.cat((head, pose[:, -1:], sideways), 1) * self.pose_std + self.pose_mean
        if not turns:
            full = torch.cat((torch.zeros_like(head), full[:, FLAME_HEAD:]), 1)
        return FlameCoefficients(expression * self.expression_std + self.expression_mean, full)
