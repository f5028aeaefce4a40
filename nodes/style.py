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

    DESCRIPTION = "Measures a person's style of motion in a clip, for AudioToMotion to reproduce."
    SEARCH_ALIASES = ("talking head", "talking style", "style transfer")
    RETURN_TYPES = ("STYLE",)
    RETURN_NAMES = ("style",)
    OUTPUT_TOOLTIPS = ("The style of motion, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "strength": ("FLOAT", {
                    "default": 1.0, "min": 0.0, "max": MAXIMUM_STRENGTH, "step": 0.05,
                    "tooltip": "Strength of the style: 0 none, 1 as measured, 2 exaggerated.",
                }),
                "frames_fps": widgets.frame_rate(
                    "Frame rate of the frames input, in frames a second; a motion has its own."
                ),
            },
            "optional": {
                "motion": ("MOTION", {"tooltip": (
                    "Motion of a speaking person, from DriveFromVideo; ten seconds or more measure the style well."
                )}),
                "frames": ("IMAGE", {"tooltip": (
                    "Frames of a speaking person, instead of motion: at least one second, better four."
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

    DESCRIPTION = "Interpolates between two styles of motion; a weight of 0.5 is their average."
    SEARCH_ALIASES = ("talking head", "average style", "interpolate style", "blend style")
    RETURN_TYPES = ("STYLE",)
    RETURN_NAMES = ("style",)
    OUTPUT_TOOLTIPS = ("The interpolated style, for AudioToMotion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "first": ("STYLE", {"tooltip": "Style at weight 0."}),
                "second": ("STYLE", {"tooltip": "Style at weight 1."}),
                "weight": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
                    "Weight of the second style: 0 is the first style, 1 the second, 0.5 their average."
                )}),
            }
        }  # fmt: skip

    def run(self, first: Style, second: Style, weight: float) -> tuple[Style]:
        """The style between the two."""
        return (interpolate(first, second, weight),)


class SaveStyle(Node):
    """STYLE to a file."""

    DESCRIPTION = "Saves a style of motion to ComfyUI's output folder, for LoadStyle or the command line."
    SEARCH_ALIASES = ("talking head", "export style")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STYLE", "STRING")
    RETURN_NAMES = ("style", "filename")
    OUTPUT_TOOLTIPS = ("The input style, unchanged.", "Path of the file.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "style": ("STYLE", {"tooltip": "Style to be saved."}),
                "filename_prefix": prefix_input("style/talking_head"),
            }
        }

    def run(self, style: Style, filename_prefix: str) -> dict[str, Any]:
        """The style and the path, and what the page shows."""
        return save(style, style.save, filename_prefix)


class LoadStyle(ReadsFile, Node):
    """A file to STYLE."""

    DESCRIPTION = "Loads a style of motion saved by SaveStyle."
    SEARCH_ALIASES = ("talking head", "import style")
    RETURN_TYPES = ("STYLE",)
    RETURN_NAMES = ("style",)
    OUTPUT_TOOLTIPS = ("The style of motion, for AudioToMotion.",)

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
