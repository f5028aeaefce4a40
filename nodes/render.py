"""LivePortraitRender: a portrait and motion to frames."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from torch import Tensor

from ..lp_core.compute.transfer import on_host
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait, RenderOptions
from ..lp_core.render.render import render, render_over
from . import host
from .node import Node
from .widgets import Widget, switch
from .wires import frames_of, mask_of


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
                **drawing_inputs(),
            },
            "optional": {
                "mask": mask_input(),
                "background": ("IMAGE", {"tooltip": (
                    "Frames of the same picture in which another face moves already: this one is pasted over them, "
                    "whatever paste_back says. The shorter holds its last frame."
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
        options = drawing_options(portrait, mask, **drawing)
        if background is None:
            return stacked(render(portrait, motion, options), len(motion)), float(motion.fps)
        behind = frames_of(background)
        batches = render_over(portrait, motion, behind, options)
        return stacked(batches, max(len(motion), len(behind))), float(motion.fps)


def drawing_inputs() -> dict[str, Widget]:
    """Widgets that say how a motion is drawn, by name: the arguments of `drawing_options`."""
    return {
        "paste_back": switch(True, (
            "Frames are the whole picture; off: the square around the face alone, 512×512."
        )),
        "relative": switch(True, (
            "Motion is added to the portrait's own pose and expression; off: it replaces them."
        )),
        "batch_size": ("INT", {"default": 8, "min": 1, "max": 64, "tooltip": (
            "Frames drawn at once: more is faster on a GPU and takes more memory."
        )}),
        **region_switches(),
        "multiplier": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 3.0, "step": 0.01, "tooltip": (
            "Factor on all motion: 1 as it comes, 0 none. LivePortrait only."
        )}),
        "stitching": switch(True, (
            "Keeps the shoulders where they are, so that the face joins the picture. LivePortrait only."
        )),
        "close_mouth": switch(False, (
            "Closes the portrait's own mouth first, where it stands open. LivePortrait only."
        )),
        "keep_identity": switch(True, (
            "With relative off: what tells whose face it is stays the portrait's."
        )),
        "anchored": switch(False, (
            "With relative off: moves from the driver's rest on, by the size of the portrait's face; for "
            "faces unlike the driver's. LivePortrait only."
        )),
    }  # fmt: skip


def mask_input() -> Widget:
    """The MASK that goes with `drawing_inputs`."""
    return ("MASK", {"tooltip": (
        "Where the moved face may show in the picture; everywhere when empty. Needs paste_back."
    )})  # fmt: skip


def drawing_options(
    portrait: Portrait,
    mask: Tensor | None,
    paste_back: bool,
    relative: bool,
    batch_size: int,
    take_expression: bool,
    take_lips: bool,
    take_eyes: bool,
    take_brows: bool,
    take_head: bool,
    multiplier: float,
    stitching: bool,
    close_mouth: bool,
    keep_identity: bool,
    anchored: bool,
) -> RenderOptions:
    """What the widgets of `drawing_inputs` and a mask for a portrait ask for."""
    return RenderOptions(
        batch_size=batch_size,
        paste_back=paste_back,
        relative=relative,
        regions=regions_taken(take_expression, take_lips, take_eyes, take_brows, take_head),
        keep_identity=keep_identity,
        mask=mask_of(mask, portrait.picture),
        multiplier=multiplier,
        stitching=stitching,
        close_mouth=close_mouth,
        anchored=anchored,
    )


def region_switches() -> dict[str, Widget]:
    """Widgets that say what of a motion is taken, by name, in the order of `regions_taken`."""
    return {
        "take_expression": switch(
            True, "Takes all of the motion's expression; off: only lips, eyes and brows, where those are on."
        ),
        "take_lips": switch(True, "Takes the lips; means something when take_expression is off."),
        "take_eyes": switch(True, "Takes lids and gaze; means something when take_expression is off."),
        "take_brows": switch(True, "Takes the brows; means something when take_expression is off."),
        "take_head": switch(True, "Takes the head's turns and moves; off: the head stays as it is."),
    }


def regions_taken(expression: bool, lips: bool, eyes: bool, brows: bool, head: bool) -> tuple[str, ...]:
    """What of the motion is taken, in the words of keypoints.REGIONS."""
    if expression and head:
        return ("all",)
    wanted = {"expression": expression, "lips": lips, "eyes": eyes, "brows": brows, "pose": head}
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
