"""Manner of moving: out of a clip, mixed, and in files."""

from typing import Any

from torch import Tensor

from ..diffpose.diffusion.installed import installed_style
from ..diffpose.steering.style import MAXIMUM_STRENGTH, SHORTEST_CLIP, Style, interpolate
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionSequence
from . import host, widgets
from .clip import FRAMES_AT_ONCE
from .driving import extracted
from .node import Node
from .saved import ReadsFile, file_input, prefix_input, save
from .wires import frames_of, stack_of

STYLE_SUFFIXES = (".safetensors",)


class StyleEncode(Node):
    """MOTION or IMAGE frames to STYLE."""

    DESCRIPTION = "Measures how somebody moves in a clip, so that AudioToMotion can speak in that manner."
    SEARCH_ALIASES = ("talking head", "talking style", "style transfer")
    RETURN_TYPES = ("STYLE",)
    RETURN_NAMES = ("style",)
    OUTPUT_TOOLTIPS = ("The manner of moving, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "strength": ("FLOAT", {
                    "default": 1.0, "min": 0.0, "max": MAXIMUM_STRENGTH, "step": 0.05,
                    "tooltip": "How much of the manner: 0 none, 1 as measured, 2 exaggerated.",
                }),
                "frames_fps": widgets.frame_rate("Frames a second of the frames input; motion tells its own."),
            },
            "optional": {
                "motion": ("MOTION", {"tooltip": (
                    "Motion of somebody speaking, from DriveFromVideo; ten seconds or more tell the manner well."
                )}),
                "frames": ("IMAGE", {"tooltip": (
                    "A clip of somebody speaking as pictures, in place of motion: one second at least, four are "
                    "better."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        strength: float,
        frames_fps: float,
        motion: MotionSequence | None = None,
        frames: Tensor | None = None,
    ) -> tuple[Style]:
        """The style of the motion or of the face in the frames.

        Raises:
            ValueError: neither or both are connected, or the clip is shorter than a second.
        """
        if motion is None and frames is not None:
            motion = _clip_motion(stack_of(frames), frames_fps)
        elif motion is None or frames is not None:
            given = "none" if motion is None else "both"
            raise ValueError(f"Style Encode takes motion or frames; {given} of them came in. Connect one.")
        return (installed_style(motion, host.model_folders("diffpose"), strength),)


class MixStyles(Node):
    """Two STYLEs to one."""

    DESCRIPTION = "Mixes two manners of moving; at 0.5 the result is their average."
    SEARCH_ALIASES = ("talking head", "average style", "interpolate style", "blend style")
    RETURN_TYPES = ("STYLE",)
    RETURN_NAMES = ("style",)
    OUTPUT_TOOLTIPS = ("The manner between the two, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "first": ("STYLE", {"tooltip": "The manner at weight 0."}),
                "second": ("STYLE", {"tooltip": "The manner at weight 1."}),
                "weight": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
                    "How far from the first to the second; 0.5 is the average."
                )}),
            }
        }  # fmt: skip

    def run(self, first: Style, second: Style, weight: float) -> tuple[Style]:
        """The style between the two."""
        return (interpolate(first, second, weight),)


class SaveStyle(Node):
    """STYLE to a file."""

    DESCRIPTION = "Saves a manner of moving to ComfyUI's output folder, for LoadStyle or the command line."
    SEARCH_ALIASES = ("talking head", "export style")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STYLE", "STRING")
    RETURN_NAMES = ("style", "filename")
    OUTPUT_TOOLTIPS = ("The style as it came in.", "The file that was written.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "style": ("STYLE", {"tooltip": "What is saved."}),
                "filename_prefix": prefix_input("style/talking_head"),
            }
        }

    def run(self, style: Style, filename_prefix: str) -> dict[str, Any]:
        """The style and the path, and what the page shows."""
        return save(style, style.save, filename_prefix)


class LoadStyle(ReadsFile, Node):
    """A file to STYLE."""

    DESCRIPTION = "Loads a manner of moving that SaveStyle wrote."
    SEARCH_ALIASES = ("talking head", "import style")
    RETURN_TYPES = ("STYLE",)
    RETURN_NAMES = ("style",)
    OUTPUT_TOOLTIPS = ("The manner of moving, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {"required": {"file": file_input("A style file (.safetensors)", STYLE_SUFFIXES)}}

    def run(self, file: str) -> tuple[Style]:
        """The style in the file."""
        return (Style.load(host.find_file(file)),)


def _clip_motion(frames: Tensor, fps: float) -> MotionSequence:
    """The motion of the face in frames of an IMAGE wire."""
    rate = frame_rate(fps)
    if len(frames) < SHORTEST_CLIP * rate:
        raise ValueError(
            f"A style needs a clip of at least {SHORTEST_CLIP:g} s; got {len(frames)} frames at {float(rate):g} a "
            f"second, which is {len(frames) / float(rate):.2f} s."
        )
    return extracted((frames_of(part) for part in frames.split(FRAMES_AT_ONCE)), rate, len(frames))
