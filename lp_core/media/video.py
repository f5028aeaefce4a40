"""Video in, frame by frame: memory does not grow with length. Writing it is in encoding.py."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .audio import Audio, load_audio
from .encoding import BT709, VideoOptions, write_video
from .rates import frame_rate

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

__all__ = ["Video", "VideoOptions", "read_video", "write_video"]

HD_HEIGHT = 720  # pixels; untagged pictures at least so high are taken for BT.709, smaller ones for BT.601


@dataclass(frozen=True)
class Video:
    """A video file that can be read, as often as wished, without holding its frames.

    Attributes:
        path: the file.
        fps: exact frames a second, the mean of a variable rate.
        width: pixels, upright as the file asks to be shown.
        height: the same.
        frame_count: how many frames the file says it has; None when it does not say.
        metadata: texts the file carries.
    """

    path: Path
    fps: Fraction
    width: int
    height: int
    frame_count: int | None
    metadata: Mapping[str, str]

    def frames(self, batch_size: int = 16) -> Iterator[Tensor]:
        """Batches of frames (B, H, W, 3) float32 in 0…1, decoded as they are asked for, frame n at second n / fps.

        Raises:
            ValueError: the file is damaged.
        """
        held: list[Tensor] = []
        for pixels in self._even():
            held.append(pixels)
            if len(held) == batch_size:
                yield torch.stack(held).float().div_(255.0)
                held = []
        if held:
            yield torch.stack(held).float().div_(255.0)

    def stretch(self, start: int, stop: int) -> Tensor:
        """Frames start … stop as bytes (N, H, W, 3); what comes before them is decoded too."""
        return torch.stack(list(islice(self._even(), start, stop)))

    def audio(self) -> Audio | None:
        """The first sound track, or None when there is none."""
        with _reading(self.path) as container:
            silent = not container.streams.audio
        return None if silent else load_audio(self.path)

    def _even(self) -> Iterator[Tensor]:
        """Frames as bytes (H, W, 3) at an even rate: one that comes late is held, one too many is left out."""
        with _reading(self.path) as container:
            frames = _decoded(container, self.path)
            first = next(frames)
            held, given = _rgb(first), 1
            yield held
            for frame in frames:
                due = given if frame.time is None else round((frame.time - (first.time or 0.0)) * self.fps)
                yield from [held] * (due - given)
                if due >= given:
                    held, given = _rgb(frame), due + 1
                    yield held


def read_video(path: str | os.PathLike[str]) -> Video:
    """What a video file holds, ready to be read frame by frame.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read or has no pictures.
    """
    with _reading(Path(path)) as container:
        first = next(_decoded(container, Path(path)), None)
        if first is None:
            raise ValueError(f"The video {path} has no frames that can be decoded; export it again.")
        stream = container.streams.video[0]
        upright = _rgb(first)
        return Video(
            path=Path(path),
            fps=frame_rate(stream.average_rate or stream.guessed_rate or 25),
            width=upright.shape[1],
            height=upright.shape[0],
            frame_count=stream.frames or None,
            metadata=dict(container.metadata),
        )


def _reading(path: Path) -> "InputContainer":
    """The opened file, to be closed by the caller."""
    import av

    if not path.is_file():
        raise FileNotFoundError(f"There is no video file {path}.")
    try:
        return av.open(os.fspath(path))
    except av.FFmpegError as error:
        raise ValueError(f"Cannot read the video {path}: {error.strerror}. Is it a video file?") from error


def _decoded(container: "InputContainer", path: Path) -> "Iterator[VideoFrame]":
    import av

    if not container.streams.video:
        raise ValueError(f"{path} has no pictures, only sound; give a video file.")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    try:
        yield from container.decode(stream)
    except av.FFmpegError as error:
        raise ValueError(f"The video {path} is damaged: {error.strerror}. Export it again.") from error


def _rgb(frame: "VideoFrame") -> Tensor:
    """A frame as RGB bytes (H, W, 3), upright, by the colour matrix its file names."""
    from av.video.reformatter import Colorspace

    wide = getattr(Colorspace, "BT2020", Colorspace.ITU709)  # PyAV before 18 has no name for it
    known = {BT709: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: wide}
    guess = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    rgb = frame.reformat(format="rgb24", src_colorspace=known.get(int(frame.colorspace), guess))
    pixels = torch.from_numpy(rgb.to_ndarray())
    turns = getattr(frame, "rotation", 0) // 90  # degrees counter-clockwise; PyAV before 14 does not tell
    return torch.rot90(pixels, turns) if turns else pixels
