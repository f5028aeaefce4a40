"""A file of frames and sound: what its widgets offer, how it is written, and what the page shows of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

from torch import Tensor

from ..lp_core.media.audio import Audio
from ..lp_core.media.encoding import VideoOptions
from ..lp_core.media.formats import H264, SOFTWARE, available_formats, format_named
from ..lp_core.options import options_of
from . import host
from .option_inputs import widget_of

PICTURES = "image/png-sequence"
AUTO = "auto"  # as the pixel format: the usual one of the file format

Shown = dict[str, list[Any] | tuple[bool]]


@dataclass(frozen=True)
class FileChoice:
    """What a user chose for a file.

    Attributes:
        filename_prefix: name in the folder; a number is added.
        format: a VideoFormat's name, or PICTURES.
        crf: quality on x264's scale.
        pixel_format: FFmpeg's name, or AUTO.
        save_output: the output folder; else the temporary one.
    """

    filename_prefix: str
    format: str
    crf: int
    pixel_format: str
    save_output: bool

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> "FileChoice":
        """The choice that the widgets of `file_inputs` give."""
        names = ("filename_prefix", "format", "crf", "pix_fmt", "save_output")
        return cls(*(inputs[name] for name in names))

    @property
    def keeps_alpha(self) -> bool:
        """Whether transparency can be kept."""
        return self.format == PICTURES or format_named(self.format).with_alpha is not None

    def place(self, suffix: str, picture: Tensor) -> host.SavePlace:
        """Where the file of frames such as this one (H, W, C) goes."""
        height, width = picture.shape[:2]
        kind = "output" if self.save_output else "temp"
        return host.save_place(self.filename_prefix, suffix, kind, (width, height))


@dataclass(frozen=True)
class Written:
    """A file that was written.

    Attributes:
        path: of the file; of a picture sequence its folder.
        shown: what the page shows.
        video: what a VIDEO wire carries; None for WebP and picture sequences.
    """

    path: str
    shown: Shown
    video: Any


def file_inputs() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Widgets about the file, by name."""
    formats = [*(form.name for form in available_formats()), PICTURES]
    return {
        "filename_prefix": ("STRING", {"default": "talking_head", "tooltip": (
            "File name in the output folder, optionally with a subfolder; a number is added. %date% becomes the "
            "day, %date:yyyy-MM-dd_hhmmss% day and time, %width% and %height% the size."
        )}),
        "format": (formats, {"default": H264.name, "tooltip": (
            "File format. h264-mp4 plays everywhere; h265 and av1 are smaller; vp9, prores, ffv1, gif, webp and "
            "png keep transparency; ffv1 is lossless; gif, webp and png have no sound. Hardware encoders such as "
            "nvenc_h264 are listed where the machine has one."
        )}),
        "crf": widget_of(options_of(VideoOptions)["crf"]),
        "save_metadata": ("BOOLEAN", {"default": True, "tooltip": (
            "Stores the workflow in the file: drop the video on ComfyUI's page to open it again. GIF cannot store "
            "it."
        )}),
        "save_output": ("BOOLEAN", {"default": True, "tooltip": (
            "Writes to the output folder; off: to the temporary folder, for a preview."
        )}),
        "trim_to_audio": ("BOOLEAN", {"default": False, "tooltip": "Cuts the video where the sound ends."}),
        "pix_fmt": (_pixel_formats(), {"default": AUTO, "tooltip": (
            "Pixel format. auto uses the most widely playable one, with transparency where frames and format have "
            "it; yuv420p10le stores finer shades; yuv444p keeps every pixel's colour."
        )}),
    }  # fmt: skip


def _pixel_formats() -> list[str]:
    """Every pixel format that some format takes, besides `auto`."""
    known = (pixels for form in SOFTWARE for pixels in (*form.pixels, form.with_alpha) if pixels)
    return list(dict.fromkeys([AUTO, *known]))


def write_file(
    choice: FileChoice, frames: Iterator[Tensor], rate: Fraction, sound: Audio | None, workflow: Mapping[str, str]
) -> Written:
    """Write frames as they come.

    Args:
        choice: what the user chose.
        frames: at least one batch (B, H, W, 3), or (B, H, W, 4) where the choice keeps transparency.
        rate: frames a second.
        sound: the sound track; None for a silent file.
        workflow: texts kept in the file.
    """
    batch = next(frames)
    first, whole = batch[0, ..., :3].clone(), chain(iter([batch]), frames)
    del batch  # long videos: nothing but what is being written is kept
    if choice.format == PICTURES:
        return _write_pictures(choice.place("", first), whole, workflow)
    return _write_video(choice, first, whole, rate, sound, workflow)


def _write_video(
    choice: FileChoice,
    first: Tensor,
    frames: Iterator[Tensor],
    rate: Fraction,
    sound: Audio | None,
    workflow: Mapping[str, str],
) -> Written:
    from ..lp_core.media.encoding import write_video

    form = format_named(choice.format)
    pixels = None if choice.pixel_format == AUTO else choice.pixel_format
    options = VideoOptions(crf=choice.crf, metadata=workflow, format=form, pixel_format=pixels)
    place = choice.place(form.suffixes[0], first)
    write_video(place.path, frames, rate, sound, options)
    if form.in_browsers:
        shown: Shown = {"images": [place.shown], "animated": (form.muxer != "gif",)}  # a GIF moves as a picture
    else:
        shown = {"images": [host.save_picture(first, "talking_head_video").shown], "text": [str(place.path)]}
    video = None if form.muxer == "webp" else host.video_from_file(place.path)
    return Written(str(place.path), shown, video)


def _write_pictures(place: host.SavePlace, frames: Iterator[Tensor], workflow: Mapping[str, str]) -> Written:
    """A folder of pictures, of which the page shows the first."""
    from ..lp_core.media.encoding import write_pictures

    write_pictures(place.path, frames, workflow)
    first = min(place.path.iterdir())
    folder = "/".join(part for part in (place.shown["subfolder"], place.path.name) if part)
    shown = {**place.shown, "subfolder": folder, "filename": first.name}
    return Written(str(place.path), {"images": [shown], "animated": (False,)}, None)
