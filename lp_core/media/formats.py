"""Kinds of video file that can be written: container, codecs, pixels, sound, and what a quality means to each.

Quality is x264's scale everywhere, 1 (nearly lossless) … 51 (worst); each format turns it into its encoder's own.
Names are those that workflows keep.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

WORST_CRF = 51
LONG_SCALE = 63  # the worst quality of AV1 and VP9
FEW_FRAMES = 3  # fewer of them in a clip are encoded otherwise where VideoFormat.few_settings says so
PROBE_SIDE = 256  # pixels; every hardware encoder takes pictures so large
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

Settings = Callable[[int, str], dict[str, str]]
"""An encoder's options from the quality (crf) and one of PRESETS."""


@dataclass(frozen=True)
class SoundCodec:
    """How a sound track is kept.

    Attributes:
        encoder: FFmpeg's name.
        title: what people call it.
        rates: Hz that it has; empty when it has all.
        bits: a second and channel, where the rate allows as many; None where that is not a choice.
        layouts: FFmpeg's channel layouts by number of channels.
    """

    encoder: str
    title: str
    rates: tuple[int, ...] = ()
    bits: int | None = None
    layouts: tuple[str, ...] = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")


AAC = SoundCodec(
    "aac",
    "AAC",
    (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000),
    bits=128_000,
)
OPUS = SoundCodec(
    "libopus",
    "Opus",
    (8_000, 12_000, 16_000, 24_000, 48_000),
    bits=96_000,
    layouts=("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"),
)
PCM_INTEGER = SoundCodec("pcm_s16le", "PCM")
PCM_FLOAT = SoundCodec("pcm_f32le", "PCM")


@dataclass(frozen=True)
class VideoFormat:
    """A kind of video file.

    Attributes:
        name: as widgets and saved workflows have it.
        title: what it is, for people.
        suffixes: endings its files may have; the first is the usual one.
        muxer: FFmpeg's name of the container.
        encoder: FFmpeg's name of the picture codec.
        pixels: FFmpeg's pixel formats that it takes, the usual one first.
        with_alpha: the pixel format that keeps transparency; None where it is lost.
        sound: how sound is kept; None where there can be none.
        settings: the encoder's options.
        muxer_options: the container's options.
        tag: the codec's name in the container where the usual one is not understood everywhere.
        in_browsers: whether pages play it.
        smallest_side: pixels that its encoder takes at least.
        few_settings: options of the encoder that take the place of others in clips of less than FEW_FRAMES.
        shortest_frame: seconds; browsers show frames of less for 0.1 s. None: there is no such bound.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    muxer: str
    encoder: str
    pixels: tuple[str, ...]
    with_alpha: str | None = None
    sound: SoundCodec | None = None
    settings: Settings = lambda _crf, _preset: {}
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    tag: str = ""
    in_browsers: bool = True
    smallest_side: int = 1
    few_settings: Mapping[str, str] = field(default_factory=dict)
    shortest_frame: Fraction | None = None

    def for_few_frames(self) -> "VideoFormat":
        """The format as clips of less than FEW_FRAMES want it."""
        return replace(self, settings=lambda crf, preset: {**self.settings(crf, preset), **self.few_settings})

    def recorded(self) -> "VideoFormat":
        """The format written so that what there is of a file can be played at any time, up to about a second."""
        return replace(self, muxer_options={**self.muxer_options, **_RECORDED.get(self.muxer, {})})

    def pixel_format(self, wanted: str | None, alpha: bool) -> str:
        """The pixel format to encode with: the wanted one, else that for frames with or without transparency.

        Raises:
            ValueError: the format does not take the wanted one.
        """
        taken = (*self.pixels, self.with_alpha) if self.with_alpha else self.pixels
        if wanted is not None and wanted not in taken:
            raise ValueError(f"{self.name} has no pixel format {wanted!r}; choose from {', '.join(taken)} or auto.")
        return wanted or (self.with_alpha if alpha and self.with_alpha else self.pixels[0])


def _x264(crf: int, preset: str) -> dict[str, str]:
    # Without cpu-independent x264 (core 165) gives other bytes in some runs, on one thread too.
    return {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1"}


def _x265(crf: int, preset: str) -> dict[str, str]:
    return {"crf": str(crf), "preset": preset, "x265-params": "log-level=error"}


def _long_scale(crf: int) -> str:
    """The quality on the scale of AV1 and VP9, which ends at 63."""
    return str(round(crf * LONG_SCALE / WORST_CRF))


def _svt_av1(crf: int, preset: str) -> dict[str, str]:
    return {"crf": _long_scale(crf), "preset": str(12 - PRESETS.index(preset))}  # 12 is its fastest


def _vp9(crf: int, preset: str) -> dict[str, str]:
    speed = str(max(0, 8 - PRESETS.index(preset)))  # 8 is its fastest
    return {"crf": _long_scale(crf), "b": "0", "deadline": "realtime", "cpu-used": speed, "row-mt": "1"}


def _webp(crf: int, _preset: str) -> dict[str, str]:
    return {"quality": str(100 - crf), "compression_level": "2"}


def _nvenc(crf: int, _preset: str) -> dict[str, str]:
    return {"rc": "vbr", "cq": str(crf), "preset": "p5"}


def _quick_sync(crf: int, _preset: str) -> dict[str, str]:
    return {"global_quality": str(crf)}


def _amf(crf: int, _preset: str) -> dict[str, str]:
    return {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)}


def _video_toolbox(crf: int, _preset: str) -> dict[str, str]:
    return {"q:v": str(100 - crf), "allow_sw": "0"}


MP4_OPTIONS = {"movflags": "faststart+use_metadata_tags"}
MATROSKA_OPTIONS = {"fflags": "bitexact"}  # else its identifiers are random, in webm too

# By container: what lies on the disk is a file that can be played, whenever writing ends.
_FRAGMENTED = {
    "movflags": "delay_moov+default_base_moof+use_metadata_tags",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}
_CLUSTERED = {"cluster_time_limit": "1000", "flush_packets": "1"}  # milliseconds
_RECORDED = {"mp4": _FRAGMENTED, "mov": _FRAGMENTED, "matroska": _CLUSTERED, "webm": _CLUSTERED}

H264 = VideoFormat(
    "video/h264-mp4",
    "H.264 and AAC in mp4: plays everywhere",
    (".mp4", ".m4v", ".mov"),
    "mp4",
    "libx264",
    ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    sound=AAC,
    settings=_x264,
    muxer_options=MP4_OPTIONS,
)
H265 = VideoFormat(
    "video/h265-mp4",
    "H.265 and AAC in mp4: smaller; not every browser plays it",
    (".mp4",),
    "mp4",
    "libx265",
    ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    sound=AAC,
    settings=_x265,
    muxer_options=MP4_OPTIONS,
    tag="hvc1",
    # With B-frames x265 4.1 fails to give out the last of one or two frames, one time in five.
    few_settings={"x265-params": "log-level=error:bframes=0"},
    smallest_side=128,  # x265 4.1 writes beyond its memory with pictures less than 64 wide
)
AV1 = VideoFormat(
    "video/av1-webm",
    "AV1 and Opus in webm: the smallest",
    (".webm",),
    "webm",
    "libsvtav1",
    ("yuv420p", "yuv420p10le"),
    sound=OPUS,
    settings=_svt_av1,
    muxer_options=MATROSKA_OPTIONS,
    smallest_side=64,
)
VP9 = VideoFormat(
    "video/vp9-webm",
    "VP9 and Opus in webm, which can be transparent",
    (".webm",),
    "webm",
    "libvpx-vp9",
    ("yuv420p", "yuv422p", "yuv444p"),
    with_alpha="yuva420p",
    sound=OPUS,
    settings=_vp9,
    muxer_options=MATROSKA_OPTIONS,
)
PRORES = VideoFormat(
    "video/prores-mov",
    "ProRes 4444 and plain sound in mov, which can be transparent: for editing",
    (".mov",),
    "mov",
    "prores_ks",
    ("yuv444p10le",),
    with_alpha="yuva444p10le",
    sound=PCM_INTEGER,
    settings=lambda _crf, _preset: {"profile": "4444", "vendor": "apl0"},
    muxer_options=MP4_OPTIONS,
    in_browsers=False,
)
FFV1 = VideoFormat(
    "video/ffv1-mkv",
    "FFV1 and plain sound in mkv: nothing is lost, which can be transparent",
    (".mkv",),
    "matroska",
    "ffv1",
    ("bgr0",),
    with_alpha="bgra",
    sound=PCM_FLOAT,
    settings=lambda _crf, _preset: {"level": "3", "slicecrc": "1"},
    muxer_options=MATROSKA_OPTIONS,
    in_browsers=False,
)
GIF = VideoFormat(
    "image/gif",
    "GIF, silent, of 256 colours a frame, played again and again",
    (".gif",),
    "gif",
    "gif",
    ("pal8",),
    with_alpha="pal8",
    muxer_options={"loop": "0"},
    shortest_frame=Fraction(2, 100),
)
WEBP = VideoFormat(
    "image/webp",
    "WebP, silent, which can be transparent, played again and again",
    (".webp",),
    "webp",
    "libwebp_anim",
    ("bgra",),
    with_alpha="bgra",
    settings=_webp,
    muxer_options={"loop": "0"},
    shortest_frame=Fraction(11, 1000),
)

SOFTWARE = (H264, H265, AV1, VP9, PRORES, FFV1, GIF, WEBP)
_BY_SUFFIX = (H264, VP9, FFV1, GIF, WEBP)
_HARDWARE_ENCODERS: dict[str, tuple[Settings, str]] = {
    "nvenc": (_nvenc, "NVIDIA's encoder"),
    "qsv": (_quick_sync, "Intel's encoder"),
    "amf": (_amf, "AMD's encoder"),
    "videotoolbox": (_video_toolbox, "Apple's encoder"),
}
HARDWARE = tuple(
    replace(
        form,
        name=f"video/{maker}_{form.name.removeprefix('video/')}",
        title=f"{form.title}, by {title}",
        encoder=f"{codec}_{maker}",
        pixels=("nv12",) if maker == "qsv" else ("yuv420p",),
        settings=settings,
        few_settings={},
    )
    for maker, (settings, title) in _HARDWARE_ENCODERS.items()
    for codec, form in (("h264", H264), ("hevc", H265))
)


@cache
def available_formats() -> tuple[VideoFormat, ...]:
    """The formats that this machine can write: those in this build of FFmpeg, and of its hardware encoders."""
    import av

    in_software = (form for form in SOFTWARE if form.encoder in av.codecs_available)
    in_hardware = (form for form in HARDWARE if form.encoder in av.codecs_available and _opens(form))
    return (*in_software, *in_hardware)


def _opens(form: VideoFormat) -> bool:
    """Whether the machine has what an encoder needs; FFmpeg tells only by trying."""
    import av

    try:
        context: Any = av.CodecContext.create(form.encoder, "w")
        context.width = context.height = PROBE_SIDE
        context.pix_fmt = form.pixels[0]
        context.framerate = 25
        context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def format_named(name: str) -> VideoFormat:
    """The format called so.

    Raises:
        ValueError: there is none, or this machine cannot write it.
    """
    known = {form.name: form for form in available_formats()}
    if name in known:
        return known[name]
    listed = ", ".join(known)
    if name in {form.name for form in (*SOFTWARE, *HARDWARE)}:
        raise ValueError(f"This machine cannot write {name}: its encoder is missing. Choose from {listed}.")
    raise ValueError(f"There is no video format {name!r}; choose from {listed}.")


def format_of(path: str | os.PathLike[str]) -> VideoFormat:
    """The format that a file name asks for by its ending; H.264 for .mp4 and .mov, VP9 for .webm.

    Raises:
        ValueError: no format has that ending.
    """
    suffix = Path(path).suffix.lower()
    for form in _BY_SUFFIX:
        if suffix in form.suffixes:
            return form
    endings = ", ".join(ending for form in _BY_SUFFIX for ending in form.suffixes)
    raise ValueError(f"Video is written as {endings}; got the name {os.fspath(path)!r}.")
