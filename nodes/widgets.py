"""Widgets that several nodes have."""

from collections.abc import Iterable
from typing import Any

from ..lp_core.choice import RENDERERS

Widget = tuple[Any, dict[str, Any]]
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF


def switch(default: bool, tooltip: str) -> Widget:
    """A BOOLEAN."""
    return ("BOOLEAN", {"default": default, "tooltip": tooltip})


def frame_rate(tooltip: str, highest: float = 120.0) -> Widget:
    """Frame rate, in frames a second."""
    return ("FLOAT", {"default": 25.0, "min": 1.0, "max": highest, "step": 0.001, "tooltip": tooltip})


def seed(tooltip: str, changes: bool = True) -> Widget:
    """What chance is drawn from; `changes` lets the page offer another one after each run."""
    limits = {"default": 0, "min": 0, "max": LARGEST_SEED}
    return ("INT", {**limits, "control_after_generate": changes, "tooltip": tooltip})


def renderer(drawn: str = "frames") -> Widget:
    """The renderer of a node that prepares its portraits itself."""
    return (list(RENDERERS), {"default": "auto", "tooltip": (
        f"Renderer of the {drawn}: mesh needs no download; liveportrait uses LivePortrait's networks; auto uses "
        "the best installed one."
    )})  # fmt: skip


def file_choice(names: Iterable[str], tooltip: str, **options: Any) -> Widget:
    """Files to choose from.

    With no file there is one empty name: the page leaves out widgets without a value, and the server would then
    miss the input before the node can say what to do, or that it needs no file.
    """
    return (list(names) or [""], {**options, "tooltip": tooltip})
