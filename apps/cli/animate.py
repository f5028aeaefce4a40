"""animate: a portrait speaks what a voice says."""

import argparse
from pathlib import Path

from ...diffpose.pose_sources import cached_motion, keyframe_pose, parse_keyframes, reference_pose
from ...lp_core.media.audio import AudioFile
from ...lp_core.media.rates import frame_rate
from ...lp_core.motion.edits import mix, smooth
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.weights.folders import cache_folder, models_folders
from .arguments import add_speech_options
from .inputs import USUAL_FPS, clip_motion, generator_of, motion_options, portrait_of, style_of
from .output import write

HELP = "a portrait speaks what a voice says"
READ_BY_LANDMARKS = "landmarks 1"  # how kept motion was read; another number reads all clips again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("portrait", type=Path, help="a picture with a face")
    parser.add_argument("voice", type=Path, help="a sound file, or a video with sound")
    add_speech_options(parser)


def run(given: argparse.Namespace) -> None:
    """Write the video of a portrait that speaks what a voice says."""
    audio = AudioFile(given.voice)
    portrait = portrait_of(given)
    style = style_of(given.style, models_folders("diffpose", given.models))
    generator = generator_of(given, portrait.picture, portrait.landmarks, portrait)
    motion = generator.generate(audio, frame_rate(given.fps or USUAL_FPS), motion_options(given), given.seed, style)
    write(given, portrait, smooth(_posed(given, motion), given.smooth), audio)


def _posed(given: argparse.Namespace, motion: MotionSequence) -> MotionSequence:
    """The motion with its head moved by a clip or by key poses, where those are given."""
    if given.head_from is not None:
        kept = cache_folder() / "motion"
        kept.mkdir(parents=True, exist_ok=True)
        clip = cached_motion(given.head_from, kept, READ_BY_LANDMARKS, lambda: clip_motion(given.head_from))
        pose = reference_pose(clip.resampled(motion.fps), len(motion))
    elif given.head_keys is not None:
        keys = parse_keyframes(given.head_keys.read_text(encoding="utf-8"))
        pose = keyframe_pose(keys, len(motion), motion.fps)
    else:
        return motion
    return mix(motion, pose, ("pose",), given.head_weight)
