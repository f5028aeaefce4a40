"""Two experiments: drawing from several pictures of a person, and shoulders that follow the head."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from ..lp_core.choice import extractor_for
from ..lp_core.faces.search import find_faces
from ..lp_core.motion.retarget import relative_to
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.body_sway import SHARE, sway_body
from ..lp_core.render.candidates import (
    HYSTERESIS,
    candidates_of,
    looks_of,
    nearest_candidates,
    render_from_candidates,
)
from ..lp_core.render.portrait import Portrait, RenderOptions
from ..lp_core.render.render import clip_motion, own_motion
from . import host, widgets
from .clip import FRAMES_AT_ONCE
from .node import Node
from .render import stacked
from .wires import frames_of, stack_of


class ReferenceSetRender(Node):
    """IMAGE frames of a person and MOTION to IMAGE."""

    DESCRIPTION = (
        "Renders a person from up to four frames of a clip; each frame of the motion is rendered from the source "
        "nearest in pose and mouth opening. Experimental: the picture may change visibly where the source changes."
    )
    SEARCH_ALIASES = ("talking head", "candidate images", "several source pictures")
    EXPERIMENTAL = True
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING")
    RETURN_NAMES = ("frames", "fps", "sources")
    OUTPUT_TOOLTIPS = (
        "The rendered face crops.",
        "Frame rate of the motion, in frames a second.",
        "Indices, from 0, of the clip's frames that were used as sources.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "frames": ("IMAGE", {"tooltip": "Frames of the person speaking and turning the head."}),
                "motion": ("MOTION", {"tooltip": "Motion of the person."}),
                "renderer": widgets.renderer(),
                "hysteresis": ("FLOAT", {"default": HYSTERESIS, "min": 0.0, "max": 45.0, "step": 0.5, "tooltip": (
                    "Hysteresis in degrees: how much nearer another source must be before it is used. Larger "
                    "values change the source less often."
                )}),
            }
        }  # fmt: skip

    def run(
        self, frames: Tensor, motion: MotionSequence, renderer: str, hysteresis: float
    ) -> tuple[Tensor, float, str]:
        """The drawn frames (T, 512, 512, 3), their rate, and the clip's frames that were drawn from."""
        clip = frames_of(stack_of(frames))
        drawer = host.renderer(renderer)
        looking = host.Progress(len(clip), "frames looked at")
        seen = extractor_for(drawer).extract(clip.split(FRAMES_AT_ONCE), motion.fps, on_frames=looking.step)
        sources = candidates_of(seen)
        portraits = [drawer.portrait(clip[source], find_faces(clip[source])[0]) for source in sources]
        own = relative_to(motion, portraits[0].rest.to("cpu"))
        chosen = nearest_candidates(looks_of(own), looks_of(clip_motion(portraits, motion.fps)), hysteresis)
        drawn = render_from_candidates(portraits, chosen, own, RenderOptions(paste_back=False))
        return stacked(drawn, len(own)), float(motion.fps), ", ".join(str(source) for source in sources)


class BodySway(Node):
    """IMAGE frames in which the shoulders follow the head."""

    DESCRIPTION = (
        "Shifts the image below the chin by a fraction of the head's displacement, in frames of the whole "
        "picture. Experimental: the background beside the shoulders moves slightly too."
    )
    SEARCH_ALIASES = ("talking head", "shoulders", "upper body")
    EXPERIMENTAL = True
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("frames",)
    OUTPUT_TOOLTIPS = ("The frames; everything above the shoulders is unchanged.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "frames": ("IMAGE", {"tooltip": "Frames from LivePortraitRender with paste_back on."}),
                "portrait": ("PORTRAIT", {"tooltip": "The portrait that the frames show."}),
                "motion": ("MOTION", {"tooltip": "The motion that the frames were drawn with."}),
                "share": ("FLOAT", {"default": SHARE, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
                    "Fraction of the head's displacement: 0 keeps the body still, 1 moves it as far as the head."
                )}),
            }
        }  # fmt: skip

    def run(self, frames: Tensor, portrait: Portrait, motion: MotionSequence, share: float) -> tuple[Tensor]:
        """The frames with a swaying body."""
        shown = frames_of(stack_of(frames))
        if shown.shape[1:] != portrait.picture.shape:
            raise ValueError(
                f"The frames are {shown.shape[2]}×{shown.shape[1]} pixels and the portrait's picture "
                f"{portrait.picture.shape[1]}×{portrait.picture.shape[0]}: render with paste_back on."
            )
        own = own_motion(portrait, motion, RenderOptions())
        crop = replace(portrait.crop, to_picture=portrait.crop.to_picture.cpu(), image=portrait.crop.image.cpu())
        return (sway_body(shown.cpu(), own.to("cpu"), crop, portrait.landmarks.cpu(), share),)
