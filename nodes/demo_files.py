"""The example workflows' demo files: put into ComfyUI's input folder when such a workflow is opened on the page.

The page posts JSON to ROUTE, with the files that the workflow's loaders name,

    {"files": ["demo_portrait.jpg", "demo_speech.wav"]}

and gets `{"copied": ["demo_speech.wav"]}`, those that were not there yet. A file of that name in the input folder
is the user's and stays as it is; no other names are taken.
"""

import json
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from . import host

ROUTE = "/talking_head/demo_files"
FOLDER = Path(__file__).resolve().parent.parent / "workflows"
DEMO_FILES = ("demo_portrait.jpg", "demo_pair.jpg", "demo_speech.wav", "demo_answer.wav", "demo_clip.mp4")

_one_at_a_time = Lock()  # two pages: the second one is answered when the first one's files are whole


def answer(body: bytes) -> dict[str, list[str]]:
    """Return the names of the files that were copied for a request.

    Raises:
        ValueError: no such request, a name that is not one of DEMO_FILES, or the input folder cannot be written.
    """
    names = _requested(body)
    with _one_at_a_time:
        return {"copied": [name for name in names if _copied(name)]}


def _requested(body: bytes) -> list[str]:
    """The names in a request, in the order of DEMO_FILES."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The request is not JSON: {error}.") from error
    names = request.get("files") if isinstance(request, dict) else None
    if not isinstance(names, list) or any(name not in DEMO_FILES for name in names):
        raise ValueError(f'A request is {{"files": [...]}}, with names among {", ".join(DEMO_FILES)}.')
    return [name for name in DEMO_FILES if name in names]


def _copied(name: str) -> bool:
    """Whether a demo file was copied into the input folder; False when something of that name is there."""
    target = host.folder("input") / name
    try:
        with target.open("xb") as copy:  # fails where there is a file, or a link to one that is missing
            _fill(copy, target, (FOLDER / name).read_bytes())
    except FileExistsError:
        return False
    except OSError as error:
        raise ValueError(f"{name} cannot be copied into ComfyUI's input folder: {error.strerror}.") from error
    return True


def _fill(copy: BinaryIO, target: Path, content: bytes) -> None:
    """Write a file that was just made; where that fails, no part of it stays."""
    try:
        copy.write(content)
    except OSError:
        copy.close()
        target.unlink()
        raise
