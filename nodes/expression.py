"""ExpressionEdit: an expression by sliders, by hand on the portrait, from a photo, or through keyframes."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ..diffpose.expression_keys import MAXIMUM_SECONDS, ExpressionKey, amounts_through, parse_expression_keys
from ..lp_core.choice import extractor_for
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.edits import mix
from ..lp_core.motion.expression import RANGES, Expression, expressed
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait
from ..lp_core.render.render import render
from . import host, page, preview
from .node import Node
from .widgets import frame_rate as rate_widget
from .widgets import switch
from .wires import picture_of

SLIDERS = {
    "rotate_pitch": "Nods the head, degrees: down above zero.",
    "rotate_yaw": "Turns the head, degrees: to the picture's right above zero.",
    "rotate_roll": "Tilts the head, degrees: clockwise above zero.",
    "blink": "Both eyes: -18 closes them, positive values open them wider.",
    "eyebrow": "Raises the brows; negative values draw them together.",
    "wink": "Shuts the picture's left eye, with the cheek.",
    "pupil_x": "Gaze to the picture's right; negative values look left.",
    "pupil_y": "Gaze upwards; negative values look down.",
    "aaa": "Opens the lips.",
    "eee": "Widens the lips over the teeth.",
    "woo": "Purses the lips.",
    "smile": "Lifts the corners of the mouth.",
    "left_lid": "Closes the eye on the picture's left: 1 is closed, negative values widen it.",
    "right_lid": "Closes the eye on the picture's right: 1 is closed, negative values widen it.",
    "jaw": "Drops the jaw, in eye distances; negative values close an open mouth.",
    "jaw_sideways": "Moves jaw and mouth to the picture's right, in eye distances.",
}


class ExpressionEdit(Node):
    """PORTRAIT to MOTION and IMAGE."""

    DESCRIPTION = (
        "Edits the portrait's expression with sliders, by dragging on its face, from a photo, or with keyframes."
    )
    SEARCH_ALIASES = ("talking head", "expression editor", "face editor", "keyframes", "smile", "head pose")
    HAS_INTERMEDIATE_OUTPUT = True  # newer versions show the portrait again when the node is taken from the cache
    RETURN_TYPES = ("MOTION", "IMAGE")
    RETURN_NAMES = ("motion", "picture")
    OUTPUT_TOOLTIPS = (
        "The expression as motion, constant or interpolated between the keyframes, and added to a connected "
        "motion.",
        "The portrait rendered with the sliders' expression.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "portrait": ("PORTRAIT", {"tooltip": "Portrait to be edited, from LoadPortrait."}),
                **{name: _slider(name) for name in SLIDERS},
                "copy_lips": switch(True, "Copies the lips of the photo, if one is connected."),
                "copy_eyes": switch(True, "Copies the lids and gaze of the photo."),
                "copy_brows": switch(True, "Copies the brows of the photo."),
                "copy_head": switch(False, "Copies the head rotation of the photo."),
                "copy_strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
                    "Strength of the copied expression: 0 none, 1 as in the photo. The sliders are added to it."
                )}),
                "fps": rate_widget(
                    "Frame rate of the motion, in frames a second; a connected motion keeps its own."
                ),
                "seconds": ("FLOAT", {
                    "default": 0.0, "min": 0.0, "max": float(MAXIMUM_SECONDS), "step": 0.1, "tooltip": (
                        "Length of the motion, in seconds; 0: until the last keyframe, or a single frame. A "
                        "connected motion keeps its own."
                    ),
                }),
                "keyframes": ("STRING", {"default": "", "tooltip": (
                    "Keyframes of the expression as JSON, written by the timeline under the face. With keyframes "
                    "the motion interpolates between them, and the sliders set the next one."
                )}),
            },
            "optional": {
                "motion": ("MOTION", {"tooltip": (
                    "Motion that the expression is added to, such as that from AudioToMotion."
                )}),
                "photo": ("IMAGE", {"tooltip": (
                    "Picture of a face from which the expression is copied, in the parts chosen by copy_lips, "
                    "copy_eyes, copy_brows and copy_head."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        portrait: Portrait,
        rotate_pitch: float,
        rotate_yaw: float,
        rotate_roll: float,
        blink: float,
        eyebrow: float,
        wink: float,
        pupil_x: float,
        pupil_y: float,
        aaa: float,
        eee: float,
        woo: float,
        smile: float,
        left_lid: float,
        right_lid: float,
        jaw: float,
        jaw_sideways: float,
        copy_lips: bool,
        copy_eyes: bool,
        copy_brows: bool,
        copy_head: bool,
        copy_strength: float,
        fps: float,
        seconds: float,
        keyframes: str,
        motion: MotionSequence | None = None,
        photo: Tensor | None = None,
    ) -> dict[str, Any]:
        """The motion and the portrait's picture (1, H, W, 3); the page is told how to ask for live pictures."""
        amounts = Expression(
            rotate_pitch, rotate_yaw, rotate_roll, blink, eyebrow, wink, pupil_x, pupil_y, aaa, eee, woo, smile,
            left_lid, right_lid, jaw, jaw_sideways,
        ).amounts()[None]  # fmt: skip
        keys = parse_expression_keys(keyframes)
        base = motion or MotionSequence.still(_frames(seconds, keys, frame_rate(fps)), fps)
        face = MotionSequence.still(1, base.fps)
        if photo is not None:
            parts = _parts(copy_lips, copy_eyes, copy_brows, copy_head)
            copied = _expression_of(photo, portrait)
            base, face = (mix(stretch, copied, parts, copy_strength) for stretch in (base, face))
        along = amounts_through(keys, len(base), base.fps) if keys else amounts
        (picture,) = render(portrait, expressed(face, amounts))
        shown = {"preview": preview.GALLERY.publish(portrait, face), "seconds": float(base.duration)}
        return {
            "ui": {page.EXPRESSION: [shown]},
            "result": (expressed(base, along), picture.to(host.result_device())),
        }


def _slider(name: str) -> tuple[str, dict[str, Any]]:
    allowed = RANGES[name]
    limits = {"min": float(allowed.lowest), "max": float(allowed.highest), "step": allowed.step}
    return ("FLOAT", {"default": 0.0, **limits, "tooltip": SLIDERS[name], "display": "slider"})


def _frames(seconds: float, keys: Sequence[ExpressionKey], fps: Fraction) -> int:
    """Frames that last `seconds`, show the last keyframe, and are at least one."""
    last = math.floor(keys[-1].seconds * fps) + 1 if keys else 1
    return max(math.ceil(seconds * fps), last)


def _parts(lips: bool, eyes: bool, brows: bool, head: bool) -> tuple[str, ...]:
    """What is copied of a photo, in the words of edits.REGIONS."""
    wanted = {"lips": lips, "eyes": eyes, "brows": brows, "pose": head}
    return tuple(part for part, is_wanted in wanted.items() if is_wanted)


def _expression_of(photo: Tensor, portrait: Portrait) -> MotionSequence:
    """The expression of the face in a photo, as one frame in the terms of the portrait's renderer."""
    frames = picture_of(photo)[None]
    with torch.no_grad():
        return extractor_for(portrait.renderer).extract(iter([frames]), 25).motion
