"""MotionPlot: the curves of a motion as a picture."""

from typing import Any

from ..lp_core.motion.plot import SIDES, plot
from ..lp_core.motion.sequence import MotionSequence
from . import host
from .node import Node
from .page import CURVES, curves_shown
from .wires import optional_audio


class MotionPlot(Node):
    """MOTION to an IMAGE of its curves."""

    DESCRIPTION = "Plots lips, lids, gaze and head over time, for reports and to find what to edit."
    SEARCH_ALIASES = ("talking head", "plot motion", "curves", "graph")
    OUTPUT_NODE = True
    RETURN_TYPES = ("IMAGE", "MOTION")
    RETURN_NAMES = ("plot", "motion")
    OUTPUT_TOOLTIPS = ("The curves, as one picture.", "The input motion, unchanged.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        low, high = SIDES
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Motion to be plotted, relative to its neutral frame."}),
                "width": ("INT", {"default": 1024, "min": low, "max": high, "step": 8, "tooltip": (
                    "Width of the picture, in pixels."
                )}),
                "height": ("INT", {"default": 768, "min": low, "max": high, "step": 8, "tooltip": (
                    "Height of the picture, in pixels."
                )}),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": "Sound plotted behind the mouth's curves."}),
            },
        }  # fmt: skip

    def run(
        self, motion: MotionSequence, width: int, height: int, audio: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The picture (1, height, width, 3) and the motion, and both for the page."""
        sound = optional_audio(audio)
        picture = plot(motion, sound, width, height)
        shown = {
            "images": [host.save_picture(picture, "talking_head_plot").shown],
            CURVES: curves_shown(motion, sound),
        }
        return {"ui": shown, "result": (picture[None], motion)}
