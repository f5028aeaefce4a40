"""Keyframes of the expression editor."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.expression import NAMES, Expression, expression_named
from .keyframes import EASINGS, through_keys

MAXIMUM_KEYS, MAXIMUM_SECONDS = 1000, 3600
EXAMPLE = '[{"seconds": 0, "amounts": {}}, {"seconds": 1.5, "amounts": {"smile": 0.8}, "easing": "smooth"}]'


@dataclass(frozen=True)
class ExpressionKey:
    """An expression keyframe.

    Attributes:
        seconds: 0 … MAXIMUM_SECONDS.
        expression: values of the sliders.
        easing: one of EASINGS, interpolation to the next keyframe.
    """

    seconds: float
    expression: Expression
    easing: str = "smooth"

    def __post_init__(self) -> None:
        is_number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if not (is_number and 0 <= self.seconds <= MAXIMUM_SECONDS):
            raise ValueError(f"A keyframe is at {self.seconds!r} s; give 0 … {MAXIMUM_SECONDS}.")
        if self.easing not in EASINGS:
            raise ValueError(f"A keyframe's easing is {self.easing!r}; choose from {', '.join(EASINGS)}.")


def parse_expression_keys(text: str) -> tuple[ExpressionKey, ...]:
    """Keyframes in order of time, from JSON such as EXAMPLE; none for an empty text.

    Sliders that a keyframe does not name are 0.

    Raises:
        ValueError: the JSON is invalid, has too many keyframes, or two at the same time.
    """
    if not text.strip():
        return ()
    try:
        listed = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The keyframes are not JSON ({error}); write them such as {EXAMPLE}.") from error
    if not isinstance(listed, list) or len(listed) > MAXIMUM_KEYS:
        raise ValueError(f"The keyframes are a JSON list of at most {MAXIMUM_KEYS}, such as {EXAMPLE}.")
    keys = sorted((_key(item) for item in listed), key=lambda key: key.seconds)
    if len({key.seconds for key in keys}) < len(keys):
        raise ValueError(f"Two keyframes are at the same time; their times are {[key.seconds for key in keys]}.")
    return tuple(keys)


def _key(item: object) -> ExpressionKey:
    if not isinstance(item, dict) or set(item) - {"easing"} != {"seconds", "amounts"}:
        raise ValueError(f"A keyframe has seconds, amounts and, if wished, easing, as in {EXAMPLE}; got {item!r}.")
    return ExpressionKey(item["seconds"], expression_named(item["amounts"]), item.get("easing", "smooth"))


def amounts_through(keys: Sequence[ExpressionKey], frames: int, fps: float | Fraction) -> Tensor:
    """Slider values (frames, sliders) interpolated through at least one keyframe, at `fps` frames a second."""
    return amounts_at(keys, torch.arange(frames, dtype=torch.float64) / float(frame_rate(fps)))


def amounts_at(keys: Sequence[ExpressionKey], seconds: Tensor) -> Tensor:
    """Slider values (T, sliders) at `seconds` (T,), in the order of lp_core.motion.expression.NAMES."""
    values = np.array([[float(getattr(key.expression, name)) for name in NAMES] for key in keys])
    times, easings = [key.seconds for key in keys], [key.easing for key in keys]
    return torch.from_numpy(through_keys(times, values, easings, seconds.double().numpy())).float()
