"""DriveFromVideo: the motion of a face in a clip, and what other nodes that read motion share with it."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from torch import Tensor

from ..lp_core.choice import extractor_for
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.extractor import Extraction, frame_ranges
from . import host
from .clip import FRAMES, FRAMES_AT_ONCE, ReadsClip, clip_named, frames_fps_input, video_input
from .node import Node
from .page import CURVES, curves_shown
from .widgets import switch
from .wires import frames_of, sound_of, stack_of

_log = logging.getLogger(__name__)

EXTRACTORS = ("auto", "landmarks", "liveportrait")
FACELESS = ("interpolate", "hold", "fail")
CHOSEN = -1  # as the neutral frame: it is chosen


def neutral_frame_input(otherwise: str) -> tuple[str, dict[str, Any]]:
    """The widget that names a neutral frame, or leaves the choice; `otherwise` describes how."""
    tooltip = f"Neutral frame that the motion is measured from, counted from 0. {otherwise}"
    return ("INT", {"default": CHOSEN, "min": CHOSEN, "max": 1_000_000, "tooltip": tooltip})


class DriveFromVideo(ReadsClip, Node):
    """A clip to MOTION."""

    DESCRIPTION = (
        "Reads the motion of a face in a clip, relative to its most neutral frame, to animate a portrait with it."
    )
    SEARCH_ALIASES = ("talking head", "driving video", "motion capture", "expression from video")
    HAS_INTERMEDIATE_OUTPUT = True  # newer versions show the curves again when the node is taken from the cache
    RETURN_TYPES = ("MOTION", "AUDIO", "FLOAT", "INT", "STRING")
    RETURN_NAMES = ("motion", "audio", "fps", "frames", "report")
    OUTPUT_TOOLTIPS = (
        "The motion of the clip's face.",
        "The clip's sound, for VideoCombine; None when the clip has no sound.",
        "Frame rate of the motion, in frames a second.",
        "Number of frames of the motion.",
        "Report: number of frames read, the neutral frame, and the frames without a face.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "video": video_input(),
                "target_fps": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 120.0, "step": 0.001, "tooltip": (
                    "Frame rate that the motion is resampled to, in frames a second; 0 keeps the clip's rate."
                )}),
                "frames_fps": frames_fps_input(),
                "extractor": (list(EXTRACTORS), {"default": EXTRACTORS[0], "tooltip": (
                    "Motion extractor: landmarks for the mesh renderer, liveportrait for LivePortrait's renderer; "
                    "auto follows the same rule as LoadPortrait's renderer."
                )}),
                "neutral_frame": neutral_frame_input("-1: the calmest frame is chosen."),
                "faceless": (list(FACELESS), {"default": FACELESS[0], "tooltip": (
                    "Treatment of frames without a face: interpolate between the neighbouring frames, hold the "
                    "last face, or fail and stop the run."
                )}),
                "whole_frames": switch(False, (
                    "Skips face detection and uses whole frames, for clips that are already cropped around a face "
                    "or show an animal. liveportrait only."
                )),
            },
            "optional": {
                "frames": FRAMES,
            },
        }  # fmt: skip

    def run(
        self,
        video: str,
        target_fps: float,
        frames_fps: float,
        extractor: str,
        neutral_frame: int,
        faceless: str,
        whole_frames: bool,
        frames: Tensor | None = None,
    ) -> dict[str, Any]:
        """The motion, the sound or None, the frame rate, the number of frames, what was seen; and the curves."""
        if frames is not None:
            stack = stack_of(frames)
            parts = (frames_of(part) for part in stack.split(FRAMES_AT_ONCE))
            rate, count, audio = frame_rate(frames_fps), len(stack), None
        else:
            clip = clip_named(video)
            parts, rate, count, audio = clip.frames(), clip.fps, clip.frame_count or 1, clip.audio()
        name = "mesh" if extractor == "landmarks" else extractor
        renderer = host.renderer(name)
        reader, progress = extractor_for(renderer, whole_frames), host.Progress(count)
        extraction = reader.extract(parts, rate, frame_index(neutral_frame), progress.step)
        motion = _settled(extraction, faceless)
        motion = motion.resampled(target_fps) if target_fps else motion
        report = _report(extraction, renderer.name)
        values = motion, audio and sound_of(audio), float(motion.fps), len(motion), report
        return {"ui": {CURVES: curves_shown(motion, audio)}, "result": values}


def frame_index(neutral_frame: int) -> int | None:
    """The neutral frame that a widget names; None leaves the choice."""
    return None if neutral_frame == CHOSEN else neutral_frame


def extracted(frames: Iterator[Tensor], fps: Fraction, count: int) -> MotionSequence:
    """The motion of the face in frames, of which there are about `count`."""
    from ..lp_core.mesh.extractor import LandmarkExtractor

    extraction = LandmarkExtractor().extract(frames, fps, on_frames=host.Progress(count).step)
    if extraction.faceless:
        _log.warning(
            "No face was seen in %d of the clip's %d frames; the motion is bridged there.",
            len(extraction.faceless), len(extraction.motion),
        )  # fmt: skip
    return extraction.motion


def _settled(extraction: Extraction, faceless: str) -> MotionSequence:
    """The motion with frames without a face treated in one of the ways of FACELESS."""
    if extraction.faceless and faceless == "fail":
        raise ValueError(
            f"The clip has no face in {len(extraction.faceless)} of its {len(extraction.motion)} frames: "
            f"{frame_ranges(extraction.faceless)}. Cut them out, or set faceless to interpolate or hold."
        )
    return extraction.held() if faceless == "hold" else extraction.motion


def _report(extraction: Extraction, renderer: str) -> str:
    """What was read from a clip, in a sentence."""
    without = (
        f"frames {frame_ranges(extraction.faceless)} have no face" if extraction.faceless else "all have a face"
    )
    rest = "a calm face" if extraction.neutral is None else f"frame {extraction.neutral}"
    return f"{len(extraction.motion)} frames read for the {renderer} renderer, measured from {rest}; {without}."
