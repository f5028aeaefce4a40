"""Doctor: what is installed, what is missing, what to do."""

from typing import Any

from ..diffpose.diffusion.installed import DIFFUSION
from ..diffpose.ditto.installed import DITTO
from ..diffpose.talker.installed import TALKER
from ..lp_core.liveportrait.entries import LIVEPORTRAIT
from ..lp_core.weights.doctor import diagnosis
from . import host
from .node import Node


class Doctor(Node):
    """Nothing to a report."""

    DESCRIPTION = "Reports versions, device, video formats and weights, and how to install what is missing."
    SEARCH_ALIASES = ("talking head", "diagnose", "versions", "weights", "help")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("report",)
    OUTPUT_TOOLTIPS = ("The report, one line for each thing.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls) -> float:
        """Never the same: what is installed changes outside ComfyUI."""
        return float("nan")

    def run(self) -> dict[str, Any]:
        """The report, which the page shows."""
        weights = [
            *((entry, host.model_folders("liveportrait")) for entry in LIVEPORTRAIT),
            *((entry, host.model_folders("diffpose")) for entry in (*DIFFUSION, *TALKER, *DITTO)),
        ]
        report = "\n".join(diagnosis(weights))
        return {"ui": {"text": [report]}, "result": (report,)}
