"""Where weights lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS_VARIABLE = "TALKING_HEAD_MODELS"


def models_folders(named: list[Path] | None = None, kind: str = "liveportrait") -> tuple[Path, ...]:
    """Where weights of a kind, "liveportrait" or "diffpose", are looked for, best first; downloads go to the first.

    The folders that are named; else those in $TALKING_HEAD_MODELS, separated as in $PATH; else models/<kind> of the
    ComfyUI that the pack lies in; else ~/.cache/talking_head/<kind> ($XDG_CACHE_HOME is honoured).
    """
    listed = os.environ.get(MODELS_VARIABLE, "")
    if named or listed:
        return tuple(named or (Path(place) for place in listed.split(os.pathsep) if place))
    if ROOT.parent.name == "custom_nodes":
        return (ROOT.parent.parent / "models" / kind,)
    return (cache_folder() / kind,)


def cache_folder() -> Path:
    """The folder of files that can be made or fetched again: ~/.cache/talking_head."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "talking_head"
