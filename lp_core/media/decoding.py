"""What a stream holds, decoded: frames with their continuous times, damaged packets stepped over."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .clock import Film, Parts, Timed, Track, scan
from .streams import Damage, Kind, audio_streams, decoder_of, opened, packets, seconds_of, video_stream

if TYPE_CHECKING:
    from pathlib import Path

    from av import AudioFrame, Packet, VideoFrame
    from av.container import InputContainer

    Frame = VideoFrame | AudioFrame

SEEK_BACK = 1  # seconds that a seek which landed too late goes further back, doubled each time
SILENCE = 1e-4  # amplitude below which a track of several is taken for an empty one


def film_of(path: "Path") -> Film:
    """The pictures and the sound of a file that are read: its default streams, or the first that is not silent.

    Raises:
        FileNotFoundError: no such file.
        av.FFmpegError: FFmpeg cannot read it.
    """
    with opened(path) as container:
        video, sounds = video_stream(container), audio_streams(container)
        indices: dict[Kind, int] = {} if video is None else {"video": video.index}
        candidates = [sound.index for sound in sounds]
        if candidates:
            heard = (index for index in candidates if len(candidates) == 1 or _is_heard(path, index))
            indices["audio"] = next(heard, candidates[0])
        if not indices:
            return Film(path, None, None, None, None, None, {})
        return scan(container, path, indices)


def _is_heard(path: "Path", index: int) -> bool:
    """Whether a stream of sound is more than digital silence."""
    from av import AudioResampler

    with opened(path) as container:
        for frame in _decoded(container, container.streams[index], Damage(path, "audio"), _as_stamped):
            floats = AudioResampler(format="flt").resample(frame)  # pyright: ignore[reportArgumentType]
            if any(abs(block.to_ndarray()).max(initial=0) > SILENCE for block in floats):
                return True
    return False


def decoded(
    path: "Path", track: Track, kind: Kind, start: int | None = None, is_told: bool = True
) -> Iterator[Timed]:
    """The frames of a track in the order in which they are shown or heard.

    Args:
        path: the track's file.
        track: what to decode.
        kind: of the track.
        start: the time of the first frame that is wanted; some before it come too.
        is_told: whether damaged packets are logged.
    """
    damage = Damage(path, kind)
    with opened(path) as container:
        stream: Any = container.streams[track.index]
        if kind == "video":
            stream.thread_type = "AUTO"
        frames = _timed(container, stream, track, damage)
        if start is not None and track.clock.can_seek and track.stamped_by != "order":
            frames = _sought(container, stream, track, damage, start)
        yield from frames
    if is_told:
        damage.report()


def _timed(container: "InputContainer", stream: Any, track: Track, damage: Damage) -> Iterator[Timed]:
    parts, clock = Parts(track.time_base), track.clock

    def continue_clock(packet: "Packet") -> None:
        part = parts.part_of(packet)
        if track.stamped_by == "dts":
            packet.pts = packet.dts
        if packet.pts is not None:
            packet.pts = clock.continuous(packet.pts, part)
        if packet.dts is not None:
            packet.dts = clock.continuous(packet.dts, part)

    for number, frame in enumerate(_decoded(container, stream, damage, continue_clock)):
        time = frame.pts
        if track.stamped_by == "order":
            time = int(track.times[number]) if number < len(track.times) and stream.type == "video" else None
        yield Timed(time, frame, parts.current)


def _sought(container: "InputContainer", stream: Any, track: Track, damage: Damage, start: int) -> Iterator[Timed]:
    """The frames from the keyframe before a time on, or from the beginning where the file does not seek."""
    import av

    first, back = int(track.times[0]), round(SEEK_BACK / track.time_base)
    time = start
    while time > first:
        try:
            container.seek(track.clock.stamp(time), stream=stream)
        except av.FFmpegError:
            break
        frames = _timed(container, stream, track, Damage(damage.path, damage.kind))
        landed = next(frames, None)
        if landed is not None and landed.time is not None and landed.time <= start:
            yield landed
            yield from frames
            return
        time, back = time - back, 2 * back
    yield from _from_the_start(track, damage)


def _from_the_start(track: Track, damage: Damage) -> Iterator[Timed]:
    with opened(damage.path) as container:
        stream: Any = container.streams[track.index]
        stream.thread_type = "AUTO"
        yield from _timed(container, stream, track, damage)


def _decoded(
    container: "InputContainer",
    stream: Any,
    damage: Damage,
    place: "Callable[[Packet], None]",
) -> "Iterator[Frame]":
    """The frames of a stream, of which each packet is placed before it is decoded."""
    import av

    decoder = decoder_of(stream)
    for packet in packets(container, [stream], damage):
        seconds = seconds_of(packet)
        place(packet)
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            damage.note(seconds)
            continue
        yield from frames  # pyright: ignore[reportReturnType]


def _as_stamped(packet: "Packet") -> None:
    """Leaves a packet where its file has it."""
