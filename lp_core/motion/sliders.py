"""LivePortrait's expression sliders: named amounts to changes of the expression.

The directions and ranges are those of the original's image editor and of AdvancedLivePortrait, so their
settings can be reused (LivePortrait's spec, section 4). The named controls of controls.py are this pack's own; they
express more, in units of the face.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .controls import Direction, X, Y, Z
from .keypoints import KEYPOINTS


@dataclass(frozen=True)
class Sliders:
    """Amounts of the sliders; 0 changes nothing. The usual range of each is given.

    Attributes:
        smile: -0.3 … 1.3.
        lip_open: -90 … 120, called `aaa` and `lip_variation_three` elsewhere.
        grin: -20 … 15, `eee` and `lip_variation_two`.
        purse: -20 … 15, `woo` and `lip_variation_one`.
        pout: -0.09 … 0.09, `lip_variation_zero`.
        wink: 0 … 39.
        eyebrow: -30 … 30, up above zero, together below.
        gaze_x: -30 … 30.
        gaze_y: -63 … 63; the lids follow.
        blink: -20 … 5, closed below zero.
        move_x: -0.19 … 0.19, the face in the picture.
        move_y: -0.19 … 0.19.
    """

    smile: float = 0.0
    lip_open: float = 0.0
    grin: float = 0.0
    purse: float = 0.0
    pout: float = 0.0
    wink: float = 0.0
    eyebrow: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    blink: float = 0.0
    move_x: float = 0.0
    move_y: float = 0.0


# Change of the expression per unit of a slider: above zero, and below it.
_LIDS: Direction = ((11, Y, -0.001), (13, Y, 0.0003), (15, Y, -0.001), (16, Y, 0.0003))
_ONE_WAY: dict[str, Direction] = {
    "smile": (
        (20, Y, -0.01), (14, Y, -0.02), (17, Y, 0.0065), (17, Z, 0.003),
        (13, Y, -0.00275), (16, Y, -0.00275), (3, Y, -0.0035), (7, Y, -0.0035),
    ),
    "lip_open": ((19, Y, 0.001), (19, Z, 0.0001), (17, Y, -0.0001)),
    "grin": ((20, Z, -0.001), (20, Y, -0.001), (14, Y, -0.001)),
    "purse": ((14, Y, 0.001), (3, Y, -0.0005), (7, Y, -0.0005), (17, Z, -0.0005)),
    "pout": ((19, X, 1.0),),
    "wink": ((11, Y, 0.001), (13, Y, -0.0003), (17, X, 0.0003), (17, Y, 0.0003), (3, Y, -0.0003)),
    "gaze_y": ((11, Y, -0.0005), (13, Y, -0.00015), (15, Y, -0.0005), (16, Y, -0.00015)),
    "blink": _LIDS,
    "move_x": ((5, X, -1.0),),
    "move_y": ((5, Y, 1.0),),
}  # fmt: skip
_TWO_WAYS: dict[str, tuple[Direction, Direction]] = {
    "eyebrow": (
        ((1, Y, 0.001), (2, Y, -0.001)),
        ((1, X, -0.001), (2, X, 0.001), (1, Y, 0.0003), (2, Y, -0.0003)),
    ),
    "gaze_x": (((11, X, 0.0007), (15, X, 0.001)), ((11, X, 0.001), (15, X, 0.0007))),
}
DIRECTIONS = {name: (way, way) for name, way in _ONE_WAY.items()} | _TWO_WAYS


def slider_expression(sliders: Sliders) -> Tensor:
    """The change of expression (21, 3), crop units before scaling, by the sliders."""
    change = torch.zeros(KEYPOINTS, 3, dtype=torch.float64)
    for field in fields(sliders):
        amount = getattr(sliders, field.name)
        for keypoint, axis, per_unit in DIRECTIONS[field.name][0 if amount > 0 else 1]:
            change[keypoint, axis] += amount * per_unit
    return change.float()
