"""RenderToFile: a portrait and motion straight to a video, however long."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ..lp_core.media.rates import frame_count
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait
from ..lp_core.render.render import render
from . import host
from .node import Node
from .render import drawing_inputs, drawing_options, mask_input
from .video_file import FileChoice, file_inputs, write_file
from .wires import optional_audio


class RenderToFile(Node):
    """PORTRAIT, MOTION and AUDIO to a file."""

    DESCRIPTION = (
        "LivePortrait Render and Video Combine in one node, for long videos: each frame is written to the file "
        "once rendered and then released, so memory use does not grow with length."
    )
    SEARCH_ALIASES = ("talking head", "long video", "save video", "animate portrait", "low memory", "stream")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "VIDEO")
    RETURN_NAMES = ("filename", "video")
    OUTPUT_TOOLTIPS = (
        "Path of the file; for a picture sequence, of its folder.",
        "The written video, for ComfyUI's own video nodes; None for WebP and picture sequences.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "portrait": ("PORTRAIT", {"tooltip": "Portrait to be animated, from LoadPortrait."}),
                "motion": ("MOTION", {"tooltip": "Motion of the face; its frame rate becomes the video's."}),
                **file_inputs(),
                **drawing_inputs(),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": (
                    "The sound; it keeps its sample rate and channels and is cut where the frames end."
                )}),
                "mask": mask_input(),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    def run(
        self,
        portrait: Portrait,
        motion: MotionSequence,
        save_metadata: bool,
        trim_to_audio: bool,
        audio: dict[str, Any] | None = None,
        mask: Tensor | None = None,
        prompt: Any = None,
        extra_pnginfo: dict[str, Any] | None = None,
        unique_id: str = "",
        **options: Any,
    ) -> dict[str, Any]:
        """The path and the video, and what the page plays."""
        sound = optional_audio(audio)
        if trim_to_audio and sound is not None:
            motion = motion[: frame_count(sound.samples, sound.sample_rate, motion.fps)]
        batches = _shown(render(portrait, motion, drawing_options(portrait, mask, options)), unique_id)
        choice = FileChoice.of(options)
        workflow = host.embedded_workflow(prompt, extra_pnginfo) if save_metadata else {}
        file = write_file(choice, host.counted(batches, len(motion)), motion.fps, sound, workflow)
        return {"ui": file.shown, "result": (file.path, file.video)}


def _shown(batches: Iterator[Tensor], node: str) -> Iterator[Tensor]:
    """The same batches of frames (B, H, W, 3); the last frame of each is shown in the node."""
    for batch in batches:
        host.show_frame(node, batch[-1])
        yield batch
