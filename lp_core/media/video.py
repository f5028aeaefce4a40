"""Video in, frame by frame: memory does not grow with length. Writing it is in encoding.py."""

import math
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .animation import Animation, animation_of
from .audio import Audio, audio_of
from .clock import LONGEST_GAP, Film, Track
from .decoding import decoded, film_of
from .encoding import VideoOptions, write_video
from .rates import frames_at, rate_of_times
from .shown import View, deinterlaced
from .sound import sound_track

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["Video", "VideoOptions", "read_video", "write_video"]

WHITE = np.float32(255)
BATCH_BYTES = 2**27  # of floats
DEINTERLACING_LEAD = 2  # frames


@dataclass(frozen=True, eq=False)
class _Pictures:
    """How the frames of a video are found in its file.

    Attributes:
        film: the file's streams.
        track: its pictures.
        view: what is seen of a frame.
        shown: (frames,) int64 continuous ticks of the stored frame that is shown in each place, ascending.
        lead: frames before one that must be decoded to show it, beside those since the keyframe.
    """

    film: Film
    track: Track
    view: View
    shown: np.ndarray
    lead: int


@dataclass(frozen=True)
class Video:
    """A video file that can be read, as often as wished, without holding its frames.

    Attributes:
        path: the file.
        fps: exact frames a second: the base rate of its times, or their mean.
        width: pixels, upright and square as the file asks to be shown.
        height: the same.
        frame_count: how many frames there are at that rate; None when the file has no times.
        metadata: texts the file carries.
    """

    path: Path
    fps: Fraction
    width: int
    height: int
    frame_count: int | None
    metadata: Mapping[str, str]
    _pictures: _Pictures | Animation = field(repr=False, compare=False)

    def frames(self, batch_size: int = 16, alpha: bool = False) -> Iterator[Tensor]:
        """Batches of frames (B, H, W, 3) float32 in 0…1, decoded as they are asked for, frame n at second n / fps.

        Args:
            batch_size: the largest B; large frames come fewer at once, in at most BATCH_BYTES.
            alpha: give (B, H, W, 4) with the opacity of each pixel; else transparent ones are laid over white.

        Raises:
            ValueError: the file cannot be read any more.
        """
        batch, held, memory = torch.empty(0), 0, _BatchMemory()
        left = len(self._pictures.shown)
        for pixels in self.pictures(alpha=alpha):
            if not held:
                fitting = min(batch_size, BATCH_BYTES // (4 * pixels.numel()), left)
                batch = memory.batch(max(fitting, 1), *pixels.shape)
            np.divide(pixels.numpy(), WHITE, out=batch[held].numpy(), dtype=np.float32)
            del pixels  # its memory is used again for the next
            held, left = held + 1, left - 1
            if held == len(batch):
                yield batch
                batch, held = torch.empty(0), 0
        if held:
            yield batch[:held]

    def pictures(self, start: int = 0, stop: int | None = None, alpha: bool = False) -> Iterator[Tensor]:
        """Frames start … stop one by one as bytes (H, W, 3 or 4); decoding begins at the keyframe before them.

        The last one may be given several times: do not write to them.
        """
        pictures = self._pictures
        if isinstance(pictures, Animation):
            yield from pictures.even(start, stop, alpha)
            return
        with _telling_failures(self.path):
            seek = int(pictures.shown[max(start - pictures.lead, 0)]) if start else None
            frames = _whole_frames(pictures.film, pictures.track, seek, is_told=not start)
            pixels = torch.empty(0)
            for frame in _evened(frames, pictures.shown[start:stop].tolist(), pictures.track.stamped_by != "order"):
                if frame is not None:
                    del pixels
                    pixels = pictures.view.pixels(frame, alpha)
                yield pixels

    def stretch(self, start: int, stop: int) -> Tensor:
        """Frames start … stop as bytes (N, H, W, 3)."""
        return torch.stack(list(islice(self.pictures(start, stop), stop - start)))

    def audio(self) -> Audio | None:
        """The sound from the first frame on, or None when there is none."""
        if isinstance(self._pictures, Animation):
            return None
        track = sound_track(self._pictures.film)
        return None if track is None else audio_of(track)


class _BatchMemory:
    """Memory for batches, taken again when nothing holds a part of one any more.

    Fresh memory has to be cleared by the system first, which takes longer than filling it.
    """

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []

    def batch(self, *shape: int) -> Tensor:
        """A float32 tensor of any content."""
        count = math.prod(shape)
        block = self._free.pop() if self._free else np.empty(count, np.float32)
        if len(block) < count:
            block = np.empty(count, np.float32)
        part = block[:count].reshape(shape)
        weakref.finalize(part, self._free.append, block)  # the tensor's views hold `part`
        return torch.from_numpy(part)


def read_video(path: str | os.PathLike[str]) -> Video:
    """What a video file holds, ready to be read frame by frame.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read or has no pictures.
    """
    file = Path(path)
    animation = animation_of(file)
    if animation is not None:
        size = animation.width, animation.height
        return Video(file, animation.fps, *size, len(animation.shown), {}, animation)
    with _telling_failures(file):
        film = film_of(file)
        if film.video is None:
            raise ValueError(f"{path} has no pictures, only sound; give a video file.")
    first = film.first
    if first is None:
        raise ValueError(f"The video {path} has no frames that can be decoded; export it again.")
    view = View(first.frame, film.pixel_aspect)
    fps, shown = _even_rate(film.video, film.rate, first.time)
    lead = DEINTERLACING_LEAD if first.frame.interlaced_frame else 0
    pictures = _Pictures(film, film.video, view, shown, lead)
    return Video(file, fps, view.width, view.height, len(shown), film.metadata, pictures)


def _even_rate(track: Track, stored: Fraction | None, first: int | None) -> tuple[Fraction, np.ndarray]:
    """The rate of a track, and the time of the stored frame that is shown in each place, from a first frame on."""
    times = track.times if first is None else track.times[np.searchsorted(track.times, first) :]
    seconds = (times - times[0]) * float(track.time_base)
    fps = rate_of_times(seconds, float(track.time_base), stored)
    last = min(float(track.last_duration * track.time_base), LONGEST_GAP)
    return fps, times[frames_at(seconds, fps, last)]


def _whole_frames(
    film: Film, track: Track, start: int | None, is_told: bool = True
) -> "Iterator[tuple[int | None, VideoFrame]]":
    """The frames of a film from the keyframe before a time on, deinterlaced, with their times in ticks."""
    frames: Any = (timed[:2] for timed in decoded(film.path, track, "video", start, is_told))
    return deinterlaced(frames, track.time_base)


def _evened(
    frames: "Iterable[tuple[int | None, VideoFrame]]", wanted: list[int], is_filled: bool
) -> "Iterator[VideoFrame | None]":
    """The latest frame at each of the wanted times, ascending, or None for the same again.

    Where none came yet it is the first. Frames are let go as soon as they are given: decoders reuse their memory.

    Args:
        frames: with their times, None for the next wanted one.
        wanted: the times.
        is_filled: whether the last frame is given until the wanted times end.
    """
    place, before = 0, None
    latest: VideoFrame | None = None
    for stamp, frame in frames:
        time = wanted[min(place, len(wanted) - 1)] if stamp is None else stamp
        if before is not None and time < before:
            continue
        while before is not None and place < len(wanted) and wanted[place] < time:
            yield latest
            latest, place = None, place + 1
        latest, before = frame, time
        del frame
        while place < len(wanted) and wanted[place] <= time:
            yield latest
            latest, place = None, place + 1
    if before is not None and is_filled:
        for _ in range(place, len(wanted)):
            yield latest
            latest = None


@contextmanager
def _telling_failures(path: Path) -> Iterator[None]:
    """FFmpeg's errors in a sentence."""
    import av

    if not path.is_file():
        raise FileNotFoundError(f"There is no video file {path}.")
    try:
        yield
    except av.FFmpegError as error:
        raise ValueError(f"Cannot read the video {path}: {error.strerror}. Is it a video file?") from error
