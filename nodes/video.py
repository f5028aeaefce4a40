"""VideoCombine: frames and sound to a file."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..lp_core.media.audio import Audio
from ..lp_core.media.rates import frame_count
from ..lp_core.media.rates import frame_rate as exact_rate
from . import host
from .node import Node
from .video_file import FileChoice, file_inputs, write_file
from .wires import frames_of, optional_audio, stack_of, video_parts

FRAMES_AT_ONCE = 16


class VideoCombine(Node):
    """IMAGE and AUDIO, or VIDEO, to a file."""

    DESCRIPTION = (
        "Writes frames and sound to one file, by default a video that browsers play, with the workflow stored in "
        "it."
    )
    SEARCH_ALIASES = ("talking head", "save video", "mp4", "export video", "gif", "webm", "prores")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "IMAGE", "VIDEO")
    RETURN_NAMES = ("filename", "images", "video")
    OUTPUT_TOOLTIPS = (
        "Path of the file; for a picture sequence, of its folder.",
        "The input frames, unchanged.",
        "The written video, for ComfyUI's own video nodes; None for WebP and picture sequences.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        of_the_file = file_inputs()
        return {
            "required": {
                "frame_rate": ("FLOAT", {"default": 25.0, "min": 0.1, "max": 240.0, "step": 0.001, "tooltip": (
                    "Frame rate, in frames a second; connect the fps output of the rendering node. 29.97 means "
                    "exactly 30000/1001. Ignored with a connected video, which has its own."
                )}),
                "loop_count": ("INT", {"default": 0, "min": 0, "max": 100, "tooltip": (
                    "Number of repetitions of the frames after the first time. GIF and WebP always play endlessly."
                )}),
                "filename_prefix": of_the_file["filename_prefix"],
                "format": of_the_file["format"],
                "crf": of_the_file["crf"],
                "save_metadata": of_the_file["save_metadata"],
                "pingpong": ("BOOLEAN", {"default": False, "tooltip": (
                    "Plays the frames forwards, then backwards."
                )}),
                "save_output": of_the_file["save_output"],
                "trim_to_audio": of_the_file["trim_to_audio"],
                "pix_fmt": of_the_file["pix_fmt"],
            },
            "optional": {
                "images": ("IMAGE", {"tooltip": (
                    "The frames; a fourth channel is transparency. Most formats add a row or column to a side of "
                    "odd length."
                )}),
                "audio": ("AUDIO", {"tooltip": (
                    "The sound; it keeps its sample rate and channels and is cut where the frames end. Replaces "
                    "the sound of a connected video."
                )}),
                "video": ("VIDEO", {"tooltip": "A video instead of images, with its own frame rate and sound."}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }  # fmt: skip

    def run(
        self,
        frame_rate: float,
        loop_count: int,
        save_metadata: bool,
        pingpong: bool,
        trim_to_audio: bool,
        images: Tensor | None = None,
        audio: dict[str, Any] | None = None,
        video: Any = None,
        prompt: Any = None,
        extra_pnginfo: dict[str, Any] | None = None,
        **file_options: Any,
    ) -> dict[str, Any]:
        """The path, the frames and the video, and what the page plays."""
        stack, sound, rate = _inputs(images, audio, video, exact_rate(frame_rate))
        order = _order(len(stack), pingpong, loop_count)
        if trim_to_audio and sound is not None:
            order = order[: frame_count(sound.samples, sound.sample_rate, rate)]
        choice = FileChoice.of(file_options)
        workflow = host.embedded_workflow(prompt, extra_pnginfo) if save_metadata else {}
        file = write_file(choice, _played(stack, order, choice.keeps_alpha), rate, sound, workflow)
        return {"ui": file.shown, "result": (file.path, stack, file.video)}


def _inputs(
    images: Tensor | None, audio: dict[str, Any] | None, video: Any, rate: Fraction
) -> tuple[Tensor, Audio | None, Fraction]:
    """The frames, the sound and the rate, from whichever inputs are connected."""
    if (images is None) == (video is None):
        given = "neither" if images is None else "both"
        raise ValueError(f"Video Combine takes images or a video; {given} came in. Connect one.")
    sound = optional_audio(audio)
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
    batches = (frames_of(stack[part], alpha) for part in order.split(FRAMES_AT_ONCE))
    return host.counted(batches, len(order))
