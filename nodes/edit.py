"""Edits of motion, one node a region of the face."""

from typing import Any

from ..lp_core.motion import edits
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.openings import open_eyes_to, open_lips_to
from ..lp_core.render.portrait import Portrait
from .node import Node

EDITED = "The edited motion."
WIDEST = 1.0  # opening ratio


def _amount(default: float, low: float, high: float, tooltip: str) -> tuple[str, dict[str, Any]]:
    return ("FLOAT", {"default": default, "min": low, "max": high, "step": 0.01, "tooltip": tooltip})


def _portrait(part: str) -> tuple[str, dict[str, Any]]:
    tooltip = f"Portrait with the {part} to be brought to the target opening; not connected: the target is ignored."
    return ("PORTRAIT", {"tooltip": tooltip})


def _keep_motion(part: str) -> tuple[str, dict[str, Any]]:
    tooltip = f"Adds the motion of the {part} to the target opening; off: they stay at it."
    return ("BOOLEAN", {"default": True, "tooltip": tooltip})


class RetargetLip(Node):
    """Lips of a MOTION."""

    DESCRIPTION = (
        "Makes lip motion larger or smaller, and opens, widens or lifts the mouth by a constant or, with a "
        "portrait connected, to a wanted opening."
    )
    SEARCH_ALIASES = ("talking head", "mouth", "lip sync strength")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = (EDITED,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Motion to be edited."}),
                "gain": _amount(1.0, 0.0, 3.0, "Factor on the lip motion: 1 leaves it unchanged, 0 removes it."),
                "opening": _amount(0.0, -0.5, 0.5, "Opens the mouth, in eye distances; negative values close it."),
                "wide": _amount(0.0, -0.3, 0.3, "Widens the mouth, in eye distances; negative values round it."),
                "smile": _amount(
                    0.0, -0.3, 0.3, "Lifts the corners, in eye distances; negative values lower them."
                ),
                "open_to": _amount(
                    0.0,
                    0.0,
                    WIDEST,
                    "With a portrait: opening of the lips over mouth width; 0 closed, 0.4 wide open.",
                ),
                "keep_motion": _keep_motion("lips"),
            },
            "optional": {"portrait": _portrait("lips")},
        }

    def run(
        self,
        motion: MotionSequence,
        gain: float,
        opening: float,
        wide: float,
        smile: float,
        open_to: float,
        keep_motion: bool,
        portrait: Portrait | None = None,
    ) -> tuple[MotionSequence]:
        """The edited motion."""
        edited = edits.retarget_lips(motion, gain, opening, wide, smile)
        return (edited if portrait is None else open_lips_to(edited, portrait, open_to, keep_motion),)


class RetargetEye(Node):
    """Eyelids of a MOTION."""

    DESCRIPTION = (
        "Makes blinks stronger or weaker, and closes or widens either eye by a constant or, with a portrait "
        "connected, to a wanted opening."
    )
    SEARCH_ALIASES = ("talking head", "blink", "wink", "eyelids")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = (EDITED,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Motion to be edited."}),
                "gain": _amount(1.0, 0.0, 3.0, "Factor on the blinks: 1 leaves them unchanged, 0 removes them."),
                "close_left": _amount(
                    0.0, -1.0, 1.0, "The picture's left eye: 1 closes it, negative values widen it."
                ),
                "close_right": _amount(
                    0.0, -1.0, 1.0, "The picture's right eye: 1 closes it, negative values widen it."
                ),
                "open_left_to": _amount(
                    0.35, 0.0, WIDEST, "With a portrait: the left lids' opening over eye width; 0 shut, 0.35 open."
                ),
                "open_right_to": _amount(
                    0.35, 0.0, WIDEST, "With a portrait: the right lids' opening over eye width; 0 shut, 0.35 open."
                ),
                "keep_motion": _keep_motion("lids"),
            },
            "optional": {"portrait": _portrait("eyes")},
        }

    def run(
        self,
        motion: MotionSequence,
        gain: float,
        close_left: float,
        close_right: float,
        open_left_to: float,
        open_right_to: float,
        keep_motion: bool,
        portrait: Portrait | None = None,
    ) -> tuple[MotionSequence]:
        """The edited motion."""
        edited = edits.retarget_eyes(motion, gain, close_left, close_right)
        if portrait is None:
            return (edited,)
        return (open_eyes_to(edited, portrait, open_left_to, open_right_to, keep_motion),)


class PupilControl(Node):
    """Gaze of a MOTION."""

    DESCRIPTION = "Shifts or scales the gaze, or keeps it on the viewer while the head turns."
    SEARCH_ALIASES = ("talking head", "gaze", "eye contact", "look at camera")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = (EDITED,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Motion to be edited."}),
                "x": _amount(
                    0.0, -1.0, 1.0, "Looks to the picture's right, in iris radii; negative values look left."
                ),
                "y": _amount(0.0, -1.0, 1.0, "Looks down, in iris radii; negative values look up."),
                "gain": _amount(
                    1.0, 0.0, 3.0, "Factor on the motion's own gaze: 1 leaves it unchanged, 0 removes it."
                ),
                "eye_contact": _amount(
                    0.0,
                    0.0,
                    1.0,
                    "Gaze at the viewer as the head turns: 0 is the motion's own gaze, 1 replaces it.",
                ),
            }
        }

    def run(
        self, motion: MotionSequence, x: float, y: float, gain: float, eye_contact: float
    ) -> tuple[MotionSequence]:
        """The edited motion."""
        return (edits.move_pupils(motion, x, y, gain, eye_contact),)
