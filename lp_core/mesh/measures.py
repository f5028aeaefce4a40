"""The geometric measures of an expression, and their conversion to controls and back.

Lengths are eye distances in the face frame of faces/face_model.py.
"""

import torch
from torch import Tensor

from ..motion.controls import Controls

MEASURES = (
    "gap", "width", "chin", "up", "corner", "protrusion", "sideways",
    "eye_left", "eye_right", "brow_inner_left", "brow_inner_right", "brow_outer_left", "brow_outer_right",
    "brow_distance", "gaze_x", "gaze_y",
)  # fmt: skip

UPPER_LIP_MIDDLE = (13, 82, 312)
LOWER_LIP_MIDDLE = (14, 87, 317)
IRIS_RADIUS = 0.065  # eye distances, of the mean face

# Coupling in speech: how far chin, upper lip and corners follow the opening and the width (mesh spec, 2).
CHIN_PER_GAP, CHIN_PER_WIDTH = 0.36, -0.15
UP_PER_GAP, UP_PER_WIDTH = -0.10, -0.22
CORNER_PER_GAP, CORNER_PER_WIDTH = 0.18, -0.40

# An eye starts to close when its opening falls by this share of the open eye, and is closed after the span.
BLINK_START, BLINK_SPAN = 0.12, 0.62


def measure(points: Tensor) -> Tensor:
    """The sixteen measures (T, 16), in the order of MEASURES, of faces (T, 478, 3) in the face frame."""

    def mean(axis: int, *indices: int) -> Tensor:
        return points[:, list(indices), axis].mean(1)

    def opening(upper: tuple[int, ...], lower: tuple[int, ...]) -> Tensor:
        return (points[:, list(upper)] - points[:, list(lower)]).norm(dim=-1).mean(1)

    def gaze(axis: int) -> Tensor:
        left = points[:, 468, axis] - mean(axis, 33, 133)
        return (left + points[:, 473, axis] - mean(axis, 263, 362)) / 2

    measures = (
        opening(UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE),
        (points[:, 61] - points[:, 291]).norm(dim=-1),
        mean(1, 152),
        points[:, 13, 1] - points[:, 2, 1],
        mean(1, 61, 291),
        -mean(2, 0, 17, 13, 14),
        mean(0, 61, 291),
        opening((159, 158, 160), (145, 153, 144)),
        opening((386, 385, 387), (374, 380, 373)),
        mean(1, 55, 107, 65),
        mean(1, 285, 336, 295),
        mean(1, 70, 46, 53, 63),
        mean(1, 300, 276, 283, 293),
        points[:, 285, 0] - points[:, 55, 0],
        gaze(0),
        gaze(1),
    )
    return torch.stack(measures, -1)


def measures_of_controls(controls: Controls) -> Tensor:
    """Changes of the measures (T, 16) by controls; eyes and gaze, which are drawn separately, stay zero."""
    none = torch.zeros_like(controls.jaw)
    inner = controls.brow_inner
    return torch.stack(
        [
            controls.jaw,
            controls.wide,
            CHIN_PER_GAP * controls.jaw + CHIN_PER_WIDTH * controls.wide,
            UP_PER_GAP * controls.jaw + UP_PER_WIDTH * controls.wide - controls.lip_raise,
            CORNER_PER_GAP * controls.jaw + CORNER_PER_WIDTH * controls.wide - controls.smile,
            controls.pout,
            controls.mouth_x,
            none,
            none,
            -(controls.brow_left + inner),
            -(controls.brow_right + inner),
            -controls.brow_left,
            -controls.brow_right,
            -controls.frown,
            none,
            none,
        ],
        -1,
    )


def controls_of_measures(change: Tensor, open_eyes: Tensor) -> Controls:
    """Controls of changes of the measures (T, 16), given the eyes' openings at rest (2,) in eye distances.

    The inverse of `measures_of_controls`; blinks and gaze are computed from the eyes. Press, tuck and tongue are
    not visible in the measures and stay zero.
    """
    (
        gap, width, _, up, corner, protrusion, sideways, eye_left, eye_right,
        inner_left, inner_right, outer_left, outer_right, brow_distance, gaze_x, gaze_y,
    ) = change.unbind(-1)  # fmt: skip
    return Controls.still(
        len(change),
        jaw=gap,
        wide=width,
        pout=protrusion,
        smile=CORNER_PER_GAP * gap + CORNER_PER_WIDTH * width - corner,
        lip_raise=UP_PER_GAP * gap + UP_PER_WIDTH * width - up,
        mouth_x=sideways,
        blink_left=_blink(eye_left / open_eyes[0]),
        blink_right=_blink(eye_right / open_eyes[1]),
        brow_left=-outer_left,
        brow_right=-outer_right,
        brow_inner=(outer_left + outer_right - inner_left - inner_right) / 2,
        frown=-brow_distance,
        pupil_x=gaze_x / IRIS_RADIUS,
        pupil_y=gaze_y / IRIS_RADIUS,
    )


def _blink(opened_by: Tensor) -> Tensor:
    """Blink amounts from the change of the eye's opening relative to the open eye (-1 closed, 0 open)."""
    return ((-opened_by - BLINK_START) / BLINK_SPAN).clamp(0, 1)
