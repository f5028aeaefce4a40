"""Positions of the parts of a moving face, for the handles that users drag in an editor."""

import torch
from torch import Tensor

from ..faces.crop import apply_affine
from ..faces.mesh_points import LEFT_EYE, LIP_MIDDLE, LOWER_OUTER, RIGHT_EYE, UPPER_OUTER
from ..motion.controls import from_expression
from ..motion.sequence import MotionSequence
from ..render.portrait import Portrait
from .drawing import Drawing
from .renderer import head_motion

NOSE_TIP = 1
LEFT_CORNER, RIGHT_CORNER = UPPER_OUTER[0], UPPER_OUTER[-1]
PLACES: dict[str, tuple[int, ...]] = {
    "left_pupil": LEFT_EYE.iris[:1],
    "right_pupil": RIGHT_EYE.iris[:1],
    "left_lid": LEFT_EYE.upper[3:6],
    "right_lid": RIGHT_EYE.upper[3:6],
    "left_brow": LEFT_EYE.brow,
    "right_brow": RIGHT_EYE.brow,
    "left_corner": (LEFT_CORNER,),
    "right_corner": (RIGHT_CORNER,),
    "lips": (LOWER_OUTER[LIP_MIDDLE],),
    "nose": (NOSE_TIP,),
}


def handles(portrait: Portrait, motion: MotionSequence) -> dict[str, Tensor]:
    """The centres (T, 2) of parts of a face, by name, in pixels of the portrait's picture.

    Args:
        portrait: prepared by the mesh renderer.
        motion: the portrait's own frames, as `MeshRenderer.draw` takes them.
    """
    drawing: Drawing = portrait.drawing
    controls = from_expression(motion.expression - portrait.rest.expression)
    points = drawing.rig.turned(head_motion(drawing, portrait.rest, motion), drawing.room.amounts(controls))
    middles = {name: points[:, list(part), :2].mean(1) for name, part in PLACES.items()}
    gaze = torch.stack([controls.pupil_x, controls.pupil_y], -1)
    for name, eye in (("left_pupil", LEFT_EYE), ("right_pupil", RIGHT_EYE)):
        iris = points[:, list(eye.iris), :2]
        radius = (iris[:, 1:] - iris[:, :1]).norm(dim=-1).mean(1, keepdim=True)
        middles[name] = iris[:, 0] + gaze * radius
    return {name: apply_affine(drawing.to_picture, middle) for name, middle in middles.items()}
