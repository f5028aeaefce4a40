"""Animated pictures read as clips where FFmpeg cannot: WebP."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .picture import as_colours
from .picture_files import animated_frames, frame_durations, is_animated
from .rates import frames_at, rate_of_times

TICK = 0.001  # seconds, of the times in a WebP
HEAD = 12  # bytes that tell a WebP


@dataclass(frozen=True, eq=False)
class Animation:
    """An animated picture as frames at an even rate.

    Attributes:
        path: the file.
        fps: exact frames a second: the base rate of its times, or their mean.
        width: pixels.
        height: the same.
        shown: (frames,) which stored frame is shown in each place, ascending.
    """

    path: Path
    fps: Fraction
    width: int
    height: int
    shown: np.ndarray

    def even(self, start: int, stop: int | None = None, alpha: bool = False) -> Iterator[Tensor]:
        """Frames as bytes (H, W, 3 or 4) at the even rate; those before `start` are decoded too.

        Raises:
            ValueError: the file cannot be read any more.
        """
        wanted = self.shown[start:stop].tolist()
        place = 0
        for index, frame in enumerate(animated_frames(self.path)):
            if place == len(wanted):
                return
            if index != wanted[place]:
                continue
            floats = as_colours(frame.pixels.float().div_(255), alpha)
            pixels = floats.mul_(255).round_().to(torch.uint8)
            while place < len(wanted) and wanted[place] == index:
                yield pixels
                place += 1


def animation_of(path: Path) -> Animation | None:
    """The animated picture in a file; None where FFmpeg is to read it.

    Raises:
        ValueError: a damaged one, or one outside the sizes that are taken.
    """
    if not _is_webp(path) or not is_animated(path):
        return None
    height, width = next(animated_frames(path)).pixels.shape[:2]
    durations = np.array([float(duration) for duration in frame_durations(path)])
    seconds = np.concatenate([[0.0], durations.cumsum()[:-1]])
    fps = rate_of_times(seconds, TICK, None)
    return Animation(path, fps, width, height, frames_at(seconds, fps, float(durations[-1])))


def _is_webp(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(HEAD)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"
