"""Video in and out, frame by frame: memory does not grow with length."""

import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .audio import Audio, load_audio
from .files import appearing_whole
from .motion import frame_rate

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip
SUFFIXES = (".mp4", ".m4v", ".mov")
MAXIMUM_SIDE = 16_384  # pixels; H.264's own limit

AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)  # Hz
AAC_BITS = 128_000  # bits a second and channel, where the rate allows as many
AAC_BITS_PER_SAMPLE = 6  # the format's ceiling
LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")  # by number of channels

# ISO/IEC 23091-2 code points, which H.264 and FFmpeg share
BT709 = 1
UNSPECIFIED = 2
LIMITED_RANGE = 1
HD_HEIGHT = 720  # pixels; untagged pictures at least so high are taken for BT.709, smaller ones for BT.601

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoOptions:
    """How a video is encoded.

    Attributes:
        crf: x264's constant quality, 1 (nearly lossless) … 51 (worst); 18 is hard to tell from the frames.
        preset: x264's speed, one of PRESETS: slower makes smaller files of the same quality.
        metadata: texts kept in the file under their own names, such as ComfyUI's `workflow`.
    """

    crf: int = 18
    preset: str = "veryfast"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.crf <= 51:
            raise ValueError(f"The video quality (crf) is {self.crf}; give 1 (best) … 51, 18 is usual.")
        if self.preset not in PRESETS:
            raise ValueError(f"The encoder preset is {self.preset!r}; give one of {', '.join(PRESETS)}.")


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[Tensor],
    fps: float | Fraction,
    audio: Audio | None = None,
    options: VideoOptions | None = None,
) -> int:
    """Encode frames as they come into an H.264 + AAC mp4 that browsers play; gives the number of frames.

    The file appears whole or not at all. A side of odd length is padded to an even one by repeating its last row
    or column, which loses nothing. The sound keeps its rate and channels; it is cut where the last frame ends.
    Rates that AAC lacks are resampled to the next one that it has, with a line in the log.

    Args:
        path: where to write; the name ends in one of SUFFIXES.
        frames: RGB in 0…1, batches (B, H, W, 3) or single frames (H, W, 3), all of one size.
        fps: frames a second, made exact by `frame_rate`.
        audio: the sound track; None for a silent video.
        options: quality, speed and metadata.

    Raises:
        ValueError: no frames, frames of another shape or size, a bad frame rate or file name.
        FileNotFoundError: the folder does not exist.
        PermissionError: the folder cannot be written to.
        OSError: encoding or writing failed, for example on a full disk.
    """
    rate = frame_rate(fps)
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"Video is written as {', '.join(SUFFIXES)}; got the name {os.fspath(path)!r}.")
    with appearing_whole(path) as part:
        batches = (_batch(frame) for frame in frames)
        first = next(batches, None)
        if first is None:
            raise ValueError("There are no frames to write; the video would be empty.")
        with _Encoder(part, first.shape[1:3], rate, audio, options or VideoOptions()) as encoder:
            for batch in chain([first], batches):
                encoder.add(batch)
            return encoder.finish()


def _batch(frames: Tensor) -> Tensor:
    """Frames as (B, H, W, 3) with at least one, or a sentence."""
    batch = frames[None] if frames.ndim == 3 else frames
    if batch.ndim != 4 or batch.shape[-1] != 3 or not len(batch):
        raise ValueError(f"Frames are (B, H, W, 3) or (H, W, 3), RGB; got {tuple(frames.shape)}.")
    if max(batch.shape[1:3]) > MAXIMUM_SIDE:
        raise ValueError(
            f"The frames are {batch.shape[2]}×{batch.shape[1]} pixels; H.264 ends at {MAXIMUM_SIDE}: shrink them."
        )
    return batch


def _pixels(frames: Tensor) -> np.ndarray:
    """Frames (B, H, W, 3) in 0…1 as rounded bytes with even sides."""
    scaled = frames.detach().float().mul(255.0).round_().clamp_(0, 255)
    pixels = scaled.to("cpu", torch.uint8).numpy()
    height, width = pixels.shape[1:3]
    if height % 2 or width % 2:
        pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels)


class _Encoder:
    """An mp4 file that is being written: pictures, and the sound that belongs beside them."""

    def __init__(
        self,
        path: Path,
        size: torch.Size,
        rate: Fraction,
        audio: Audio | None,
        options: VideoOptions,
    ) -> None:
        import av

        flags = {"movflags": "faststart+use_metadata_tags"}
        self._container: OutputContainer = av.open(os.fspath(path), "w", format="mp4", options=flags)
        self._container.metadata.update(options.metadata)
        self._size = size
        self._rate = rate
        self._picture = _picture_stream(self._container, size, rate, options)
        self._sound = None if audio is None else _Sound(self._container, audio)
        self._count = 0

    def __enter__(self) -> "_Encoder":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        import av

        with suppress(av.FFmpegError):  # what matters has been raised, or written by `finish`
            self._container.close()

    def add(self, frames: Tensor) -> None:
        """Encode the next frames (B, H, W, 3), and the sound up to their end."""
        if frames.shape[1:3] != self._size:
            (height, width), (first_height, first_width) = frames.shape[1:3], self._size
            raise ValueError(
                f"All frames of a video have one size; frame {self._count} is {width}×{height} pixels after "
                f"{first_width}×{first_height}."
            )
        with _telling_failures():
            for pixels in _pixels(frames):
                self._container.mux(self._picture.encode(self._frame(pixels)))
                self._count += 1
            if self._sound is not None:
                self._container.mux(self._sound.until(self._count / self._rate))

    def finish(self) -> int:
        """Write what the encoders still hold and the index; gives the number of frames."""
        with _telling_failures():
            self._container.mux(self._picture.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.rest())
            self._container.close()
        return self._count

    def _frame(self, pixels: np.ndarray) -> "VideoFrame":
        import av

        rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts = self._count
        frame.time_base = 1 / self._rate
        return frame


@contextmanager
def _telling_failures() -> Iterator[None]:
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(f"The video could not be written: {error.strerror}.") from error


def _picture_stream(
    container: "OutputContainer", size: torch.Size, rate: Fraction, options: VideoOptions
) -> "VideoStream":
    settings = {"crf": str(options.crf), "preset": options.preset}
    stream = container.add_stream("libx264", rate=rate, options=settings)
    height, width = size
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = 1 / rate
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED_RANGE
    return stream


class _Sound:
    """A sound track that is encoded as far as the pictures have come."""

    def __init__(self, container: "OutputContainer", audio: Audio) -> None:
        self._audio = _at_aac_rate(audio)
        self._layout = LAYOUTS[len(audio.waveform) - 1]
        self._done = 0
        rate = self._audio.sample_rate
        self._stream: AudioStream = container.add_stream("aac", rate=rate, layout=self._layout)
        self._stream.bit_rate = min(AAC_BITS, AAC_BITS_PER_SAMPLE * rate) * len(audio.waveform)

    def until(self, second: Fraction) -> "list[Packet]":
        """Packets of the samples that are due by `second` and were not given yet."""
        end = min(math.ceil(second * self._audio.sample_rate), self._audio.samples)
        if end <= self._done:
            return []
        packets = self._stream.encode(self._frame(end))
        self._done = end
        return packets

    def rest(self) -> "list[Packet]":
        """The packets that the encoder still holds."""
        return self._stream.encode(None)

    def _frame(self, end: int) -> "AudioFrame":
        import av

        # interleaved: PyAV 18 cannot fill planar frames of eight channels
        block = self._audio.waveform[:, self._done : end].T.reshape(1, -1).detach().cpu().numpy()
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=self._layout)
        frame.sample_rate = self._audio.sample_rate
        frame.time_base = Fraction(1, self._audio.sample_rate)
        frame.pts = self._done
        return frame


def _at_aac_rate(audio: Audio) -> Audio:
    """The sound itself, or resampled to the next higher rate that AAC has, the highest one for those beyond it."""
    import librosa

    if audio.sample_rate in AAC_RATES:
        return audio
    rate = next((known for known in AAC_RATES if known > audio.sample_rate), AAC_RATES[-1])
    _log.warning("AAC has no %d Hz; the sound track is resampled to %d Hz.", audio.sample_rate, rate)
    resampled = librosa.resample(audio.waveform.detach().cpu().numpy(), orig_sr=audio.sample_rate, target_sr=rate)
    return Audio(torch.from_numpy(np.ascontiguousarray(resampled, dtype=np.float32)), rate)


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

    known = {BT709: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 9: Colorspace.BT2020}
    guess = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    rgb = frame.reformat(format="rgb24", src_colorspace=known.get(int(frame.colorspace), guess))
    pixels = torch.from_numpy(rgb.to_ndarray())
    turns = getattr(frame, "rotation", 0) // 90  # degrees counter-clockwise; PyAV before 14 does not tell
    return torch.rot90(pixels, turns) if turns else pixels
