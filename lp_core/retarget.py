"""A driver's motion brought onto a portrait's own pose and expression."""

from dataclasses import replace

from .keypoints import rotation_degrees, rotation_matrix
from .motion import MotionFrame, MotionSequence


def relative_to(motion: MotionSequence, rest: MotionFrame) -> MotionSequence:
    """The portrait's own frames when it does what the driver did, each measured from rest.

    R = R_i R_restᵀ R_s, expression = e_s + (e_i − e_rest), scale = s_s · s_i / s_rest, t = t_s + t_i − t_rest
    (LivePortrait's relative motion, its spec section 3.1, with the driver's neutral frame in place of frame 0).
    Motion that never leaves its rest frame gives `rest` on every frame.
    """
    turned = motion.relative_rotation() @ rotation_matrix(rest.rotation)
    return replace(
        motion,
        expression=rest.expression + (motion.expression - motion.rest.expression),
        rotation=rotation_degrees(turned),
        scale=rest.scale * (motion.scale / motion.rest.scale),
        translation=rest.translation + (motion.translation - motion.rest.translation),
        rest=rest,
    )
