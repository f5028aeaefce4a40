"""Motion in LivePortrait's keypoint space, the common format of generators, edits and renderers."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ..media.rates import frame_rate
from ..media.tensor_files import save_tensors
from .keypoints import KEYPOINTS, rotation_degrees, rotation_matrix

FORMAT = "talking-head motion 1"


@dataclass(frozen=True, eq=False)
class MotionFrame:
    """Pose and expression of one frame.

    Attributes:
        expression: (21, 3) keypoint displacement in crop units before scaling.
        rotation: (3,) degrees pitch, yaw, roll (convention in keypoints.py).
        scale: (1,) plain factor.
        translation: (3,) crop units; z is not used.
    """

    expression: Tensor
    rotation: Tensor
    scale: Tensor
    translation: Tensor

    SHAPES: ClassVar[dict[str, tuple[int, ...]]] = {
        "expression": (KEYPOINTS, 3),
        "rotation": (3,),
        "scale": (1,),
        "translation": (3,),
    }

    def __post_init__(self) -> None:
        for name, shape in self.SHAPES.items():
            _check(f"the rest frame's {name}", getattr(self, name), shape)

    @classmethod
    def neutral(cls) -> "MotionFrame":
        """The identity frame: no expression, no rotation, scale one."""
        return cls(torch.zeros(KEYPOINTS, 3), torch.zeros(3), torch.ones(1), torch.zeros(3))

    def to(self, device: torch.device | str) -> "MotionFrame":
        """The same frame on another device."""
        return MotionFrame(*(getattr(self, name).to(device) for name in self.SHAPES))


@dataclass(frozen=True, eq=False)
class MotionSequence:
    """Motion of T frames at a fixed rate, with the rest frame that it is relative to.

    Attributes:
        expression: (T, 21, 3) keypoint displacement in crop units before scaling.
        rotation: (T, 3) degrees pitch, yaw, roll (convention in keypoints.py).
        scale: (T, 1) plain factor.
        translation: (T, 3) crop units; z is not used.
        fps: exact frames per second.
        rest: the driver's neutral frame: relative motion is the difference to it. Generators that write deltas
            keep `MotionFrame.neutral()`.
    """

    expression: Tensor
    rotation: Tensor
    scale: Tensor
    translation: Tensor
    fps: Fraction
    rest: MotionFrame

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", frame_rate(self.fps))
        if self.expression.ndim != 3 or not len(self.expression):
            raise ValueError(
                f"Motion needs an expression of shape (frames, 21, 3) with at least one frame; "
                f"got {tuple(self.expression.shape)}."
            )
        for name, shape in MotionFrame.SHAPES.items():
            _check(f"the motion's {name}", getattr(self, name), (len(self.expression), *shape))

    @classmethod
    def still(cls, frames: int, fps: float | Fraction) -> "MotionSequence":
        """Motion of `frames` frames in which nothing moves."""
        return cls(
            expression=torch.zeros(frames, KEYPOINTS, 3),
            rotation=torch.zeros(frames, 3),
            scale=torch.ones(frames, 1),
            translation=torch.zeros(frames, 3),
            fps=frame_rate(fps),
            rest=MotionFrame.neutral(),
        )

    def __len__(self) -> int:
        return len(self.expression)

    def __getitem__(self, frames: slice) -> "MotionSequence":
        """The given range of frames, at least one."""
        if not isinstance(frames, slice):
            raise TypeError(f"Motion is cut by a slice such as motion[10:20]; got {frames!r}.")
        return replace(self, **{name: getattr(self, name)[frames] for name in MotionFrame.SHAPES})

    @property
    def duration(self) -> Fraction:
        """Exact duration in seconds."""
        return len(self) / self.fps

    def frame(self, index: int) -> MotionFrame:
        """Frame `index`."""
        return MotionFrame(*(getattr(self, name)[index] for name in MotionFrame.SHAPES))

    def to(self, device: torch.device | str) -> "MotionSequence":
        """The same motion on another device."""
        moved = {name: getattr(self, name).to(device) for name in MotionFrame.SHAPES}
        return replace(self, rest=self.rest.to(device), **moved)

    def relative_rotation(self) -> Tensor:
        """Rotation matrices (T, 3, 3) from the rest pose to each frame: R_i R_restᵀ, for row vectors."""
        return rotation_matrix(self.rotation) @ rotation_matrix(self.rest.rotation).mT

    def resampled(self, fps: float | Fraction, frames: int | None = None) -> "MotionSequence":
        """The same motion at another frame rate; frame n stays at second n / fps.

        Expression, scale and translation are interpolated linearly, rotations along the shortest arc (slerp).
        Times past the last frame hold it.

        Args:
            fps: the new rate.
            frames: number of frames of the result; the motion's duration, rounded up, when None.
        """
        rate = frame_rate(fps)
        count = math.ceil(self.duration * rate) if frames is None else frames
        if rate == self.fps and count == len(self):
            return self
        step = float(self.fps / rate)
        return self.at(torch.arange(count, dtype=torch.float64) * step, rate)

    def at(self, positions: Tensor, fps: Fraction) -> "MotionSequence":
        """The motion at fractional frame positions (N,), clamped to the first and last frame."""
        position = positions.double().clamp(0, len(self) - 1)
        below = position.floor().long().clamp(max=max(len(self) - 2, 0))
        above = (below + 1).clamp(max=len(self) - 1)
        weight = (position - below).to(self.expression)
        mixed = {
            name: torch.lerp(values[below], values[above], weight.view(-1, *[1] * (values.ndim - 1)))
            for name in ("expression", "scale", "translation")
            for values in [getattr(self, name)]
        }
        return replace(self, rotation=self._slerp(position), fps=fps, **mixed)

    def _slerp(self, position: Tensor) -> Tensor:
        """Rotations (N, 3) in degrees at fractional positions in 0 … T-1."""
        from scipy.spatial.transform import Rotation, Slerp

        if len(self) == 1:
            return self.rotation.expand(len(position), 3).clone()
        matrices = rotation_matrix(self.rotation.double()).mT.cpu().numpy()
        turned = Slerp(range(len(self)), Rotation.from_matrix(matrices))(position.cpu().numpy())
        degrees = rotation_degrees(torch.from_numpy(turned.as_matrix()).mT)
        return degrees.to(self.rotation)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the motion as safetensors, with rate and format in the JSON metadata, atomically."""
        tensors = {name: getattr(self, name) for name in MotionFrame.SHAPES}
        tensors |= {f"rest.{name}": getattr(self.rest, name) for name in MotionFrame.SHAPES}
        save_tensors(path, tensors, {"format": FORMAT, "fps": str(self.fps)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "MotionSequence":
        """Reads motion written by `save`.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        tensors, metadata = _read(Path(path))
        if metadata.get("format") != FORMAT:
            raise ValueError(
                f"{path} is not a motion file of this pack: its format is {metadata.get('format')!r}, "
                f"expected {FORMAT!r}. Motion files are written by SaveMotion or `talking-head animate`."
            )
        names = MotionFrame.SHAPES
        try:
            rest = MotionFrame(**{name: tensors[f"rest.{name}"] for name in names})
            values = {name: tensors[name] for name in names}
        except KeyError as error:
            raise ValueError(f"The motion file {path} lacks {error}; it is damaged: save it again.") from error
        return cls(**values, fps=frame_rate(metadata.get("fps", "")), rest=rest)


def join(sequences: Sequence[MotionSequence]) -> MotionSequence:
    """The concatenation of sequences of the same frame rate and rest frame.

    Raises:
        ValueError: there are none, or their rates or rest frames differ.
    """
    if not sequences:
        raise ValueError("Joining needs at least one motion; got none.")
    first = sequences[0]
    for other in sequences[1:]:
        if other.fps != first.fps:
            raise ValueError(f"Cannot join motion at {first.fps} and {other.fps} frames a second; resample one.")
        if not _same_rest(first.rest, other.rest):
            raise ValueError("Cannot join motions that are measured against different rest frames.")
    joined = {name: torch.cat([getattr(part, name) for part in sequences]) for name in MotionFrame.SHAPES}
    return replace(first, **joined)


def _same_rest(first: MotionFrame, second: MotionFrame) -> bool:
    return all(torch.equal(getattr(first, field.name), getattr(second, field.name)) for field in fields(first))


def _check(what: str, value: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(value.shape) != shape:
        raise ValueError(f"Expected {what} to have shape {shape}; got {tuple(value.shape)}.")
    if value.dtype != torch.float32:
        raise ValueError(f"Expected {what} as float32; got {value.dtype}.")
    if not torch.isfinite(value).all():
        raise ValueError(f"Expected {what} to be finite; it holds NaN or infinity.")


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"Cannot read the motion file {path}: {error}.") from error
