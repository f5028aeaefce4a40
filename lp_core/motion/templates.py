"""LivePortrait's motion templates: `.pkl` files, read without executing code from them."""

import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..media.rates import frame_rate
from .keypoints import KEYPOINTS, rotation_degrees
from .plain_pickle import PickledArray, read_plain_pickle
from .retarget import measured_from
from .sequence import MotionFrame, MotionSequence

MOTION_SUFFIXES = (".safetensors", ".pkl")  # of files that hold motion: our own, and templates


@dataclass(frozen=True, eq=False)
class Template:
    """The content of a template file.

    Attributes:
        motion: relative to the chosen frame.
        eye_ratios: (T, 2) the driver's lid opening over eye width, left and right; None when the file has none.
        lip_ratios: (T,) the driver's inner-lip opening over mouth width; None when the file has none.
    """

    motion: MotionSequence
    eye_ratios: Tensor | None
    lip_ratios: Tensor | None


def read_template(path: str | os.PathLike[str], rest: int | None = 0) -> Template:
    """The motion of a LivePortrait template, with old or new keys.

    Args:
        path: a `.pkl` file.
        rest: index of the rest frame of the motion; None chooses the one nearest to rest.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, malicious, or not a template; no code of it has been run.
    """
    content = read_plain_pickle(path)
    try:
        return _template(content, rest)
    except (pickle.UnpicklingError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{path} is no usable LivePortrait motion template: {error}") from error


def load_motion(path: str | os.PathLike[str], rest: int | None = None) -> MotionSequence:
    """The motion in a file of either kind: our own (.safetensors) or a LivePortrait template (.pkl).

    Args:
        path: the file; its suffix selects the format.
        rest: index of the rest frame of the motion; when None, the frame nearest to rest in a template, and the
            saved rest frame in our own file.

    Raises:
        FileNotFoundError: the template does not exist.
        ValueError: the file is damaged, malicious or of another format, or has no frame `rest`.
    """
    if Path(path).suffix.lower() == ".pkl":
        return read_template(path, rest).motion
    motion = MotionSequence.load(path)
    return motion if rest is None else measured_from(motion, rest)


def _template(content: Any, rest: int | None) -> Template:
    frames = content.get("motion") if isinstance(content, Mapping) else None
    if not isinstance(frames, Sequence) or not frames or not all(isinstance(item, Mapping) for item in frames):
        raise ValueError("it has no list of frames under `motion`.")
    matrices = _stacked(frames, ("R", "R_d"), (3, 3))
    motion = MotionSequence(
        expression=_stacked(frames, ("exp",), (KEYPOINTS, 3)),
        rotation=rotation_degrees(matrices.double()).float(),
        scale=_stacked(frames, ("scale",), (1,)),
        translation=_stacked(frames, ("t",), (3,)),
        fps=_rate(content),
        rest=MotionFrame.neutral(),
    )
    return Template(
        motion=measured_from(motion, rest),
        eye_ratios=_ratios(content, ("c_eyes_lst", "c_d_eyes_lst"), (len(frames), 2)),
        lip_ratios=_ratios(content, ("c_lip_lst", "c_d_lip_lst"), (len(frames),)),
    )


def _rate(content: Mapping[str, Any]) -> Fraction:
    rate = content.get("output_fps", 25)
    return frame_rate(float(_tensor(rate)) if isinstance(rate, PickledArray) else rate)


def _stacked(frames: Sequence[Mapping[str, Any]], keys: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
    """One value of every frame (T, *shape), under the first of the keys that the frame has."""
    return torch.stack([_tensor(_first(frame, keys)).reshape(shape) for frame in frames])


def _ratios(content: Mapping[str, Any], keys: tuple[str, ...], shape: tuple[int, ...]) -> Tensor | None:
    """A list of ratios; None when the file has none, as some of LivePortrait's own templates."""
    values = next((content[key] for key in keys if content.get(key)), None)
    return None if values is None else torch.stack([_tensor(value).flatten() for value in values]).reshape(shape)


def _first(frame: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        if key in frame:
            return frame[key]
    raise ValueError(f"a frame lacks `{keys[0]}`.")


def _tensor(value: Any) -> Tensor:
    """An array, a number or nested lists of numbers as float32."""
    numbers = value.numpy() if isinstance(value, PickledArray) else value
    return torch.as_tensor(numbers).to(torch.float32)
