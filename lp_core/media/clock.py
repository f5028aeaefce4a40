"""One clock for the pictures and the sound of a file: parts that start anew go on, long gaps are closed."""

import logging
from array import array
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .rates import USUAL_FPS
from .streams import KINDS, Kind, decoder_of, packets

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer

LONGEST_GAP = 60  # seconds without pictures and without sound that are kept
CLOSED_GAP = 1  # seconds that are left of a longer one
RESTART = Fraction(1, 10)  # seconds that decoding times go back where a clock starts anew
REORDERED = Fraction(2)  # seconds that presentation times, where there are no others, go back by reordering

FORMATS_WITH_TIMES = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg", "mpegts", "mpeg", "flv", "asf", "avi"}

# When a frame is shown: at its packet's presentation time, at its decoding time, or, where packets have no other
# times than decoding times out of the order of frames, or none at all, the n-th picture at the n-th of those, and
# sound where the sound before it ends.
Stamps = Literal["pts", "dts", "order"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamClock:
    """From the stamps of one stream to the file's continuous time, both in ticks of the stream.

    Attributes:
        time_base: seconds a tick.
        shifts: ticks that are added, one for each part of the stream, of which each starts its clock anew.
        cuts: where gaps were closed: the time (shifted) from which on ticks are taken away, and how many.
    """

    time_base: Fraction
    shifts: tuple[int, ...] = (0,)
    cuts: tuple[tuple[int, int], ...] = ()

    @property
    def can_seek(self) -> bool:
        """Whether a stamp stands for one time only."""
        return len(self.shifts) == 1

    def continuous(self, stamp: int, part: int) -> int:
        """The continuous time of a stamp."""
        shifted = stamp + self.shifts[min(part, len(self.shifts) - 1)]
        return shifted - sum(ticks for start, ticks in self.cuts if start <= shifted)

    def stamp(self, time: int) -> int:
        """The stamp of a continuous time, where there is one part only."""
        for start, ticks in self.cuts:
            if time + ticks >= start:
                time += ticks
        return time - self.shifts[0]


class Parts:
    """Tells in which part of a stream a packet lies; every packet must pass, in the file's order."""

    def __init__(self, time_base: Fraction) -> None:
        self._back = {"dts": RESTART / time_base, "pts": REORDERED / time_base}  # ticks
        self._latest: dict[str, int] = {}  # of each kind of stamp
        self.current = 0

    def part_of(self, packet: "Packet") -> int:
        """The part's number; a new one begins where times go back."""
        kind, stamp = ("pts", packet.pts) if packet.dts is None else ("dts", packet.dts)
        if stamp is None:
            return self.current
        if stamp < self._latest.get(kind, stamp) - self._back[kind]:
            self.current += 1
            self._latest = {}
        self._latest[kind] = max(stamp, self._latest.get(kind, stamp))
        return self.current


@dataclass(frozen=True, eq=False)
class Track:
    """One stream of a film.

    Attributes:
        index: of the stream in its file.
        clock: its continuous time.
        times: (packets,) int64 continuous ticks, ascending; of pictures those that are shown.
        last_duration: ticks that the last packet says it lasts, 0 where it does not say.
        stamped_by: which stamps tell when a frame is shown, see `Stamps`.
    """

    index: int
    clock: StreamClock
    times: np.ndarray
    last_duration: int
    stamped_by: Stamps

    @property
    def time_base(self) -> Fraction:
        """Seconds a tick."""
        return self.clock.time_base


class Timed(NamedTuple):
    """A decoded VideoFrame or AudioFrame, its continuous time in ticks if known, and its part of the stream."""

    time: int | None
    frame: Any
    part: int


@dataclass(frozen=True, eq=False)
class Film:
    """What the packets of a file tell, without decoding.

    Attributes:
        path: the file.
        video: its pictures, None without.
        audio: its sound, None without.
        first: the first picture that can be decoded, None without any.
        rate: frames a second by the file's header, None where it says none.
        pixel_aspect: width by height of a pixel, None where the header does not say.
        metadata: texts that the file carries.
    """

    path: Path
    video: Track | None
    audio: Track | None
    first: Timed | None
    rate: Fraction | None
    pixel_aspect: Fraction | None
    metadata: Mapping[str, str]


@dataclass
class _Part:
    stamps: array = field(default_factory=lambda: array("q"))
    last: tuple[int, int] = (-(2**62), 0)  # stamp and duration of the latest packet

    def add(self, stamp: int, duration: int) -> None:
        self.stamps.append(stamp)
        self.last = max(self.last, (stamp, duration))

    @property
    def start(self) -> int:
        return min(self.stamps)

    @property
    def end(self) -> int:
        stamp, duration = self.last
        return stamp + (duration or self._usual_step())

    def _usual_step(self) -> int:
        steps = np.diff(np.sort(np.array(self.stamps, np.int64)))
        return int(np.median(steps)) if len(steps) else 0


class _Stream:
    """The packets of one stream, gathered."""

    def __init__(self, stream: Any, rate: Fraction | None, stamped_by: Stamps) -> None:
        self.index, self.time_base = stream.index, Fraction(stream.time_base or 1)
        self._decoder: Any = decoder_of(stream) if stream.type == "video" else None
        self._first: VideoFrame | None = None
        self._first_part = 0
        self.parts = [_Part()]
        self.stamped_by: Stamps = stamped_by
        self._step = round(1 / (rate or USUAL_FPS) / self.time_base)  # ticks, of packets without any times
        self._timeless = 0
        self._numbers = Parts(self.time_base)

    def add(self, packet: "Packet") -> None:
        part = self._numbers.part_of(packet)
        if self._decoder is not None and self._first is None:
            self._look(packet)
        if packet.is_discard or not packet.size:
            return
        if self.stamped_by == "pts" and packet.pts is None:
            self.stamped_by = "order"
        stamp = packet.pts if self.stamped_by == "pts" else packet.dts
        while len(self.parts) <= part:
            self.parts.append(_Part())
        if stamp is None:
            stamp = self._timeless * self._step
            self._timeless += 1
        self.parts[part].add(stamp, packet.duration or 0)

    def _look(self, packet: "Packet") -> None:
        """Decode a packet, in the hope of the first picture."""
        import av

        if self.stamped_by == "dts":
            packet.pts = packet.dts
        with suppress(av.FFmpegError):
            self._first = next(iter(self._decoder.decode(packet)), None)
            self._first_part = self._numbers.current

    def first_picture(self, track: Track) -> Timed | None:
        """The first picture of the stream, which became a track."""
        if self._first is None:
            return None
        stamp = None if self.stamped_by == "order" else self._first.pts
        time = int(track.times[0]) if stamp is None else track.clock.continuous(stamp, self._first_part)
        return Timed(time, self._first, self._first_part)

    def bounds(self, number: int) -> tuple[Fraction, Fraction] | None:
        """Seconds from which to which a part lasts, by its own clock; None where it is empty."""
        part = self.parts[number] if number < len(self.parts) else _Part()
        # What lies before 0 is an encoder's priming, which is not heard.
        return (max(part.start, 0) * self.time_base, part.end * self.time_base) if part.stamps else None

    def track(self, shifts: "list[Fraction]", cuts: "list[tuple[Fraction, Fraction]]") -> Track:
        ticks = tuple(round(shift / self.time_base) for shift in shifts)
        cut = tuple((round(start / self.time_base), round(length / self.time_base)) for start, length in cuts)
        clock = StreamClock(self.time_base, ticks, cut)
        times = np.concatenate(self.shifted(ticks))
        for start, length in reversed(cut):
            times[times >= start] -= length
        times.sort()
        return Track(self.index, clock, times, self.parts[-1].last[1], self.stamped_by)

    def shifted(self, ticks: tuple[int, ...]) -> list[np.ndarray]:
        return [np.array(part.stamps, np.int64) + shift for part, shift in zip(self.parts, ticks, strict=False)]


def scan(container: "InputContainer", path: Path, indices: "dict[Kind, int]") -> Film:
    """Read the stamps of one stream of each kind, and make one clock of them.

    Args:
        container: a media file that is open, of which nothing was read.
        path: its name.
        indices: of the streams.
    """
    chosen: dict[int, Any] = {index: container.streams[index] for index in indices.values()}
    picture: Any = chosen.get(indices.get("video", -1))
    rate = picture and (picture.average_rate or picture.guessed_rate)
    streams = {index: _Stream(stream, rate, _stamps(container, stream)) for index, stream in chosen.items()}
    for packet in packets(container, list(chosen.values())):
        streams[packet.stream.index].add(packet)  # flushing packets have no index of their own
    video, audio = (streams.get(indices.get(kind, -1)) for kind in KINDS)
    shifts = _shifts([stream for stream in (video, audio) if stream is not None])
    cuts = _cuts([(stream, shifts[index]) for index, stream in streams.items()])
    for start, length in cuts:
        _log.warning(
            "%s has nothing for %.0f seconds before %.2f s; %d second of it is kept.",
            path, float(length + CLOSED_GAP), float(start), CLOSED_GAP,
        )  # fmt: skip
    tracks = {index: stream.track(shifts[index], cuts) for index, stream in streams.items()}
    pictures, sound = (tracks.get(indices.get(kind, -1)) for kind in KINDS)
    aspect = picture and picture.sample_aspect_ratio
    first = None if video is None or pictures is None else video.first_picture(pictures)
    return Film(path, pictures, sound, first, rate, aspect, dict(container.metadata))


def _stamps(container: "InputContainer", stream: Any) -> Stamps:
    """By which stamps a stream's packets go as far as its header tells.

    AVI stores decoding times only, and files of bare sound none: FFmpeg counts, with what it cannot decode.
    """
    if len(container.streams) == 1 and stream.type == "audio" and container.format.name not in FORMATS_WITH_TIMES:
        return "order"
    if container.format.name != "avi" or stream.type != "video":
        return "pts"
    return "order" if stream.codec_context.has_b_frames else "dts"


def _shifts(streams: list[_Stream]) -> dict[int, list[Fraction]]:
    """Seconds to add to each part of each stream: a part begins where the pictures (or else the sound) before end.

    Streams with as many parts are moved by the same times, which keeps their sound where it was to their pictures.
    """
    shifts = {stream.index: [Fraction(0)] for stream in streams}
    leaders = streams[:1] if len({len(stream.parts) for stream in streams}) == 1 else streams
    for leader in leaders:
        own = shifts[leader.index]
        for number in range(1, len(leader.parts)):
            before, now = leader.bounds(number - 1), leader.bounds(number)
            own.append(own[-1] if before is None or now is None else own[-1] + before[1] - now[0])
    if len(leaders) == 1:
        shifts = {stream.index: shifts[leaders[0].index] for stream in streams}
    return shifts


def _cuts(streams: list[tuple[_Stream, list[Fraction]]]) -> list[tuple[Fraction, Fraction]]:
    """Gaps that are too long: the second at which each ends, and how many seconds are taken from it."""
    spans = sorted(span for stream, shifts in streams for span in _spans(stream, shifts))
    ends = accumulate((end for _, end in spans), max)
    gaps = ((start, start - end) for end, (start, _) in zip(ends, spans[1:], strict=False))
    return [(start, gap - CLOSED_GAP) for start, gap in gaps if gap > LONGEST_GAP]


def _spans(stream: _Stream, shifts: list[Fraction]) -> list[tuple[Fraction, Fraction]]:
    """Seconds from which to which a stream has packets without a gap that is too long."""
    base = stream.time_base
    ticks = tuple(round(shift / base) for shift in shifts)
    stamps = np.sort(np.concatenate(stream.shifted(ticks)))
    if not len(stamps):
        return []
    breaks = np.flatnonzero(np.diff(stamps) > LONGEST_GAP / base) + 1
    edges = [0, *breaks.tolist(), len(stamps)]
    return [(int(stamps[a]) * base, int(stamps[b - 1]) * base) for a, b in pairwise(edges)]
