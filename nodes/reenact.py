"""ReenactVideo: a clip whose face does what another does."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ..lp_core.faces.faces import Face, NoFaceError
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.retarget import OBSERVATION_VARIANCE, transfer_to_clip
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.dubbing import clip_faces
from ..lp_core.render.portrait import Portrait, Renderer, RenderOptions
from ..lp_core.render.render import clip_motion, render_clip
from . import host, widgets
from .node import Node
from .option_inputs import OptionInputs, same_names
from .render import region_switches, regions_taken
from .widgets import switch
from .wires import frames_of, stack_of

DRAWING = OptionInputs(
    RenderOptions,
    same_names("relative", "stitching"),
    {"relative": {"help": "Adds the motion to the clip's own; off: the motion replaces it."}},
)


class ReenactVideo(Node):
    """IMAGE frames and a MOTION to IMAGE."""

    DESCRIPTION = (
        "Animates the face in a clip with a motion; the head keeps its position and size in the clip. The shorter "
        "of the two sets the number of frames; a single motion frame applies to the whole clip."
    )
    SEARCH_ALIASES = ("talking head", "video to video", "reenact", "edit expression in video")
    RETURN_TYPES = ("IMAGE", "FLOAT", "STRING")
    RETURN_NAMES = ("frames", "fps", "faceless")
    OUTPUT_TOOLTIPS = (
        "The frames with the face redrawn.",
        "Frame rate of the clip, in frames a second.",
        "Indices, from 0, of the frames that have no face and are returned unchanged; empty when there are none.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "frames": ("IMAGE", {"tooltip": "The clip, with one face."}),
                "motion": ("MOTION", {"tooltip": (
                    "Motion to be applied; it is resampled to the clip's frame rate."
                )}),
                "frames_fps": widgets.frame_rate("Frame rate of the clip, in frames a second."),
                "renderer": widgets.renderer(),
                **DRAWING.widgets("relative"),
                **region_switches(),
                "smooth": switch(True, "Smooths the remaining jitter; rotations are smoothed as rotations."),
                **DRAWING.widgets("stitching"),
            }
        }  # fmt: skip

    def run(
        self,
        frames: Tensor,
        motion: MotionSequence,
        frames_fps: float,
        renderer: str,
        smooth: bool,
        **drawing: Any,
    ) -> tuple[Tensor, float, str]:
        """The frames (T, H, W, 3), their rate, and the indices of those without a face."""
        clip, rate = frames_of(stack_of(frames)), frame_rate(frames_fps)
        drawer = host.renderer(renderer)
        options, regions = DRAWING.value(drawing), regions_taken(drawing)
        faces = clip_faces(host.stoppable(clip))
        looked_at = _portraits(clip, faces, drawer, host.Progress(len(clip), "frames looked at"))
        variance = OBSERVATION_VARIANCE if smooth else 0.0
        own = transfer_to_clip(motion, clip_motion(looked_at, rate), options.relative, regions, variance)
        shown = _portraits(clip, faces, drawer, host.Progress(len(own)))
        redrawn = clip[: len(own)].clone()
        for index, frame in enumerate(render_clip(shown, own, options)):
            if faces[index] is not None:
                redrawn[index] = frame[0]
        faceless = ", ".join(str(index) for index in range(len(own)) if faces[index] is None)
        return redrawn.to(host.result_device()), float(rate), faceless


def _portraits(
    clip: Tensor, faces: tuple[Face | None, ...], renderer: Renderer, progress: host.Progress
) -> Iterator[Portrait]:
    """A portrait of each frame; where no face is seen, the last one that was, or the first, is looked at."""
    face = next((face for face in faces if face is not None), None)
    if face is None:
        raise NoFaceError(f"No face was found in any of the clip's {len(clip)} frames.", clip[0])
    for frame, seen in zip(clip, faces, strict=True):
        face = seen or face
        yield renderer.portrait(frame, face)
        progress.step(1, frame)
