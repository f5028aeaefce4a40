"""Records for ever to the file named on the command line, and prints each frame's number.

It ends by a signal, or where files may not grow beyond the number of bytes that is given (0: they may).
"""

import resource
import sys
import time
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import conftest  # noqa: F401 (the pack under its import name)
import torch

from talking_head.lp_core.live.recording import PICTURES_WAITING, RATE, Recording
from talking_head.lp_core.live.session import LiveFrame
from talking_head.lp_core.media.encoding import VideoOptions

FPS = 25
SIDE = 64


def grey_level(index: int) -> int:
    """A grey level for a frame's number, so far from its neighbours' that no encoder repeats a frame instead."""
    return index * 8 % 256


def numbered(index: int) -> torch.Tensor:
    """Noise, with the frame's number as a grey level in its upper half."""
    picture = torch.randint(0, 256, (SIDE, SIDE, 3), dtype=torch.uint8)
    picture[: SIDE // 2] = grey_level(index)
    return picture


def told(*words: object) -> None:
    """Say something to the test."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def record(path: Path) -> None:
    """Record until something fails."""
    still = torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8)
    recording = Recording(path, still, Fraction(FPS), RATE, options=VideoOptions(preset="ultrafast"))
    index = 0
    while True:
        recording.sound(torch.rand(1, RATE // FPS) - 0.5)
        recording.frame(LiveFrame(index, numbered(index), 0.0))
        told(index)
        index += 1
        while recording._frames.qsize() > PICTURES_WAITING // 2 and recording._thread.is_alive():
            time.sleep(0.001)


if __name__ == "__main__":
    limit = int(sys.argv[2])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        record(Path(sys.argv[1]))
    except OSError as error:
        told("full:", error)
