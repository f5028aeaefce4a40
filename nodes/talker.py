"""TalkerOptions: how the light driver's networks are run."""

from typing import Any

from ..diffpose.talker.driver import LIP_REFERENCES, LipReference
from ..diffpose.talker.driver import TalkerOptions as Options
from ..diffpose.talker.installed import person_of
from ..diffpose.talker.mapping import CONTEXT_FRAMES, SHORT_WINDOW, TRAINED_WINDOW
from ..lp_core.motion.motion_filter import MAXIMUM_GAIN
from ..lp_core.render.portrait import Portrait
from . import host
from .node import Node


class TalkerOptions(Node):
    """How AudioToMotion's talker is run."""

    DESCRIPTION = "Sets how AudioToMotion's talker reads the voice; nothing else uses it."
    SEARCH_ALIASES = ("talking head", "liveportrait talker", "sadtalker")
    RETURN_TYPES = ("TALKER_OPTIONS",)
    RETURN_NAMES = ("talker",)
    OUTPUT_TOOLTIPS = ("The settings, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "lip_reference": (list(LIP_REFERENCES), {"default": LIP_REFERENCES[0], "tooltip": (
                    "What lip motion is measured from: the networks' silent lips, those of the first frame as in "
                    "the original, their mean over the clip, or nothing."
                )}),
                "window": ("INT", {"default": SHORT_WINDOW, "min": SHORT_WINDOW, "max": TRAINED_WINDOW, "tooltip": (
                    "Frames that are seen at once: 28 as published, 29 as the network was trained."
                )}),
                "look_ahead": ("INT", {
                    "default": SHORT_WINDOW - CONTEXT_FRAMES - 1, "min": 0, "max": CONTEXT_FRAMES, "tooltip": (
                    "Frames of the voice that are heard ahead, 40 ms each; 13 is all that a window of 28 takes in."
                )}),
                "lip_x_gain": _gain("sideways"),
                "lip_y_gain": _gain("up and down"),
                "lip_z_gain": _gain("forwards"),
            },
            "optional": {
                "portrait": ("PORTRAIT", {"tooltip": (
                    "Whose face the networks hear the voice with; an average face without."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        lip_reference: LipReference,
        window: int,
        look_ahead: int,
        lip_x_gain: float,
        lip_y_gain: float,
        lip_z_gain: float,
        portrait: Portrait | None = None,
    ) -> tuple[Options]:
        """The settings."""
        folders = host.model_folders("diffpose")
        person = None if portrait is None else person_of(portrait.picture, portrait.landmarks, folders)
        return (Options(window, lip_reference, look_ahead, (lip_x_gain, lip_y_gain, lip_z_gain), person),)


def _gain(way: str) -> tuple[str, dict[str, Any]]:
    limits = {"min": -MAXIMUM_GAIN, "max": MAXIMUM_GAIN, "step": 0.05}
    return ("FLOAT", {"default": 1.0, **limits, "tooltip": f"Factor on the lips' motion {way}: 1 keeps it."})
