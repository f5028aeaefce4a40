"""VideoCombine: frames and sound to a file."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..lp_core.audio import Audio
from ..lp_core.formats import H264, SOFTWARE, VideoFormat, available_formats, format_named
from ..lp_core.motion import frame_count
from ..lp_core.motion import frame_rate as exact_rate
from . import host
from .node import Node
from .wires import audio_of, frames_of, stack_of, video_parts

PICTURES = "image/png-sequence"
AUTO = "auto"  # as the pixel format: the usual one of the file format
FRAMES_AT_ONCE = 16


class VideoCombine(Node):
    """IMAGE and AUDIO, or VIDEO, to a file."""

    DESCRIPTION = (
        "Writes frames and sound as one file, usually a video that browsers play, with the workflow in it."
    )
    SEARCH_ALIASES = ("talking head", "save video", "mp4", "export video", "gif", "webm", "prores")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "IMAGE", "VIDEO")
    RETURN_NAMES = ("filename", "images", "video")
    OUTPUT_TOOLTIPS = (
        "The file that was written; of a picture sequence its folder.",
        "The frames as they came in.",
        "The video that was written, for core's video nodes; nothing for WebP and picture sequences.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        formats = [*(form.name for form in available_formats()), PICTURES]
        return {
            "required": {
                "frame_rate": ("FLOAT", {"default": 25.0, "min": 0.1, "max": 240.0, "step": 0.001, "tooltip": (
                    "Frames a second; connect the fps of what made them. 29.97 means exactly 30000/1001. A "
                    "connected video tells its own."
                )}),
                "loop_count": ("INT", {"default": 0, "min": 0, "max": 100, "tooltip": (
                    "How often the frames are repeated after the first time. GIF and WebP play endlessly anyway."
                )}),
                "filename_prefix": ("STRING", {"default": "talking_head", "tooltip": (
                    "Name in the output folder, with a subfolder if wished; a number is added. %date% becomes the "
                    "day, %date:yyyy-MM-dd_hhmmss% day and time, %width% and %height% the size."
                )}),
                "format": (formats, {"default": H264.name, "tooltip": (
                    "h264-mp4 plays everywhere; h265 and av1 are smaller; vp9, prores, ffv1, gif, webp and png "
                    "keep transparency; ffv1 loses nothing; gif, webp and png have no sound. Hardware encoders "
                    "such as nvenc_h264 are listed where the machine has one."
                )}),
                "crf": ("INT", {"default": 18, "min": 1, "max": 51, "tooltip": (
                    "Quality: lower is better and larger; 18 is hard to tell from the frames, 23 is usual. Formats "
                    "that lose nothing do without."
                )}),
                "save_metadata": ("BOOLEAN", {"default": True, "tooltip": (
                    "Keeps the workflow in the file: drop the video on ComfyUI's page to open it again. GIF has no "
                    "place for it."
                )}),
                "pingpong": ("BOOLEAN", {"default": False, "tooltip": "Plays the frames forwards, then back."}),
                "save_output": ("BOOLEAN", {"default": True, "tooltip": (
                    "Writes to the output folder; off: to the temporary one, for a look."
                )}),
                "trim_to_audio": ("BOOLEAN", {"default": False, "tooltip": "Ends the video with the sound."}),
                "pix_fmt": (_pixel_formats(), {"default": AUTO, "tooltip": (
                    "How pixels are kept. auto takes what plays widely, with transparency where frames and format "
                    "have it; yuv420p10le shows finer shades; yuv444p keeps every pixel's colour."
                )}),
            },
            "optional": {
                "images": ("IMAGE", {"tooltip": (
                    "The frames, with transparency if they have four channels; most formats add a row or column to "
                    "a side of odd length."
                )}),
                "audio": ("AUDIO", {"tooltip": (
                    "The sound; it keeps its rate and channels, and is cut where the frames end. Takes the place "
                    "of a video's own."
                )}),
                "video": ("VIDEO", {"tooltip": "A video in place of images, with its rate and sound."}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }  # fmt: skip

    def run(
        self,
        frame_rate: float,
        loop_count: int,
        filename_prefix: str,
        format: str,
        crf: int,
        save_metadata: bool,
        pingpong: bool,
        save_output: bool,
        trim_to_audio: bool,
        pix_fmt: str,
        images: Tensor | None = None,
        audio: dict[str, Any] | None = None,
        video: Any = None,
        prompt: Any = None,
        extra_pnginfo: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The path, the frames and the video, and what the page plays."""
        stack, sound, rate = _inputs(images, audio, video, exact_rate(frame_rate))
        order = _order(len(stack), pingpong, loop_count)
        if trim_to_audio and sound is not None:
            order = order[: frame_count(sound.samples, sound.sample_rate, rate)]
        workflow = host.embedded_workflow(prompt, extra_pnginfo) if save_metadata else {}
        height, width = stack.shape[1:3]
        kind, size = "output" if save_output else "temp", (width, height)
        if format == PICTURES:
            place = host.save_place(filename_prefix, "", kind, size)
            shown = _write_pictures(place, _played(stack, order, alpha=True), workflow)
            return {"ui": shown, "result": (str(place.path), stack, None)}
        form = format_named(format)
        place = host.save_place(filename_prefix, form.suffixes[0], kind, size)
        played = _played(stack, order, alpha=form.with_alpha is not None)
        _write(place, played, rate, sound, form, crf, None if pix_fmt == AUTO else pix_fmt, workflow)
        made = None if form.muxer == "webp" else host.video_from_file(place.path)
        return {"ui": _shown(place, form, stack), "result": (str(place.path), stack, made)}


def _pixel_formats() -> list[str]:
    """Every pixel format that some format takes, besides `auto`."""
    known = (pixels for form in SOFTWARE for pixels in (*form.pixels, form.with_alpha) if pixels)
    return list(dict.fromkeys([AUTO, *known]))


def _inputs(
    images: Tensor | None, audio: dict[str, Any] | None, video: Any, rate: Fraction
) -> tuple[Tensor, Audio | None, Fraction]:
    """The frames, the sound and the rate, from whichever inputs are connected."""
    if (images is None) == (video is None):
        given = "neither" if images is None else "both"
        raise ValueError(f"Video Combine takes images or a video; {given} came in. Connect one.")
    sound = None if audio is None else audio_of(audio)
    if images is not None:
        return stack_of(images), sound, rate
    frames, own_sound, own_rate = video_parts(video)
    return frames, sound or own_sound, own_rate


def _order(count: int, pingpong: bool, repeats: int) -> Tensor:
    """Which frame is shown when: (N,) indices; turning round shows the first and the last frame once."""
    forwards = torch.arange(count)
    once = torch.cat([forwards, forwards[1:-1].flip(0)]) if pingpong else forwards
    return once.repeat(repeats + 1)


def _played(stack: Tensor, order: Tensor, alpha: bool) -> Iterator[Tensor]:
    """The frames (B, H, W, 3 or 4) of a stack in the given order, a few at once, with progress and Stop."""
    progress = host.Progress(len(order))
    for part in order.split(FRAMES_AT_ONCE):
        frames = frames_of(stack[part], alpha)
        progress.step(len(part), frames[-1, ..., :3])
        yield frames


def _write(
    place: host.SavePlace,
    frames: Iterator[Tensor],
    rate: Fraction,
    sound: Audio | None,
    form: VideoFormat,
    crf: int,
    pixel_format: str | None,
    workflow: Mapping[str, str],
) -> None:
    from ..lp_core.encoding import VideoOptions, write_video

    options = VideoOptions(crf=crf, metadata=workflow, format=form, pixel_format=pixel_format)
    write_video(place.path, frames, rate, sound, options)


def _write_pictures(
    place: host.SavePlace, frames: Iterator[Tensor], workflow: Mapping[str, str]
) -> dict[str, list[Any] | tuple[bool]]:
    """The folder of pictures, and its first one for the page."""
    from ..lp_core.encoding import write_pictures

    write_pictures(place.path, frames, workflow)
    first = min(place.path.iterdir())
    folder = "/".join(part for part in (place.shown["subfolder"], place.path.name) if part)
    return {"images": [{**place.shown, "subfolder": folder, "filename": first.name}], "animated": (False,)}


def _shown(place: host.SavePlace, form: VideoFormat, stack: Tensor) -> dict[str, list[Any] | tuple[bool]]:
    """What the page plays: the file, or a picture of the first frame where browsers cannot play the file."""
    if form.in_browsers:
        return {"images": [place.shown], "animated": (form.muxer != "gif",)}  # a GIF moves by itself as a picture
    first = frames_of(stack[:1])[0]
    return {"images": [host.save_picture(first, "talking_head_video").shown], "text": [str(place.path)]}
