"""drive: the video of a portrait with the motion of a clip or a motion file."""

import argparse
from pathlib import Path

from ...diffpose.generator import MotionOptions
from ...lp_core.choice import extractor_for
from ...lp_core.media.audio import Audio
from ...lp_core.media.video import read_video
from ...lp_core.motion.edits import head_pose, move_pupils, retarget_eyes, retarget_lips, scale_brows, smooth
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.motion.templates import MOTION_SUFFIXES, load_motion
from ...lp_core.render.portrait import Renderer
from .arguments import add_common_arguments, options_from
from .inputs import portrait_of
from .output import write

HELP = "a portrait does what a clip's face does"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("portrait", type=Path, help="A picture with a face.")
    parser.add_argument(
        "clip",
        type=Path,
        help="A video with a face, whose sound is kept; or motion (.safetensors, LivePortrait's .pkl).",
    )
    parser.add_argument(
        "--neutral", type=int, default=None, metavar="FRAME", help="The clip's calm frame; chosen when not given."
    )
    add_common_arguments(parser)


def run(given: argparse.Namespace) -> None:
    """Writes the video of a portrait with the motion of a clip or a motion file."""
    portrait = portrait_of(given)
    motion, audio = _driver(given, portrait.renderer)
    options = options_from(given, MotionOptions)
    motion = retarget_eyes(retarget_lips(motion, gain=options.lips), gain=options.blinks)
    motion = scale_brows(move_pupils(motion, gain=options.gaze), options.brows)
    motion = smooth(head_pose(motion, gain=options.head), given.smooth)
    resampled = motion if given.fps is None else motion.resampled(given.fps)
    write(given, portrait, resampled, audio)


def _driver(given: argparse.Namespace, renderer: Renderer) -> tuple[MotionSequence, Audio | None]:
    """Returns the driving motion and its sound: from a motion file, or extracted from a clip for the renderer."""
    if given.clip.suffix.lower() in MOTION_SUFFIXES:
        return load_motion(given.clip, given.neutral), None
    clip = read_video(given.clip)
    extraction = extractor_for(renderer).extract(clip.frames(), clip.fps, given.neutral)
    return extraction.motion, clip.audio()
