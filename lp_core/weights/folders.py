"""Where weights lie: one rule for the Python API, the command line and, outside ComfyUI, the nodes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
MODELS_VARIABLE = "TALKING_HEAD_MODELS"

WeightKind = Literal["liveportrait", "diffpose"]
"""Weights that draw, and weights that turn speech into motion."""


def models_folders(kind: WeightKind, named: Sequence[Path | str] | None = None) -> tuple[Path, ...]:
    """The folders that weights are looked for in, best first; downloads go to the first.

    These are the named folders. When None or none are named: those in $TALKING_HEAD_MODELS, separated as in $PATH;
    else models/<kind> of the ComfyUI whose custom_nodes holds the pack; else ~/.cache/talking_head/<kind>
    ($XDG_CACHE_HOME is honoured).

    Args:
        kind: the weights.
        named: folders that replace the default ones.
    """
    listed = os.environ.get(MODELS_VARIABLE, "")
    if named or listed:
        return tuple(Path(place) for place in named or listed.split(os.pathsep) if place)
    if ROOT.parent.name == "custom_nodes":
        return (ROOT.parent.parent / "models" / kind,)
    return (cache_folder() / kind,)


def cache_folder() -> Path:
    """The folder of files that can be made or fetched again: ~/.cache/talking_head."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "talking_head"
