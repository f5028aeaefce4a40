"""VideoCombine: frames and sound to a video file."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..lp_core.motion import frame_count
from ..lp_core.motion import frame_rate as exact_rate
from . import host
from .node import Node
from .wires import audio_of, frames_of, stack_of

FORMATS = ("video/h264-mp4",)
FRAMES_AT_ONCE = 16


class VideoCombine(Node):
    """IMAGE and AUDIO to a file."""

    DESCRIPTION = "Writes frames and sound as a video that browsers play, with the workflow inside the file."
    SEARCH_ALIASES = ("talking head", "save video", "mp4", "export video")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "IMAGE")
    RETURN_NAMES = ("filename", "images")
    OUTPUT_TOOLTIPS = ("The file that was written.", "The frames as they came in.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The frames; a side of odd length gets one more row or column."}),
                "frame_rate": ("FLOAT", {"default": 25.0, "min": 0.1, "max": 240.0, "step": 0.001, "tooltip": (
                    "Frames a second; connect the fps of what made them. 29.97 means exactly 30000/1001."
                )}),
                "loop_count": ("INT", {"default": 0, "min": 0, "max": 100, "tooltip": (
                    "How often the frames are repeated after the first time."
                )}),
                "filename_prefix": ("STRING", {"default": "talking_head", "tooltip": (
                    "Name in the output folder, with a subfolder if wished; a number is added."
                )}),
                "format": (list(FORMATS), {"default": FORMATS[0], "tooltip": "H.264 and AAC in mp4."}),
                "crf": ("INT", {"default": 18, "min": 1, "max": 51, "tooltip": (
                    "Quality: lower is better and larger; 18 is hard to tell from the frames, 23 is usual."
                )}),
                "save_metadata": ("BOOLEAN", {"default": True, "tooltip": (
                    "Keeps the workflow in the file: drop the video on ComfyUI's page to open it again."
                )}),
                "pingpong": ("BOOLEAN", {"default": False, "tooltip": "Plays the frames forwards, then back."}),
                "save_output": ("BOOLEAN", {"default": True, "tooltip": (
                    "Writes to the output folder; off: to the temporary one, for a look."
                )}),
                "trim_to_audio": ("BOOLEAN", {"default": False, "tooltip": "Ends the video with the sound."}),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": (
                    "The sound; it keeps its rate and channels, and is cut where the frames end."
                )}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }  # fmt: skip

    def run(
        self,
        images: Tensor,
        frame_rate: float,
        loop_count: int,
        filename_prefix: str,
        format: str,
        crf: int,
        save_metadata: bool,
        pingpong: bool,
        save_output: bool,
        trim_to_audio: bool,
        audio: dict[str, Any] | None = None,
        prompt: Any = None,
        extra_pnginfo: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The path and the frames, and the video for the page."""
        from ..lp_core.video import VideoOptions, write_video

        if format not in FORMATS:
            raise ValueError(f"There is no video format {format!r}; choose from {', '.join(FORMATS)}.")
        stack, sound = stack_of(images), None if audio is None else audio_of(audio)
        order = _order(len(stack), pingpong, loop_count)
        if trim_to_audio and sound is not None:
            order = order[: frame_count(sound.samples, sound.sample_rate, exact_rate(frame_rate))]
        workflow = host.embedded_workflow(prompt, extra_pnginfo) if save_metadata else {}
        height, width = stack.shape[1:3]
        place = host.save_place(filename_prefix, ".mp4", "output" if save_output else "temp", (width, height))
        write_video(place.path, _played(stack, order), frame_rate, sound, VideoOptions(crf=crf, metadata=workflow))
        return {
            "ui": {"images": [place.shown], "animated": (True,)},
            "result": (str(place.path), images),
        }


def _order(count: int, pingpong: bool, repeats: int) -> Tensor:
    """Which frame is shown when: (N,) indices; turning round shows the first and the last frame once."""
    forwards = torch.arange(count)
    once = torch.cat([forwards, forwards[1:-1].flip(0)]) if pingpong else forwards
    return once.repeat(repeats + 1)


def _played(stack: Tensor, order: Tensor) -> Iterator[Tensor]:
    """The frames (B, H, W, 3) of a stack in the given order, a few at once, with progress and Stop."""
    progress = host.Progress(len(order))
    for part in order.split(FRAMES_AT_ONCE):
        frames = frames_of(stack[part])
        progress.step(len(part))
        yield frames
