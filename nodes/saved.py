"""Files of our own values, such as MOTION: what nodes that save and load them share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import host
from .widgets import Widget, file_choice


def prefix_input(default: str) -> Widget:
    """The widget that names a file to be written."""
    tooltip = "File name in the output folder, optionally with a subfolder; a number is added."
    return ("STRING", {"default": default, "tooltip": tooltip})


def file_input(what: str, suffixes: tuple[str, ...]) -> Widget:
    """The widget that names a file to be read; `what` says of which kind."""
    files = (name for kind in ("output", "input") for name in host.list_files(kind, suffixes))
    return file_choice(files, f"{what} in ComfyUI's output or input folder; reload the page to list new ones.")


def save(
    value: object, write: Callable[[Path], object], prefix: str, suffix: str = ".safetensors"
) -> dict[str, Any]:
    """Write a value as a file of the output folder; gives the value and the path, and what the page shows."""
    path = host.save_place(prefix, suffix).path
    write(path)
    return {"ui": {"text": [str(path)]}, "result": (value, str(path))}


class ReadsFile:
    """A node with the input `file`."""

    @classmethod
    def VALIDATE_INPUTS(cls, file: str | None) -> bool | str:
        """Whether the file exists; one saved a moment ago is not in the list yet."""
        return host.file_exists(file)

    @classmethod
    def IS_CHANGED(cls, file: str | None, **_others: Any) -> str:
        """What changes when the file does."""
        return host.fingerprint(file)
