"""LivePortraitRender: a portrait and motion to frames."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from torch import Tensor

from ..lp_core.compute.transfer import on_host
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait, RenderOptions
from ..lp_core.render.render import render, render_over
from . import host
from .node import Node
from .option_inputs import OptionInputs, same_names
from .widgets import Widget, switch
from .wires import frames_of, mask_of

DRAWING = OptionInputs(
    RenderOptions,
    same_names(
        "paste_back",
        "relative",
        "batch_size",
        "multiplier",
        "stitching",
        "close_mouth",
        "keep_identity",
        "anchored",
    ),
)
REGION_SWITCHES = {
    "take_expression": "expression",
    "take_lips": "lips",
    "take_eyes": "eyes",
    "take_brows": "brows",
    "take_head": "pose",
}


class LivePortraitRender(Node):
    """PORTRAIT and MOTION to IMAGE."""

    DESCRIPTION = (
        "Renders the frames of a portrait that follows a motion, with the renderer chosen in LoadPortrait."
    )
    SEARCH_ALIASES = ("talking head", "animate portrait", "liveportrait")
    RETURN_TYPES = ("IMAGE", "FLOAT")
    RETURN_NAMES = ("frames", "fps")
    OUTPUT_TOOLTIPS = ("The rendered frames.", "Frame rate in frames a second, for VideoCombine.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "portrait": ("PORTRAIT", {"tooltip": "Portrait to be animated, from LoadPortrait."}),
                "motion": ("MOTION", {"tooltip": (
                    "Motion of the face, from AudioToMotion, DriveFromVideo or an editing node."
                )}),
                **drawing_inputs(),
            },
            "optional": {
                "mask": mask_input(),
                "background": ("IMAGE", {"tooltip": (
                    "Rendered frames of the same picture with another animated face. This face is pasted over "
                    "them, even with paste_back off. The shorter of the two holds its last frame."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        portrait: Portrait,
        motion: MotionSequence,
        mask: Tensor | None = None,
        background: Tensor | None = None,
        **drawing: Any,
    ) -> tuple[Tensor, float]:
        """The frames (T, H, W, 3) and their rate."""
        options = drawing_options(portrait, mask, drawing)
        if background is None:
            return stacked(render(portrait, motion, options), len(motion)), float(motion.fps)
        behind = frames_of(background)
        batches = render_over(portrait, motion, behind, options)
        return stacked(batches, max(len(motion), len(behind))), float(motion.fps)


def drawing_inputs() -> dict[str, Widget]:
    """Widgets that say how a motion is drawn, by name: what `drawing_options` reads."""
    return {
        **DRAWING.widgets("paste_back", "relative", "batch_size"),
        **region_switches(),
        **DRAWING.widgets("multiplier", "stitching", "close_mouth", "keep_identity", "anchored"),
    }


def mask_input() -> Widget:
    """The MASK that goes with `drawing_inputs`."""
    return ("MASK", {"tooltip": (
        "Area of the picture in which the animated face is shown; everywhere when empty. Needs paste_back."
    )})  # fmt: skip


def drawing_options(portrait: Portrait, mask: Tensor | None, drawing: Mapping[str, Any]) -> RenderOptions:
    """What the widgets of `drawing_inputs` and a mask for a portrait ask for."""
    return DRAWING.value(drawing, regions=regions_taken(drawing), mask=mask_of(mask, portrait.picture))


def region_switches() -> dict[str, Widget]:
    """Widgets that say what of a motion is taken, by name, which `regions_taken` reads."""
    return {
        "take_expression": switch(
            True,
            (
                "Applies the whole expression of the motion; off: only the parts switched on in take_lips, "
                "take_eyes and take_brows."
            ),
        ),
        "take_lips": switch(True, "Applies the lips of the motion. Used only when take_expression is off."),
        "take_eyes": switch(
            True, "Applies the lids and gaze of the motion. Used only when take_expression is off."
        ),
        "take_brows": switch(True, "Applies the brows of the motion. Used only when take_expression is off."),
        "take_head": switch(
            True, "Applies the head's rotation and translation; off: the head keeps the portrait's pose."
        ),
    }


def regions_taken(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    """What of the motion is taken, in the words of keypoints.REGIONS, by the inputs of `region_switches`."""
    wanted = {region: inputs[name] for name, region in REGION_SWITCHES.items()}
    if wanted["expression"] and wanted["pose"]:
        return ("all",)
    taken = tuple(region for region, is_taken in wanted.items() if is_taken)
    if not taken:
        raise ValueError("Nothing of the motion is taken: switch on at least one of the take_ inputs.")
    return taken


def stacked(batches: Iterator[Tensor], count: int) -> Tensor:
    """All `count` frames (T, H, W, 3) in one stack, filled in place: joining would need the memory twice."""
    first = next(batches)
    _check_memory(first[0].nbytes * count)
    frames = first.new_empty((count, *first.shape[1:]), device=host.result_device())
    done = 0
    whole = chain(iter([first]), batches)
    del first
    for batch in host.watched(on_host(whole) if frames.device.type == "cpu" else whole, count):
        frames[done : done + len(batch)] = batch
        done += len(batch)
    return frames


def _check_memory(needed: int) -> None:
    """Say before the work, not after it, that the frames will not fit."""
    free = host.free_memory()
    if free is not None and needed > free:
        raise MemoryError(
            f"The frames need {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free: lower longest_side "
            "in LoadPortrait, switch paste_back off, or take Render to File, which keeps none of them."
        )
