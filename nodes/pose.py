"""Head motion from elsewhere, put on a MOTION by weight; and the motion filter."""

from dataclasses import replace
from typing import Any

from ..diffpose.pose_sources import keyframe_pose, parse_keyframes, reference_pose
from ..diffpose.talker.synthetic_pose import SyntheticPoseOptions, synthetic_pose
from ..lp_core.motion.edits import mix
from ..lp_core.motion.motion_filter import FilterOptions, filter_motion
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.options import options_of
from ..lp_core.render.portrait import Portrait
from . import widgets
from .node import Node
from .option_inputs import OptionInputs, same_names, widget_of
from .widgets import Widget

MOTION_IN = (
    "MOTION",
    {"tooltip": ("Motion of lips, eyes and brows, and the head motion to be replaced or blended.")},
)
WEIGHT = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
    "Blend of the head motion: 0 keeps the motion's own, 1 uses the new one alone."
)})  # fmt: skip
SEED = widgets.seed("The same seed gives the same motion.", changes=False)
STARTS = ("beginning", "random", "offset")
EXAMPLE = "0: 0, 0, 0\n1: 3, -12, 0\n2.5: -2, 10, 4 ease out\n4: 0, 0, 0"

SWAY = OptionInputs(SyntheticPoseOptions, same_names("degrees", "jitter"), {"jitter": {"default": 0.0}})
FILTER = OptionInputs(
    FilterOptions,
    {"smoothing": "smoothing", "width": "width", "noise": "observation", "uncross_lips": "uncross"},
    {"noise": {"default": 1e-4}},
)


class PosesHead:
    """What nodes that put a head motion on a MOTION have in common."""

    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = ("The motion with the new head motion.",)

    @staticmethod
    def posed(motion: MotionSequence, pose: MotionSequence, weight: float) -> tuple[MotionSequence]:
        """The motion with its head moved as `pose` by weight, brought to the motion's frames."""
        return (mix(motion, pose.resampled(motion.fps, len(motion)), ("pose",), weight),)


class ReferencePose(PosesHead, Node):
    """The head motion of another MOTION."""

    DESCRIPTION = "Applies the head motion of a clip; a clip shorter than the motion plays back and forth."
    SEARCH_ALIASES = ("talking head", "reference head pose", "head motion transfer")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": MOTION_IN,
                "reference": ("MOTION", {"tooltip": (
                    "Motion with the head poses to be applied, from DriveFromVideo."
                )}),
                "weight": WEIGHT,
                "start": (list(STARTS), {"default": STARTS[0], "tooltip": (
                    "Start position in the reference: its beginning, a random frame drawn by the seed, or the "
                    "frame given by offset."
                )}),
                "seed": SEED,
                "offset": ("INT", {"default": 0, "min": 0, "max": 1_000_000, "tooltip": (
                    "Frame of the reference to start at, counted from 0 at the motion's rate, with start offset."
                )}),
            },
            "optional": {
                "portrait": ("PORTRAIT", {"tooltip": (
                    "Portrait for which the reference's absolute head angles are used; the head may jump at the "
                    "beginning. Not connected: the head moves relative to the portrait's own pose, as the clip "
                    "does relative to its start frame."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        motion: MotionSequence,
        reference: MotionSequence,
        weight: float,
        start: str,
        seed: int,
        offset: int,
        portrait: Portrait | None = None,
    ) -> tuple[MotionSequence]:
        """The motion with the reference's head."""
        clip = reference.resampled(motion.fps)
        first = "random" if start == "random" else offset * (start == "offset")
        rest = None if portrait is None else portrait.rest.to("cpu")
        pose = reference_pose(clip, len(motion), first, seed, rest)
        return self.posed(motion, pose, weight)


class PoseKeyframes(PosesHead, Node):
    """Head poses at moments."""

    DESCRIPTION = "Moves the head through poses given with their times."
    SEARCH_ALIASES = ("talking head", "head pose", "keyframes", "pitch yaw roll")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": MOTION_IN,
                "keyframes": ("STRING", {"default": EXAMPLE, "multiline": True, "tooltip": (
                    "One pose a line: seconds: pitch, yaw, roll, in degrees relative to the portrait's own pose, "
                    "optionally followed by an easing: linear, smooth, ease in, ease out, hold."
                )}),
                "weight": WEIGHT,
            }
        }  # fmt: skip

    def run(self, motion: MotionSequence, keyframes: str, weight: float) -> tuple[MotionSequence]:
        """The motion with the head going through the poses."""
        pose = keyframe_pose(parse_keyframes(keyframes), len(motion), motion.fps)
        return self.posed(motion, pose, weight)


class SyntheticPose(PosesHead, Node):
    """A head that sways while the lips move."""

    DESCRIPTION = "Sways the head while the lips of a motion move, and holds it still while they rest."
    SEARCH_ALIASES = ("talking head", "head sway", "synthetic head pose")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": MOTION_IN,
                "weight": WEIGHT,
                "seed": SEED,
                **SWAY.widgets(),
            }
        }  # fmt: skip

    def run(self, motion: MotionSequence, weight: float, seed: int, **sway: Any) -> tuple[MotionSequence]:
        """The motion with a swaying head."""
        pose = synthetic_pose(motion, seed, SWAY.value(sway))
        return self.posed(motion, pose, weight)


class MotionFilter(Node):
    """Smoothing, gains, lips that do not cross, delay."""

    DESCRIPTION = "Smooths a motion, scales the head rotation and the lips by axis, and shifts it in time."
    SEARCH_ALIASES = ("talking head", "smooth motion", "kalman", "savitzky golay")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = ("The filtered motion.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Motion to be filtered."}),
                **FILTER.widgets("smoothing", "width", "noise"),
                "pitch_gain": _gain("the head's nodding"),
                "yaw_gain": _gain("the head's turning"),
                "roll_gain": _gain("the head's tilting"),
                "lip_x_gain": _gain("the lips' motion sideways"),
                "lip_y_gain": _gain("the lips' motion up and down"),
                "lip_z_gain": _gain("the lips' motion forwards"),
                **FILTER.widgets("uncross_lips"),
                "delay_ms": ("FLOAT", {"default": 0.0, "min": -2000.0, "max": 2000.0, "step": 5.0, "tooltip": (
                    "Delay of the whole motion, in milliseconds; negative values move it earlier."
                )}),
            }
        }  # fmt: skip

    def run(
        self,
        motion: MotionSequence,
        pitch_gain: float,
        yaw_gain: float,
        roll_gain: float,
        lip_x_gain: float,
        lip_y_gain: float,
        lip_z_gain: float,
        delay_ms: float,
        **filtering: Any,
    ) -> tuple[MotionSequence]:
        """The filtered motion."""
        options = FILTER.value(
            filtering,
            lip_gain=(lip_x_gain, lip_y_gain, lip_z_gain),
            pose_gain=(pitch_gain, yaw_gain, roll_gain),
            delay=delay_ms / 1000,
        )
        return (filter_motion(motion, options),)


def _gain(what: str) -> Widget:
    described = options_of(FilterOptions)["pose_gain"]
    return widget_of(
        replace(described, default=1.0, help=f"Factor on {what}: 1 leaves it unchanged, 0 removes it.")
    )
