"""Frames and sound to a file, as they come: memory does not grow with length."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..compute.alongside import alongside
from ..compute.transfer import as_bytes, on_host
from ..options import check_options, option
from .audio import ArrivingAudio, Audio, resampled_pieces
from .files import appearing_whole
from .formats import FEW_FRAMES, PRESETS, WORST_CRF, SoundCodec, VideoFormat, format_of
from .rates import frame_rate

if TYPE_CHECKING:
    from av import AudioFrame, VideoFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

MAXIMUM_SIDE = 16_384  # pixels; H.264's own limit
BITS_PER_SAMPLE = 6  # of compressed sound, AAC's ceiling
SOURCES = {(3, 8): "rgb24", (4, 8): "rgba", (3, 16): "rgb48le", (4, 16): "rgba64le"}  # by channels and bits

# ISO/IEC 23091-2 code points, which H.264 and FFmpeg share
BT709 = 1
LIMITED_RANGE = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoOptions:
    """How a video is encoded.

    Attributes:
        metadata: texts kept in the file under their own names, such as ComfyUI's `workflow`.
        format: the kind of file; None takes the one that the file's name asks for.
        pixel_format: FFmpeg's name of how pixels are kept; None takes the format's usual one.
    """

    crf: int = option(
        18,
        "Constant rate factor: lower values give better quality and larger files; 18 is visually almost lossless, "
        "23 is usual. Ignored by lossless formats.",
        minimum=1,
        maximum=WORST_CRF,
        label="video quality (crf)",
    )
    preset: str = option(
        "veryfast",
        "Speed of x264: slower presets make smaller files of the same quality.",
        choices=PRESETS,
        label="encoder preset",
    )
    metadata: Mapping[str, str] = field(default_factory=dict)
    format: VideoFormat | None = None
    pixel_format: str | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.format is not None:
            self.format.pixel_format(self.pixel_format, alpha=False)


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[Tensor],
    fps: float | Fraction,
    audio: Audio | ArrivingAudio | None = None,
    options: VideoOptions | None = None,
    appearing: Callable[[str | os.PathLike[str]], AbstractContextManager[Path]] = appearing_whole,
) -> int:
    """Encode frames as they come into one file, with the sound beside them; gives the number of frames in it.

    Encoding has a thread of its own, so that the next frames are made in the meantime, here.
    The file appears whole or not at all. Where the pixel format needs even sides, an odd one is padded by repeating
    its last row or column, which loses nothing. The sound keeps its rate and channels; it is cut where the last
    frame ends. Rates that the sound codec lacks are resampled to the next one that it has, with a line in the log.
    Of more frames a second than browsers play in that format (`VideoFormat.shortest_frame`), some are left out.

    Args:
        path: where to write; its ending is one of the format's.
        frames: RGB in 0…1, or in 0…255 as uint8, on any device: batches (B, H, W, 3) or single frames (H, W, 3)
            of one size; (…, 4) with transparency where the format keeps it.
        fps: frames a second, made exact by `frame_rate`.
        audio: the sound track, whole or arriving before the frames that it belongs to; None for a silent video.
        options: format, quality, speed and metadata.
        appearing: gives the path to write to, and makes it the file's when all went well.

    Raises:
        ValueError: no frames, frames of another shape or size, a bad frame rate, file name or pixel format.
        FileNotFoundError: the folder does not exist.
        PermissionError: the folder cannot be written to.
        OSError: encoding or writing failed, for example on a full disk.
    """
    rate, chosen = frame_rate(fps), options or VideoOptions()
    form = chosen.format or format_of(path)
    if Path(path).suffix.lower() not in form.suffixes:
        raise ValueError(f"{form.name} is written as {', '.join(form.suffixes)}; got {os.fspath(path)!r}.")

    def written(part: Path, arriving: Iterator[Tensor]) -> int:
        batches = _thinned((_batch(frame, form) for frame in arriving), rate, shown_rate)
        beginning = _beginning(batches, form)
        shape = beginning[0].shape[1:]
        suited = form.for_few_frames() if sum(map(len, beginning)) < FEW_FRAMES else form
        with _Encoder(part, shape, shown_rate, audio, suited, chosen) as encoder:
            for batch in chain(_released(beginning), batches):
                encoder.add(batch)
            count = encoder.finish()
        if form.muxer == "webp":
            _complete_webp(part, chosen.metadata, shape)
        return count

    shown_rate = _shown_rate(rate, form)
    kept = f"{form.pixel_format(chosen.pixel_format, alpha=False)} {form.with_alpha}"
    with appearing(path) as part:
        return alongside(on_host(frames, eight_bits="10le" not in kept), partial(written, part))


def _shown_rate(rate: Fraction, form: VideoFormat) -> Fraction:
    """The rate that a format's players keep to, which is lower than the wanted one where that is too fast."""
    if form.shortest_frame is None or rate * form.shortest_frame <= 1:
        return rate
    shown = 1 / form.shortest_frame
    _log.warning(
        "%s plays at most %.4g frames a second; of %.4g some are left out, and it lasts as long.",
        form.name, shown, rate,
    )  # fmt: skip
    return shown


def _thinned(batches: Iterator[Tensor], rate: Fraction, shown_rate: Fraction) -> Iterator[Tensor]:
    """The frames (B, H, W, C) at `rate` that are on the screen when those at the lower `shown_rate` begin."""
    if rate == shown_rate:
        yield from batches
        return
    step, first = rate / shown_rate, 0
    for batch in batches:
        shown = range(math.ceil(first / step), math.ceil((first + len(batch)) / step))
        if shown:
            yield batch[[math.floor(index * step) - first for index in shown]]
        first += len(batch)


def _beginning(batches: Iterator[Tensor], form: VideoFormat) -> list[Tensor]:
    """The first batch, of a size that the format takes; more where the format asks whether there are few frames."""
    wanted, beginning = FEW_FRAMES if form.few_settings else 1, list[Tensor]()
    while sum(map(len, beginning)) < wanted and (batch := next(batches, None)) is not None:
        beginning.append(batch)
    if not beginning:
        raise ValueError("There are no frames to write; the video would be empty.")
    height, width = beginning[0].shape[1:3]
    if min(height, width) < form.smallest_side:
        raise ValueError(
            f"{form.name} takes sides of {form.smallest_side} pixels and more; the frames are {width}×{height}: "
            "enlarge them, or choose another format."
        )
    return beginning


def _released(batches: list[Tensor]) -> Iterator[Tensor]:
    """The batches, none of which is kept."""
    while batches:
        yield batches.pop(0)


def write_pictures(
    folder: str | os.PathLike[str], frames: Iterable[Tensor], metadata: Mapping[str, str] | None = None
) -> int:
    """Frames as PNG files frame_00001.png … in a new folder, as they come; gives their number.

    Args:
        folder: where; it must not exist yet. It is removed again when something fails.
        frames: as for `write_video`, with or without transparency.
        metadata: texts kept in every file.

    Raises:
        FileExistsError: there is such a folder.
        ValueError: no frames, or frames of another shape.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for name, text in (metadata or {}).items():
        texts.add_text(name, text)
    count = 0
    with _new_folder(Path(folder)) as place:
        for pixels in (_pixels(frame[None], bits=8)[0] for batch in frames for frame in _batch(batch)):
            count += 1
            Image.fromarray(pixels).save(place / f"frame_{count:05}.png", pnginfo=texts, compress_level=4)
        if not count:
            raise ValueError("There are no frames to write; the folder would be empty.")
    return count


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that is made now, and is gone again when the block raises."""
    import shutil

    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder)
        raise


def _batch(frames: Tensor, form: VideoFormat | None = None) -> Tensor:
    """Frames as (B, H, W, 3 or 4) with at least one, or a sentence; 4 only where the format is transparent."""
    batch = frames[None] if frames.ndim == 3 else frames
    channels = (3, 4) if form is None or form.with_alpha else (3,)
    if batch.ndim != 4 or batch.shape[-1] not in channels or not len(batch):
        raise ValueError(f"Frames are (B, H, W, 3) or (H, W, 3), RGB; got {tuple(frames.shape)}.")
    if max(batch.shape[1:3]) > MAXIMUM_SIDE:
        raise ValueError(
            f"The frames are {batch.shape[2]}×{batch.shape[1]} pixels; video ends at {MAXIMUM_SIDE}: shrink them."
        )
    return batch


def _pixels(frames: Tensor, bits: int) -> np.ndarray:
    """Frames (B, H, W, C) in 0…1, or in 0…255 as uint8, as rounded integers of 8 or 16 bits."""
    if bits == 8:
        return np.ascontiguousarray((frames if frames.dtype == torch.uint8 else as_bytes(frames)).cpu().numpy())
    white = 255 if frames.dtype == torch.uint8 else 1
    scaled = frames.detach().float().mul((2**bits - 1) / white).round_().clamp_(0, 2**bits - 1)
    return np.ascontiguousarray(scaled.cpu().numpy().astype(np.uint16))


def _with_even_sides(pixels: np.ndarray) -> np.ndarray:
    """Pixels (B, H, W, C) whose last row or column is repeated where a side is odd."""
    height, width = pixels.shape[1:3]
    if not height % 2 and not width % 2:
        return pixels
    return np.ascontiguousarray(np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge"))


class _Encoder:
    """A file that is being written: pictures, and the sound that belongs beside them."""

    def __init__(
        self,
        path: Path,
        shape: torch.Size,
        rate: Fraction,
        audio: Audio | ArrivingAudio | None,
        form: VideoFormat,
        options: VideoOptions,
    ) -> None:
        import av

        self._container: OutputContainer = av.open(
            os.fspath(path), "w", format=form.muxer, options=dict(form.muxer_options)
        )
        self._container.metadata.update(options.metadata)
        self._shape = shape
        self._pictures = _Pictures(self._container, shape, rate, form, options)
        self._sound = _sound_track(self._container, audio, form)
        self._rate = rate

    def __enter__(self) -> "_Encoder":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        import av

        with suppress(av.FFmpegError):  # what matters has been raised, or written by `finish`
            self._container.close()

    def add(self, frames: Tensor) -> None:
        """Encode the next frames (B, H, W, C), and the sound up to their end."""
        if frames.shape[1:] != self._shape:
            (height, width, _), (first_height, first_width, _) = frames.shape[1:], self._shape
            raise ValueError(
                f"All frames of a video have one size; frame {self._pictures.count} is {width}×{height} pixels "
                f"after {first_width}×{first_height}."
            )
        with _telling_failures():
            for packets in self._pictures.encode(frames):
                self._container.mux(packets)
            if self._sound is not None:
                self._container.mux(self._sound.until(self._pictures.count / self._rate))

    def finish(self) -> int:
        """Write what the encoders still hold and the index; gives the number of frames."""
        with _telling_failures():
            self._container.mux(self._pictures.rest())
            if self._sound is not None:
                self._container.mux(self._sound.rest())
            self._container.close()
        return self._pictures.count


@contextmanager
def _telling_failures() -> Iterator[None]:
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(f"The video could not be written: {error.strerror}.") from error


class _Pictures:
    """The picture stream of a file.

    Attributes:
        count: frames given so far.
    """

    def __init__(
        self,
        container: "OutputContainer",
        shape: torch.Size,
        rate: Fraction,
        form: VideoFormat,
        options: VideoOptions,
    ) -> None:
        height, width, channels = shape
        self.count = 0
        self._rate = rate
        self._format = form.pixel_format(options.pixel_format, alpha=channels == 4)
        self._even = any(mark in self._format for mark in ("420", "422", "nv12"))
        self._bits = 16 if "10le" in self._format else 8
        self._source = SOURCES[channels, self._bits]
        padding = int(self._even)
        size = width + width % 2 * padding, height + height % 2 * padding
        self._stream = _picture_stream(container, size, rate, form, self._format, options)
        self._palettes = _Palettes(size, self._source, rate) if self._format == "pal8" else None

    def encode(self, frames: Tensor) -> "Iterator[list[Packet]]":
        """Packets of the next frames (B, H, W, C)."""
        pixels = _pixels(frames, self._bits)
        for picture in _with_even_sides(pixels) if self._even else pixels:
            frame = self._frame(picture)
            self.count += 1
            for ready in [frame] if self._palettes is None else self._palettes.applied(frame):
                yield self._stream.encode(ready)

    def rest(self) -> "list[Packet]":
        """The packets that the encoder still holds."""
        left = [] if self._palettes is None else self._palettes.applied(None)
        packets = [packet for frame in left for packet in self._stream.encode(frame)]
        return [*packets, *self._stream.encode(None)]

    def _frame(self, pixels: np.ndarray) -> "VideoFrame":
        import av

        frame = av.VideoFrame.from_ndarray(pixels, format=self._source)
        if _has_matrix(self._format):
            frame = frame.reformat(format=self._format, dst_colorspace="ITU709", dst_color_range="MPEG")
        elif self._palettes is None:
            frame = frame.reformat(format=self._format)
        frame.pts = self.count
        frame.time_base = 1 / self._rate
        return frame


def _has_matrix(pixel_format: str) -> bool:
    """Whether a pixel format keeps brightness and colour apart, so that it matters by which matrix."""
    return pixel_format.startswith(("yuv", "nv12"))


def _picture_stream(
    container: "OutputContainer",
    size: tuple[int, int],
    rate: Fraction,
    form: VideoFormat,
    pixel_format: str,
    options: VideoOptions,
) -> "VideoStream":
    settings = form.settings(options.crf, options.preset)
    stream: VideoStream = container.add_stream(form.encoder, rate=rate, options=settings)  # pyright: ignore
    stream.width, stream.height = size
    stream.pix_fmt = pixel_format
    stream.time_base = 1 / rate
    context = stream.codec_context
    if form.tag:
        context.codec_tag = form.tag
    if _has_matrix(pixel_format):
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
    return stream


class _Palettes:
    """Gives every frame 256 colours of its own, one of them transparent, as GIF needs."""

    def __init__(self, size: tuple[int, int], source: str, rate: Fraction) -> None:
        import av
        from av.filter import Graph

        width, height = size
        self._graph = Graph()
        start = self._graph.add_buffer(
            width=width, height=height, format=av.VideoFormat(source), time_base=1 / rate
        )
        copies = self._graph.add("split")
        colours = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        painted = self._graph.add("paletteuse", "new=1:dither=bayer")
        start.link_to(copies)
        copies.link_to(colours, 0, 0)
        copies.link_to(painted, 1, 0)
        colours.link_to(painted, 0, 1)
        painted.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def applied(self, frame: "VideoFrame | None") -> "list[VideoFrame]":
        """The frames that are ready once this one has been given; None ends."""
        import av

        self._graph.vpush(frame)
        ready = []
        with suppress(BlockingIOError, av.EOFError):
            while True:
                ready.append(self._graph.vpull())
        return ready


def _sound_track(
    container: "OutputContainer", audio: Audio | ArrivingAudio | None, form: VideoFormat
) -> "_Sound | None":
    if audio is not None and form.sound is None:
        _log.warning("%s has no sound, so the sound is left out; choose a video format to keep it.", form.name)
    return None if audio is None or form.sound is None else _Sound(container, audio, form.sound)


class _Sound:
    """A sound track that is encoded as far as the pictures have come."""

    def __init__(self, container: "OutputContainer", audio: Audio | ArrivingAudio, codec: SoundCodec) -> None:
        self._audio, self._more = _arriving(audio, codec)
        self._layout = codec.layouts[self._audio.channels - 1]
        self._done = 0
        rate = self._audio.sample_rate
        self._stream: AudioStream = container.add_stream(codec.encoder, rate=rate, layout=self._layout)  # pyright: ignore
        if codec.bits:
            self._stream.bit_rate = min(codec.bits, BITS_PER_SAMPLE * rate) * self._audio.channels

    def until(self, second: Fraction) -> "list[Packet]":
        """Packets of the samples that are due by `second` and were not given yet."""
        end = math.ceil(second * self._audio.sample_rate)
        while self._audio.arrived < end and (piece := next(self._more, None)) is not None:
            self._audio.push(piece)
        samples = self._audio.take(end)
        if not samples.shape[1]:
            return []
        packets = self._stream.encode(self._frame(samples))
        self._done += samples.shape[1]
        return packets

    def rest(self) -> "list[Packet]":
        """The packets that the encoder still holds."""
        return self._stream.encode(None)

    def _frame(self, samples: Tensor) -> "AudioFrame":
        import av

        # interleaved: PyAV 18 cannot fill planar frames of eight channels
        block = samples.T.reshape(1, -1).detach().cpu().numpy()
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=self._layout)
        frame.sample_rate = self._audio.sample_rate
        frame.time_base = Fraction(1, self._audio.sample_rate)
        frame.pts = self._done
        return frame


def _arriving(audio: Audio | ArrivingAudio, codec: SoundCodec) -> tuple[ArrivingAudio, Iterator[Tensor]]:
    """Where the sound arrives, at a rate that the codec has, and what is to be put there as it is needed.

    A whole sound is resampled to the codec's next higher rate where it must, to the highest one from beyond it.
    """
    known = codec.rates or (audio.sample_rate,)
    rate = next((rate for rate in known if rate >= audio.sample_rate), known[-1])
    if isinstance(audio, Audio):
        if rate != audio.sample_rate:
            _log.warning("%s has no %d Hz; the sound is resampled to %d Hz.", codec.title, audio.sample_rate, rate)
        return ArrivingAudio(rate, audio.channels), resampled_pieces(audio.pieces(), audio.sample_rate, rate)
    if rate != audio.sample_rate:
        wanted = ", ".join(map(str, known))
        raise ValueError(
            f"{codec.title} has no {audio.sample_rate} Hz; let the sound arrive at one of {wanted} Hz."
        )
    return audio, iter(())


# The fields of EXIF that ComfyUI reads a WebP's prompt and workflow from, each as "name:text".
_EXIF_FIELDS = {"prompt": 0x0110, "workflow": 0x010F}
_HAS_EXIF, _HAS_ALPHA = 0x08, 0x10  # flags in a WebP's extended header (VP8X)


def _complete_webp(path: Path, metadata: Mapping[str, str], shape: torch.Size) -> None:
    """Put `prompt` and `workflow` into a WebP, where ComfyUI's page looks for them, and say that it is transparent.

    The file is RIFF: an extended header (VP8X), the pictures, and now an EXIF chunk at the end. The encoder leaves
    the header out of a file with one picture, and the flag of transparency when what changes is opaque.

    Args:
        path: the file as the encoder wrote it.
        metadata: texts by name; others than those two are left out.
        shape: height, width and channels of the frames.
    """
    height, width, channels = shape
    chunk = _exif_chunk({name: text for name, text in metadata.items() if name in _EXIF_FIELDS})
    body = path.read_bytes()[12:]
    if not body.startswith(b"VP8X"):
        canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + canvas + body
    flags = body[8] | (_HAS_EXIF if chunk else 0) | (_HAS_ALPHA if channels == 4 else 0)
    content = b"WEBP" + body[:8] + bytes([flags]) + body[9:] + chunk
    path.write_bytes(b"RIFF" + len(content).to_bytes(4, "little") + content)


def _exif_chunk(texts: Mapping[str, str]) -> bytes:
    """A WebP's EXIF chunk with texts by the names of _EXIF_FIELDS; nothing without texts."""
    from PIL import Image

    if not texts:
        return b""
    exif: Any = Image.Exif()
    for name, text in texts.items():
        exif[_EXIF_FIELDS[name]] = f"{name}:{text}"
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    return b"EXIF" + len(body).to_bytes(4, "little") + body + b"\0" * (len(body) % 2)
