"""The folders of weights: one rule for the Python API, the command line and, outside ComfyUI, the nodes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
MODELS_VARIABLE = "TALKING_HEAD_MODELS"

WeightKind = Literal["liveportrait", "diffpose"]
"""Weights of renderers, and weights of motion generators."""


def models_folders(kind: WeightKind, named: Sequence[Path | str] | None = None) -> tuple[Path, ...]:
    """Returns the folders to search for weights, in order of preference; downloads go to the first.

    These are the named folders. When None or none are named: those in $TALKING_HEAD_MODELS, separated as in $PATH;
    else models/<kind> of the ComfyUI whose custom_nodes holds the pack; else ~/.cache/talking_head/<kind>
    ($XDG_CACHE_HOME is honoured).

    Args:
        kind: the kind of weights.
        named: folders that replace the default ones.
    """
    listed = os.environ.get(MODELS_VARIABLE, "")
    if named or listed:
        return tuple(Path(place) for place in named or listed.split(os.pathsep) if place)
    if ROOT.parent.name == "custom_nodes":
        return (ROOT.parent.parent / "models" / kind,)
    return (cache_folder() / kind,)


def cache_folder() -> Path:
    """Returns the folder of files that can be made or downloaded again: ~/.cache/talking_head."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "talking_head"
