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
from .wires import audio_of


class RenderToFile(Node):
    """PORTRAIT, MOTION and AUDIO to a file."""

    DESCRIPTION = (
        "LivePortrait Render and Video Combine in one: frames go into the file as they are drawn and are not kept, "
        "so that an hour needs no more memory than a second."
    )
    SEARCH_ALIASES = ("talking head", "long video", "save video", "animate portrait", "low memory", "stream")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "VIDEO")
    RETURN_NAMES = ("filename", "video")
    OUTPUT_TOOLTIPS = (
        "The file that was written; of a picture sequence its folder.",
        "The video that was written, for core's video nodes; nothing for WebP and picture sequences.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "portrait": ("PORTRAIT", {"tooltip": "Who moves, from LoadPortrait."}),
                "motion": ("MOTION", {"tooltip": "How it moves; its frame rate becomes the video's."}),
                **file_inputs(),
                **drawing_inputs(),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": (
                    "The sound; it keeps its rate and channels, and is cut where the frames end."
                )}),
                "mask": mask_input(),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    def run(
        self,
        portrait: Portrait,
        motion: MotionSequence,
        filename_prefix: str,
        format: str,
        crf: int,
        save_metadata: bool,
        save_output: bool,
        trim_to_audio: bool,
        pix_fmt: str,
        audio: dict[str, Any] | None = None,
        mask: Tensor | None = None,
        prompt: Any = None,
        extra_pnginfo: dict[str, Any] | None = None,
        unique_id: str = "",
        **drawing: Any,
    ) -> dict[str, Any]:
        """The path and the video, and what the page plays."""
        sound = None if audio is None else audio_of(audio)
        if trim_to_audio and sound is not None:
            motion = motion[: frame_count(sound.samples, sound.sample_rate, motion.fps)]
        batches = _shown(render(portrait, motion, drawing_options(portrait, mask, **drawing)), unique_id)
        choice = FileChoice(filename_prefix, format, crf, pix_fmt, save_output)
        workflow = host.embedded_workflow(prompt, extra_pnginfo) if save_metadata else {}
        file = write_file(choice, host.counted(batches, len(motion)), motion.fps, sound, workflow)
        return {"ui": file.shown, "result": (file.path, file.video)}


def _shown(batches: Iterator[Tensor], node: str) -> Iterator[Tensor]:
    """The same batches of frames (B, H, W, 3); the last frame of each is shown in the node."""
    for batch in batches:
        host.show_frame(node, batch[-1])
        yield batch
