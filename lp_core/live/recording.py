"""A live head kept as a file while it speaks: every frame in its place, and the whole sound."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue

from torch import Tensor

from ..media.audio import ArrivingAudio
from ..media.encoding import VideoOptions, write_video
from ..media.formats import format_of
from .recovery import surviving
from .session import LiveFrame

RATE = 48_000  # samples a second, which the sound of every video format may have
PICTURES_WAITING = 50  # for the encoder; beyond, pictures are left out and never sound


class Recording:
    """A `live.Audience` that writes what it gets, in a thread of its own.

    Where a frame is dropped the picture before it is repeated, so that the file has ceil(duration · fps) frames
    beside the complete sound. The file appears when `end` returns; without any sound there is none. When writing
    fails or the process dies, what was written up to about a second before is kept: see `recovery`.

    Args:
        path: where to write; its ending is one of a video format's.
        picture: (H, W, 3) uint8, shown until the first frame.
        fps: frames a second.
        sample_rate: of the sound, one that the file's sound codec has, such as RATE.
        channels: of the sound.
        options: how it is encoded.
    """

    def __init__(
        self,
        path: Path,
        picture: Tensor,
        fps: Fraction,
        sample_rate: int,
        channels: int = 1,
        options: VideoOptions | None = None,
    ) -> None:
        self._sound = ArrivingAudio(sample_rate, channels)
        self._frames: SimpleQueue[LiveFrame | None] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._work, args=(path, picture, fps, options), daemon=True, name="recording"
        )
        self._thread.start()

    def sound(self, samples: Tensor) -> None:
        """See Audience."""
        self._sound.push(samples)

    def frame(self, frame: LiveFrame) -> None:
        """See Audience.

        Raises:
            OSError: the file could not be written so far.
        """
        self._raise()
        is_full = self._frames.qsize() >= PICTURES_WAITING
        self._frames.put(LiveFrame(frame.index, None, frame.offset) if is_full else frame)

    def end(self) -> None:
        """Finish the file.

        Raises:
            OSError: the file could not be written.
        """
        self._frames.put(None)
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self, path: Path, picture: Tensor, fps: Fraction, options: VideoOptions | None) -> None:
        try:
            first = self._frames.get()
            if first is not None:
                chosen = options or VideoOptions()
                form = (chosen.format or format_of(path)).recorded()
                chosen = replace(chosen, format=form)
                write_video(path, self._pictures(first, picture), fps, self._sound, chosen, surviving)
        except BaseException as error:  # it belongs to who speaks
            self._error = error

    def _pictures(self, first: LiveFrame, held: Tensor) -> Iterator[Tensor]:
        frame: LiveFrame | None = first
        while frame is not None:
            held = held if frame.picture is None else frame.picture
            yield held
            frame = self._frames.get()
