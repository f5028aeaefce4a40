"""The expression sliders of portrait editors, and the motion that they make.

Names, signs and ranges are AdvancedLivePortrait's (LivePortrait's spec, section 4); lids one by one and the jaw are
this pack's own, in the units of controls.py. "Left" is the picture's left.
"""

from dataclasses import dataclass, fields, replace
from functools import cache

import torch
from torch import Tensor

from .controls import Controls, to_expression
from .keypoints import rotation_degrees, rotation_matrix
from .sequence import MotionSequence
from .sliders import Sliders, slider_expression


@dataclass(frozen=True)
class SliderRange:
    """The range of a slider; 0 changes nothing."""

    lowest: float
    highest: float
    step: float


RANGES: dict[str, SliderRange] = {
    "rotate_pitch": SliderRange(-20, 20, 0.5),
    "rotate_yaw": SliderRange(-20, 20, 0.5),
    "rotate_roll": SliderRange(-20, 20, 0.5),
    "blink": SliderRange(-20, 5, 0.5),
    "eyebrow": SliderRange(-10, 15, 0.5),
    "wink": SliderRange(0, 25, 0.5),
    "pupil_x": SliderRange(-15, 15, 0.5),
    "pupil_y": SliderRange(-15, 15, 0.5),
    "aaa": SliderRange(-30, 120, 1),
    "eee": SliderRange(-20, 15, 0.2),
    "woo": SliderRange(-20, 15, 0.2),
    "smile": SliderRange(-0.3, 1.3, 0.01),
    "left_lid": SliderRange(-0.5, 1, 0.01),
    "right_lid": SliderRange(-0.5, 1, 0.01),
    "jaw": SliderRange(-0.3, 0.5, 0.01),
    "jaw_sideways": SliderRange(-0.2, 0.2, 0.01),
}


@dataclass(frozen=True)
class Expression:
    """Values of the sliders; 0 is the unchanged face, and RANGES holds their ranges.

    Attributes:
        rotate_pitch: degrees, looks down above zero.
        rotate_yaw: degrees, turns to the picture's right above zero, as other editors have it.
        rotate_roll: degrees, tilts clockwise above zero.
        blink: both eyes, closed at -18, wider above zero.
        eyebrow: up above zero, together below.
        wink: the picture's left eye, with the cheek; shut from 18 on.
        pupil_x: gaze to the picture's right.
        pupil_y: gaze up; the lids follow.
        aaa: lips open.
        eee: lips wide over the teeth.
        woo: lips pursed.
        smile: mouth corners up.
        left_lid: 1 shuts the left eye, below zero widens it.
        right_lid: the same for the right one.
        jaw: opens the jaw, eye distances; below zero shuts a mouth that is open at rest.
        jaw_sideways: jaw and mouth to the picture's right, eye distances.

    Raises:
        ValueError: an amount is not a number in its range.
    """

    rotate_pitch: float = 0.0
    rotate_yaw: float = 0.0
    rotate_roll: float = 0.0
    blink: float = 0.0
    eyebrow: float = 0.0
    wink: float = 0.0
    pupil_x: float = 0.0
    pupil_y: float = 0.0
    aaa: float = 0.0
    eee: float = 0.0
    woo: float = 0.0
    smile: float = 0.0
    left_lid: float = 0.0
    right_lid: float = 0.0
    jaw: float = 0.0
    jaw_sideways: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed in RANGES.items():
            amount = getattr(self, name)
            is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
            if not (is_number and allowed.lowest <= amount <= allowed.highest):
                wanted = f"{allowed.lowest:g} … {allowed.highest:g}"
                raise ValueError(f"The expression's {name} is {amount!r}; give a number {wanted}.")

    def amounts(self) -> Tensor:
        """All amounts (sliders,), in the order of NAMES."""
        return torch.tensor([float(getattr(self, name)) for name in NAMES])


NAMES = tuple(field.name for field in fields(Expression))
HEAD = ("rotate_pitch", "rotate_yaw", "rotate_roll")
_TURN_SIGNS = (1.0, -1.0, 1.0)  # from the sliders to keypoints.py's pitch, yaw, roll
_SLIDERS = {
    "blink": "blink",
    "eyebrow": "eyebrow",
    "wink": "wink",
    "pupil_x": "gaze_x",
    "pupil_y": "gaze_y",
    "aaa": "lip_open",
    "eee": "grin",
    "woo": "purse",
    "smile": "smile",
}
_CONTROLS = {"left_lid": "blink_left", "right_lid": "blink_right", "jaw": "jaw", "jaw_sideways": "mouth_x"}


def expression_named(amounts: object) -> Expression:
    """The expression of named amounts, such as a JSON object from a file or the page.

    Raises:
        ValueError: `amounts` is not an object of numbers, a name is not a slider's, or an amount is out of range.
    """
    if not isinstance(amounts, dict):
        raise ValueError(f"An expression is an object of named amounts, such as {{'smile': 0.5}}; got {amounts!r}.")
    unknown = sorted(str(name) for name in set(amounts) - set(NAMES))
    if unknown:
        raise ValueError(f"No slider is called {', '.join(unknown)}; there are {', '.join(NAMES)}.")
    return Expression(**amounts)


def expressed(motion: MotionSequence, amounts: Tensor) -> MotionSequence:
    """Motion with an expression added to every frame.

    Args:
        motion: the motion to edit, of T frames.
        amounts: (T, sliders) or (1, sliders) amounts in the order of NAMES.
    """
    every = amounts.expand(len(motion), -1)
    above, below = _directions()
    change = (every.clamp(min=0) @ above + every.clamp(max=0) @ below).view(len(motion), -1, 3)
    changed = replace(motion, expression=motion.expression + change)
    degrees = every[:, [NAMES.index(name) for name in HEAD]] * every.new_tensor(_TURN_SIGNS)
    if not degrees.any():
        return changed
    turned = motion.relative_rotation() @ rotation_matrix(degrees) @ rotation_matrix(motion.rest.rotation)
    return replace(changed, rotation=rotation_degrees(turned))


@cache
def _directions() -> tuple[Tensor, Tensor]:
    """Changes of the expression (sliders, 63) by one unit of each slider, above and below zero."""
    above, below = (torch.stack([_change(name, unit) / unit for name in NAMES]) for unit in (1.0, -1.0))
    return above.flatten(1), below.flatten(1)


def _change(name: str, unit: float) -> Tensor:
    """The change of the expression (21, 3) by one slider."""
    if name in _CONTROLS:
        return to_expression(Controls.still(1, **{_CONTROLS[name]: torch.tensor([unit])}))[0]
    return slider_expression(Sliders(**({_SLIDERS[name]: unit} if name in _SLIDERS else {})))
