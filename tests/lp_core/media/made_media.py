"""Small clips and sounds made with PyAV: a pattern of four colours, and clicks."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 220, 30), (30, 30, 220), (220, 220, 220)
QUADRANTS = ((RED, GREEN), (BLUE, GREY))
LOSSLESS = {"libx264": {"crf": "8", "preset": "ultrafast"}, "libvpx": {"crf": "4", "b:v": "4M"}}


def pattern(height: int = 64, width: int = 96, level: int | None = None) -> np.ndarray:
    """The four colours (H, W, 3), top left red; with a level grey all over."""
    picture = np.zeros((height, width, 3), np.uint8)
    if level is not None:
        return picture + np.uint8(level)
    for row, colours in enumerate(QUADRANTS):
        for column, colour in enumerate(colours):
            down, across = slice(row * height // 2, None), slice(column * width // 2, None)
            picture[down, across] = colour
    return picture


def quadrants(frame) -> list[tuple[int, int, int]]:
    """What is in the middle of the quadrants of a frame (H, W, 3) in 0…1, in reading order, as bytes."""
    height, width = frame.shape[:2]
    places = [(y, x) for y in (1, 3) for x in (1, 3)]
    return [tuple((frame[height * y // 4, width * x // 4] * 255).round().int().tolist()) for y, x in places]


def clicks(seconds: float, at: Sequence[float], rate: int = 48_000, channels: int = 1) -> np.ndarray:
    """Sound (channels, samples) that is silent but for clicks of 5 ms."""
    sound = np.zeros((channels, round(seconds * rate)), np.float32)
    for time in at:
        start = round(time * rate)
        sound[:, start : start + rate // 200] = 0.8 * np.sin(np.arange(rate // 200) * 2 * np.pi * 1000 / rate + 1)
    return sound


def heard_clicks(waveform, rate: int) -> list[float]:
    """The seconds at which clicks begin in a sound (channels, samples)."""
    loud = np.flatnonzero(np.abs(np.asarray(waveform)).max(0) > 0.2)
    return [float(place) / rate for place in loud[np.diff(loud, prepend=-rate) > rate // 20]]


def write_clip(
    path: Path,
    times: Sequence[Fraction | float],
    pictures: Sequence[np.ndarray] | None = None,
    *,
    codec: str = "libx264",
    form: str = "yuv420p",
    rate: Fraction | int = 25,
    time_base: Fraction = Fraction(1, 12800),
    aspect: Fraction | None = None,
    matrix: Sequence[int] | None = None,
    tags: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
    container_format: str | None = None,
    muxing: dict[str, str] | None = None,
    sound: np.ndarray | None = None,
    sound_start: float = 0,
    sound_codec: str = "aac",
    sound_rate: int = 48_000,
    holes: Sequence[tuple[float, float]] = (),
    last: float | None = None,
) -> Path:
    """A clip with a picture at each time (seconds), and with sound (channels, samples) from a second on.

    Args:
        holes: seconds from which to which no sound is stored.
        last: seconds that the last frame is stored to last.
    """
    shown = pictures if pictures is not None else [pattern()] * len(times)
    with av.open(str(path), "w", format=container_format, options=muxing or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or LOSSLESS.get(codec, {}))
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = form
        stream.codec_context.time_base = stream.time_base = time_base
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if matrix is not None:
            stream.set_display_matrix(tuple(matrix))
        track = None
        if sound is not None:
            layout = {1: "mono", 2: "stereo"}[len(sound)]
            track = container.add_stream(sound_codec, rate=sound_rate, layout=layout)
        packets = list(_encoded_pictures(stream, times, shown, form, time_base))
        if last is not None:
            packets[-1].duration = round(last / packets[-1].time_base)
        if track is not None:
            packets += _encoded_sound(track, sound, sound_start, sound_rate, holes)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _encoded_pictures(stream, times, shown, form, time_base):
    for time, picture in zip(times, shown, strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.shape[-1] == 3 else "rgba")
        frame = frame.reformat(format=form)
        frame.pts, frame.time_base = round(Fraction(time) / time_base), time_base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _encoded_sound(track, sound, start, rate, holes):
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", "mono" if len(sound) == 1 else "stereo")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    packets = []
    resampler = av.AudioResampler(format=track.codec_context.format, rate=rate)
    for block in resampler.resample(frame):
        packets += track.encode(block)
    packets += track.encode(None)
    kept = []
    for packet in packets:
        seconds = float(packet.pts * packet.time_base)
        if any(begin <= seconds < end for begin, end in holes):
            continue
        packet.pts += round(start / packet.time_base)
        packet.dts = packet.pts
        kept.append(packet)
    return kept


def write_sound(path: Path, sound: np.ndarray, codec: str, rate: int = 48_000, form: str | None = None) -> Path:
    """A sound (channels, samples) in a file."""
    with av.open(str(path), "w", format=form) as container:
        track = container.add_stream(codec, rate=rate, layout="mono" if len(sound) == 1 else "stereo")
        for packet in _encoded_sound(track, sound, 0, rate, ()):
            container.mux(packet)
    return path
