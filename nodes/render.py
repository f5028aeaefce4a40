"""LivePortraitRender: a portrait and motion to frames."""

from itertools import chain
from typing import Any

from torch import Tensor

from ..lp_core.motion import MotionSequence
from ..lp_core.portrait import Portrait, RenderOptions
from ..lp_core.renderer import render
from . import host
from .node import Node


class LivePortraitRender(Node):
    """PORTRAIT and MOTION to IMAGE."""

    DESCRIPTION = "Draws the portrait moving, with the renderer that LoadPortrait prepared it for."
    SEARCH_ALIASES = ("talking head", "animate portrait", "liveportrait")
    RETURN_TYPES = ("IMAGE", "FLOAT")
    RETURN_NAMES = ("frames", "fps")
    OUTPUT_TOOLTIPS = ("The frames.", "Frames a second, for VideoCombine.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "portrait": ("PORTRAIT", {"tooltip": "Who moves, from LoadPortrait."}),
                "motion": ("MOTION", {"tooltip": "How it moves, from AudioToMotion, DriveFromVideo or an edit."}),
                "paste_back": ("BOOLEAN", {"default": True, "tooltip": (
                    "Frames are the whole picture; off: the square around the face alone, 512×512."
                )}),
                "relative": ("BOOLEAN", {"default": True, "tooltip": (
                    "Motion is added to the portrait's own pose and expression; off: it replaces them."
                )}),
                "batch_size": ("INT", {"default": 8, "min": 1, "max": 64, "tooltip": (
                    "Frames drawn at once: more is faster on a GPU and takes more memory."
                )}),
            }
        }  # fmt: skip

    def run(
        self, portrait: Portrait, motion: MotionSequence, paste_back: bool, relative: bool, batch_size: int
    ) -> tuple[Tensor, float]:
        """The frames (T, H, W, 3) and their rate."""
        progress = host.Progress(len(motion))
        batches = render(portrait, motion, RenderOptions(batch_size, paste_back, relative))
        first = next(batches)
        _check_memory(first[0].nbytes * len(motion))
        # One stack, filled in place: joining batches at the end would need the memory twice.
        frames = first.new_empty((len(motion), *first.shape[1:]), device=host.result_device())
        for batch in chain([first], batches):
            frames[progress.done : progress.done + len(batch)] = batch
            progress.step(len(batch), batch[-1])
        return frames, float(motion.fps)


def _check_memory(needed: int) -> None:
    """Say before the work, not after it, that the frames will not fit."""
    free = host.free_memory()
    if free is not None and needed > free:
        raise MemoryError(
            f"The frames need {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free: lower longest_side "
            "in LoadPortrait, switch paste_back off, or render a shorter motion."
        )
