"""DubVideo: a clip that says something else."""

from typing import Any

from torch import Tensor

from ..lp_core.dubbing import dub, ping_pong
from ..lp_core.extractor import MotionExtractor
from ..lp_core.motion import MotionSequence, frame_rate
from ..lp_core.portrait import Renderer
from ..lp_core.renderer import RENDERERS, choose_renderer
from . import host
from .node import Node
from .wires import frames_of, stack_of

FRAMES_AT_ONCE = 16


class DubVideo(Node):
    """IMAGE frames and lips of a MOTION to IMAGE."""

    DESCRIPTION = (
        "Gives the face in a clip other lips. Head, eyes, brows and all outside the mouth stay as they are; a clip "
        "shorter than the voice plays back and forth, a longer one is cut."
    )
    SEARCH_ALIASES = ("talking head", "dubbing", "lip sync video", "video to video")
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING")
    RETURN_NAMES = ("frames", "fps", "faceless")
    OUTPUT_TOOLTIPS = (
        "The dubbed frames.",
        "Frames a second, the clip's own.",
        "Which of the dubbed frames have no face and passed through, counted from 0; empty when none.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "frames": ("IMAGE", {"tooltip": "The clip, with one face."}),
                "motion": ("MOTION", {"tooltip": "The lips, from AudioToMotion; nothing else of it is used."}),
                "fps": ("FLOAT", {"default": 25.0, "min": 1.0, "max": 120.0, "step": 0.001, "tooltip": (
                    "Frames a second of the clip. 23.976, 29.97 and 59.94 are taken as the exact broadcast rates."
                )}),
                "renderer": (list(RENDERERS), {"default": "auto", "tooltip": (
                    "What draws the mouth: mesh needs no download, liveportrait uses its networks, auto the best "
                    "one that is installed."
                )}),
            }
        }  # fmt: skip

    def run(self, frames: Tensor, motion: MotionSequence, fps: float, renderer: str) -> tuple[Tensor, float, str]:
        """The frames (T, H, W, 3), their rate, and the indices of those without a face."""
        rate, clip = frame_rate(fps), frames_of(stack_of(frames))
        drawer = choose_renderer(renderer, host.device(), host.model_folders("liveportrait"))
        looking = host.Progress(len(clip), "frames looked at")
        extraction = _extractor(drawer).extract(clip.split(FRAMES_AT_ONCE), rate, on_frames=looking.step)
        lips = motion.resampled(rate)
        progress = host.Progress(len(lips))
        faceless: list[str] = []

        def note(frame: Tensor, was_dubbed: bool) -> None:
            if not was_dubbed:
                faceless.append(str(progress.done))
            progress.step(1, frame)

        drawn = clip[ping_pong(len(clip), len(lips))]
        for index, frame in enumerate(dub(clip, extraction, lips, drawer, on_frame=note)):
            drawn[index] = frame
        return drawn.to(host.result_device()), float(rate), ", ".join(faceless)


def _extractor(renderer: Renderer) -> MotionExtractor:
    """Who reads a clip's motion in the terms of a renderer."""
    from ..lp_core.driving import LivePortraitExtractor
    from ..lp_core.liveportrait import LivePortraitRenderer
    from ..lp_core.mesh.extractor import LandmarkExtractor

    return LivePortraitExtractor(renderer) if isinstance(renderer, LivePortraitRenderer) else LandmarkExtractor()
