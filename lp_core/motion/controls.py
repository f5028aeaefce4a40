"""Named controls of a face and their directions in the 21×3 expression space.

The procedural generator writes expressions by these controls, the mesh renderer reads them, and edits change them.
Both conversions are linear, and reading back a written expression is exact.

Units: mouth and brow controls are displacements in eye distances (between the outer eye corners, about 9 cm on a
person); blinks, press, tuck and tongue are amounts in 0…1; pupils move in iris radii. "Left" is the picture's left.

The directions come from LivePortrait's published expression sliders and from correlations measured on its motion
templates: 19y opens the jaw (0.12 per unit of lip ratio, which is 0.214 per eye distance at a mouth 0.56 wide),
11y and 15y close the left and right eye, 13y and 16y raise the lower lids, 1 and 2 are the brows, 14, 17 and 20 the
mouth's shape. Keypoints 6, 8, 9, 12 and 18 hardly move in LivePortrait (below 0.0003), so what it cannot express
(tongue, lip tuck, one brow alone) is encoded in them with amplitudes too small to be visible there.
"""

from dataclasses import dataclass, fields, replace
from functools import cache

import torch
from torch import Tensor

from .keypoints import KEYPOINTS

X, Y, Z = 0, 1, 2
Direction = tuple[tuple[int, int, float], ...]

DIRECTIONS: dict[str, Direction] = {
    "jaw": ((19, Y, 0.214), (19, Z, 0.0214), (17, Y, -0.0214)),
    "wide": ((14, Y, -0.2), (20, Y, -0.2), (20, Z, -0.2)),
    "pout": ((17, Z, -0.19), (3, Y, -0.19), (7, Y, -0.19)),
    "smile": (
        (20, Y, -0.13), (14, Y, -0.26), (17, Y, 0.0845), (17, Z, 0.039),
        (13, Y, -0.036), (16, Y, -0.036), (3, Y, -0.046), (7, Y, -0.046),
    ),
    "lip_raise": ((17, Y, -0.2), (14, Y, -0.05)),
    "mouth_x": ((19, X, 0.5), (20, X, 0.25)),
    "press": ((19, Y, -0.006), (17, Y, 0.004), (20, Y, 0.004), (12, Y, 0.001)),
    "tuck": ((12, Z, 0.002),),
    "tongue": ((6, Z, 0.002),),
    "blink_left": ((11, Y, 0.018), (13, Y, -0.0054)),
    "blink_right": ((15, Y, 0.018), (16, Y, -0.0054)),
    "brow_left": ((1, Y, 0.15), (2, Y, -0.15), (18, Y, 0.01)),
    "brow_right": ((1, Y, 0.15), (2, Y, -0.15), (18, Y, -0.01)),
    "brow_inner": ((1, X, -0.1), (2, X, 0.1), (18, X, 0.01)),
    "frown": ((1, X, 0.2), (2, X, -0.2), (1, Y, -0.06), (2, Y, 0.06)),
    "pupil_x": ((11, X, 0.0127), (15, X, 0.0127)),
    "pupil_y": ((11, Y, 0.0075), (13, Y, 0.00225), (15, Y, 0.0075), (16, Y, 0.00225)),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Controls:
    """Amounts of every named control over T frames, each (T,); zero is the face at rest.

    Attributes:
        jaw: inner-lip opening, eye distances; below zero closes a mouth that is open at rest.
        wide: mouth width, eye distances; below zero rounds it.
        pout: lips forward, eye distances.
        smile: mouth corners up, eye distances.
        lip_raise: upper lip up beyond what opening raises it, eye distances.
        mouth_x: mouth and jaw sideways, eye distances, to the picture's right.
        press: 0…1 of the lips sealed: takes away that share of an opening the mouth has at rest.
        tuck: 0…1 of the lower lip drawn under the upper teeth (F, V).
        tongue: 0…1 of the tongue raised to the upper teeth (L, N, TH).
        blink_left: 0 open as at rest … 1 closed; below zero opens wider.
        blink_right: the same for the picture's right eye.
        brow_left: brow up, eye distances.
        brow_right: the same for the picture's right brow.
        brow_inner: inner ends of both brows up, eye distances.
        frown: brows drawn together, eye distances.
        pupil_x: gaze to the picture's right, iris radii.
        pupil_y: gaze down, iris radii.
    """

    jaw: Tensor
    wide: Tensor
    pout: Tensor
    smile: Tensor
    lip_raise: Tensor
    mouth_x: Tensor
    press: Tensor
    tuck: Tensor
    tongue: Tensor
    blink_left: Tensor
    blink_right: Tensor
    brow_left: Tensor
    brow_right: Tensor
    brow_inner: Tensor
    frown: Tensor
    pupil_x: Tensor
    pupil_y: Tensor

    @classmethod
    def still(cls, frames: int, **moved: Tensor) -> "Controls":
        """Controls of `frames` frames at rest, except for the given ones."""
        rest = {name: torch.zeros(frames) for name in NAMES}
        return cls(**(rest | moved))

    def __len__(self) -> int:
        return len(self.jaw)

    def stack(self) -> Tensor:
        """All amounts as (T, controls), in the order of NAMES."""
        return torch.stack([getattr(self, name) for name in NAMES], -1)

    @classmethod
    def unstack(cls, amounts: Tensor) -> "Controls":
        """Controls from amounts (T, controls) in the order of NAMES."""
        return cls(*amounts.unbind(-1))

    def scaled(self, names: tuple[str, ...], gain: float) -> "Controls":
        """The same controls with the named ones multiplied by `gain`."""
        return replace(self, **{name: getattr(self, name) * gain for name in names})


NAMES = tuple(field.name for field in fields(Controls))
LIP_CONTROLS = ("jaw", "wide", "pout", "smile", "lip_raise", "mouth_x", "press", "tuck", "tongue")
EYE_CONTROLS = ("blink_left", "blink_right", "pupil_x", "pupil_y")
BROW_CONTROLS = ("brow_left", "brow_right", "brow_inner", "frown")


def to_expression(controls: Controls) -> Tensor:
    """Expression deltas (T, 21, 3) of the controls, crop units before scaling."""
    amounts = controls.stack()
    return (amounts @ _directions().to(amounts)).view(-1, KEYPOINTS, 3)


def from_expression(expression: Tensor) -> Controls:
    """Controls fitted by least squares to expression deltas (T, 21, 3).

    Exact for expressions made by `to_expression`; parts that the controls cannot express are left out.
    """
    flat = expression.reshape(len(expression), -1)
    return Controls.unstack(flat @ _inverse().to(flat))


@cache
def _directions() -> Tensor:
    """The table as a matrix (controls, 63), float64."""
    table = torch.zeros(len(NAMES), KEYPOINTS, 3, dtype=torch.float64)
    for row, name in enumerate(NAMES):
        for keypoint, axis, amount in DIRECTIONS[name]:
            table[row, keypoint, axis] = amount
    return table.flatten(1)


@cache
def _inverse() -> Tensor:
    """The pseudo-inverse (63, controls) of the directions, float64."""
    return torch.linalg.pinv(_directions())
