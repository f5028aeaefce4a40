"""TalkerOptions: how the light driver's networks are run."""

from dataclasses import replace
from typing import Any

from ..diffpose.talker.driver import TalkerOptions as Options
from ..diffpose.talker.installed import person_of
from ..lp_core.options import options_of
from ..lp_core.render.portrait import Portrait
from . import host
from .node import Node
from .option_inputs import OptionInputs, widget_of
from .widgets import Widget

RUNNING = OptionInputs(Options, {"lip_reference": "lip_reference", "window": "window", "look_ahead": "ahead"})


class TalkerOptions(Node):
    """How AudioToMotion's talker is run."""

    DESCRIPTION = "Settings of AudioToMotion's talker generator; other generators ignore them."
    SEARCH_ALIASES = ("talking head", "liveportrait talker", "sadtalker")
    RETURN_TYPES = ("TALKER_OPTIONS",)
    RETURN_NAMES = ("talker",)
    OUTPUT_TOOLTIPS = ("The settings, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                **RUNNING.widgets(),
                "lip_x_gain": _gain("sideways"),
                "lip_y_gain": _gain("up and down"),
                "lip_z_gain": _gain("forwards"),
            },
            "optional": {
                "portrait": ("PORTRAIT", {"tooltip": (
                    "Portrait that conditions the networks, by its expression coefficients; an average face when "
                    "not connected."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        lip_x_gain: float,
        lip_y_gain: float,
        lip_z_gain: float,
        portrait: Portrait | None = None,
        **running: Any,
    ) -> tuple[Options]:
        """The settings."""
        folders = host.model_folders("diffpose")
        person = None if portrait is None else person_of(portrait.picture, portrait.landmarks, folders)
        gain = (lip_x_gain, lip_y_gain, lip_z_gain)
        return (RUNNING.value(running, gain=gain, person=person),)


def _gain(way: str) -> Widget:
    described = options_of(Options)["gain"]
    return widget_of(
        replace(described, default=1.0, help=f"Factor on the lips' motion {way}: 1 leaves it unchanged.")
    )
