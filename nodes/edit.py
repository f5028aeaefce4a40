"""Edits of motion, one node a region of the face."""

from typing import Any

from ..lp_core import edits
from ..lp_core.motion import MotionSequence
from .node import Node

EDITED = "The edited motion."


def _amount(default: float, low: float, high: float, tooltip: str) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": default, "min": low, "max": high, "step": 0.01, "tooltip": tooltip})


class RetargetLip(Node):
    """Lips of a MOTION."""

    DESCRIPTION = "Makes lip motion larger or smaller, and opens, widens or lifts the mouth by a constant."
    SEARCH_ALIASES = ("talking head", "mouth", "lip sync strength")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = (EDITED,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "What is edited."}),
                "gain": _amount(1.0, 0.0, 3.0, "Factor on the lip motion: 1 keeps it, 0 stills the lips."),
                "opening": _amount(0.0, -0.5, 0.5, "Opens the mouth, in eye distances; below zero closes it."),
                "wide": _amount(0.0, -0.3, 0.3, "Widens the mouth, in eye distances; below zero rounds it."),
                "smile": _amount(0.0, -0.3, 0.3, "Lifts the corners, in eye distances; below zero lowers them."),
            }
        }

    def run(
        self, motion: MotionSequence, gain: float, opening: float, wide: float, smile: float
    ) -> tuple[MotionSequence]:
        """The edited motion."""
        return (edits.retarget_lips(motion, gain, opening, wide, smile),)


class RetargetEye(Node):
    """Eyelids of a MOTION."""

    DESCRIPTION = "Makes blinks stronger or weaker, and closes or widens either eye by a constant."
    SEARCH_ALIASES = ("talking head", "blink", "wink", "eyelids")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = (EDITED,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "What is edited."}),
                "gain": _amount(1.0, 0.0, 3.0, "Factor on the blinks: 1 keeps them, 0 takes them away."),
                "close_left": _amount(0.0, -1.0, 1.0, "The picture's left eye: 1 shuts it, below zero widens it."),
                "close_right": _amount(
                    0.0, -1.0, 1.0, "The picture's right eye: 1 shuts it, below zero widens it."
                ),
            }
        }

    def run(
        self, motion: MotionSequence, gain: float, close_left: float, close_right: float
    ) -> tuple[MotionSequence]:
        """The edited motion."""
        return (edits.retarget_eyes(motion, gain, close_left, close_right),)


class PupilControl(Node):
    """Gaze of a MOTION."""

    DESCRIPTION = "Shifts the gaze, calms it, or keeps it on the viewer while the head turns."
    SEARCH_ALIASES = ("talking head", "gaze", "eye contact", "look at camera")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = (EDITED,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "What is edited."}),
                "x": _amount(0.0, -1.0, 1.0, "Looks to the picture's right, in iris radii; below zero left."),
                "y": _amount(0.0, -1.0, 1.0, "Looks down, in iris radii; below zero up."),
                "gain": _amount(1.0, 0.0, 3.0, "Factor on the motion's own gaze: 1 keeps it, 0 stills it."),
                "eye_contact": _amount(0.0, 0.0, 1.0, "How far the eyes stay on the viewer as the head turns."),
            }
        }

    def run(
        self, motion: MotionSequence, x: float, y: float, gain: float, eye_contact: float
    ) -> tuple[MotionSequence]:
        """The edited motion."""
        return (edits.move_pupils(motion, x, y, gain, eye_contact),)
