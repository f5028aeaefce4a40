"""Media files opened: which of their streams are read, and their packets, damaged places stepped over."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

Kind = Literal["video", "audio"]
KINDS: "tuple[Kind, Kind]" = ("video", "audio")

UNREADABLE_IN_A_ROW = 32  # places of a file after which the rest is given up
# Decoders of FFmpeg's own that leave the transparency out which a WebM file says it has, and those that read it.
DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# A clock that wraps around after 26.5 hours is left alone: it goes on like one that starts anew (clock.py).
OPTIONS = {"correct_ts_overflow": "0"}
# Formats of which FFmpeg finds the first packet behind anything else, by the endings of their files.
FINDING_THEIR_START = {
    ".mp3": "mp3", ".aac": "aac", ".ac3": "ac3", ".ogg": "ogg", ".oga": "ogg", ".ogv": "ogg", ".opus": "ogg",
    ".flac": "flac", ".ts": "mpegts", ".m2ts": "mpegts", ".mts": "mpegts", ".mpg": "mpeg",
}  # fmt: skip

_log = logging.getLogger(__name__)


class Damage:
    """The damaged places of one stream, told in one line when it has been read."""

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path = path
        self.kind: Kind = kind
        self.count = 0
        self._seconds: float | None = None  # of the first

    def note(self, seconds: float | None) -> None:
        """One more packet that cannot be decoded, at a time of the file where it has one."""
        if not self.count:
            self._seconds = seconds
        self.count += 1

    def report(self) -> None:
        """Log how many packets were stepped over and where, if any were."""
        if not self.count:
            return
        what = "pictures" if self.kind == "video" else "sound"
        where = "" if self._seconds is None else f", the first at {self._seconds:.2f} s"
        packets = "damaged packet" if self.count == 1 else "damaged packets"
        _log.warning("%d %s in the %s of %s stepped over%s.", self.count, packets, what, self.path, where)


@contextmanager
def opened(path: Path) -> "Iterator[InputContainer]":
    """A media file, open for reading; its name is a file's whatever characters it has.

    Raises:
        FileNotFoundError: no such file.
        av.FFmpegError: FFmpeg cannot read it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with _recognised(path) as container:
        yield container


def _recognised(path: Path) -> "InputContainer":
    """A file opened by its content, or by its name where junk stands before that."""
    import av

    # FFmpeg takes a colon for a protocol's and % for a number's in relative names only.
    name = os.path.abspath(path)
    try:
        return av.open(name, options=OPTIONS, metadata_errors="replace")
    except av.InvalidDataError:
        form = FINDING_THEIR_START.get(path.suffix.lower())
        if form is None:
            raise
        return av.open(name, format=form, options=OPTIONS, metadata_errors="replace")


def video_stream(container: "InputContainer") -> "VideoStream | None":
    """The stream of moving pictures that FFmpeg would choose, never a cover or thumbnails."""
    best = container.streams.best("video")
    others = (stream for stream in container.streams.video if not _is_cover(stream))
    return best if best is not None and not _is_cover(best) else next(others, None)  # pyright: ignore[reportReturnType]


def audio_streams(container: "InputContainer") -> "list[AudioStream]":
    """The streams of sound that can be decoded, the one that FFmpeg would choose first."""
    best = container.streams.best("audio")
    decodable = [stream for stream in container.streams.audio if stream.codec_context is not None]
    return sorted(decodable, key=lambda stream: stream is not best)


def _is_cover(stream: "Stream") -> bool:
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    return stream.codec_context is None or bool(stream.disposition & covers)


def packets(
    container: "InputContainer", streams: "list[VideoStream | AudioStream]", damage: Damage | None = None
) -> "Iterator[Packet]":
    """The packets of streams in the file's order, then an empty one for each, which flushes its decoder.

    What the file's reader cannot make sense of is stepped over.
    """
    import av

    failures = 0
    while True:
        try:
            for packet in container.demux(streams):
                failures = 0
                yield packet
        except av.FFmpegError:
            failures += 1
            if damage is not None and failures == 1:
                damage.note(None)
            if failures < UNREADABLE_IN_A_ROW:
                continue
            yield from (_flushing(stream) for stream in streams)
        return


def _flushing(stream: "VideoStream | AudioStream") -> "Packet":
    from av import Packet

    packet = Packet()
    packet.stream = stream
    return packet


def seconds_of(packet: "Packet") -> float | None:
    """A packet's time in its file, where it has one."""
    stamp = packet.dts if packet.pts is None else packet.pts
    return None if stamp is None or packet.time_base is None else float(stamp * Fraction(packet.time_base))


def decoder_of(stream: Any) -> Any:
    """The stream's decoder, or another where only that one reads its transparency."""
    import av

    context: Any = stream.codec_context
    name = DECODERS_WITH_ALPHA.get(context.name, "")
    if stream.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return context
    with_alpha: Any = av.CodecContext.create(name, "r")
    with_alpha.extradata = context.extradata
    return with_alpha
