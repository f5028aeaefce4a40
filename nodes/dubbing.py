"""DubVideo: a clip that says something else."""

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..lp_core.choice import extractor_for
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.dubbing import clip_faces, dub, ping_pong
from . import host, widgets
from .clip import FRAMES, FRAMES_AT_ONCE, ReadsClip, clip_named, frames_fps_input, video_input
from .node import Node
from .wires import frames_of, stack_of


class DubVideo(ReadsClip, Node):
    """IMAGE frames and lips of a MOTION to IMAGE."""

    DESCRIPTION = (
        "Replaces the lip motion of the face in a clip. Head, eyes, brows and everything outside the mouth stay "
        "unchanged. A clip shorter than the voice plays back and forth; a longer one is cut."
    )
    SEARCH_ALIASES = ("talking head", "dubbing", "lip sync video", "video to video")
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING")
    RETURN_NAMES = ("frames", "fps", "faceless")
    OUTPUT_TOOLTIPS = (
        "The dubbed frames.",
        "Frame rate of the clip, in frames a second.",
        "Indices, from 0, of the frames that have no face and are returned unchanged; empty when there are none.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "video": video_input(),
                "motion": ("MOTION", {"tooltip": (
                    "Motion with the new lips, from AudioToMotion; its other parts are ignored."
                )}),
                "frames_fps": frames_fps_input(),
                "renderer": widgets.renderer("mouth"),
            },
            "optional": {
                "frames": FRAMES,
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    def run(
        self,
        video: str,
        motion: MotionSequence,
        frames_fps: float,
        renderer: str,
        frames: Tensor | None = None,
        unique_id: str = "",
    ) -> tuple[Tensor, float, str]:
        """The frames (T, H, W, 3), their rate, and the indices of those without a face."""
        rate, clip = _frames(video, frames_fps, frames)
        drawer = host.renderer(renderer)
        looking = host.Progress(len(clip), "frames looked at")
        extraction = extractor_for(drawer).extract(clip.split(FRAMES_AT_ONCE), rate, on_frames=looking.step)
        lips = motion.resampled(rate)
        progress = host.Progress(len(lips))
        faceless: list[str] = []

        def note(frame: Tensor, was_dubbed: bool) -> None:
            if not was_dubbed:
                faceless.append(str(progress.done))
            progress.step(1)
            host.show_frame(unique_id, frame)

        faces = clip_faces(host.stoppable(clip))
        drawn = clip[ping_pong(len(clip), len(lips))]
        for index, frame in enumerate(dub(drawn, faces, extraction.motion, lips, drawer, note)):
            drawn[index] = frame
        return drawn.to(host.result_device()), float(rate), ", ".join(faceless)


def _frames(video: str, frames_fps: float, frames: Tensor | None) -> tuple[Fraction, Tensor]:
    """A clip's rate and its frames (T, H, W, 3), from the wire or from the file."""
    if frames is not None:
        return frame_rate(frames_fps), frames_of(stack_of(frames))
    clip = clip_named(video)
    return clip.fps, torch.cat(list(clip.frames()))
