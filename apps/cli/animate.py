"""animate: the video of a portrait that speaks with a voice."""

import argparse
from pathlib import Path

from ...diffpose.generator import MotionOptions
from ...diffpose.pose_sources import cached_motion, keyframe_pose, parse_keyframes, reference_pose
from ...lp_core.media.audio import AudioFile
from ...lp_core.media.rates import frame_rate
from ...lp_core.motion.edits import mix, smooth
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.weights.folders import cache_folder, models_folders
from .arguments import add_speech_arguments, options_from
from .inputs import USUAL_FPS, clip_motion, generator_of, portrait_of, style_of
from .output import write

HELP = "a portrait speaks what a voice says"
READ_BY_LANDMARKS = "landmarks 1"  # part of the cache's key: a new number makes all clips be read again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("portrait", type=Path, help="A picture with a face.")
    parser.add_argument("voice", type=Path, help="A sound file, or a video with sound.")
    add_speech_arguments(parser)


def run(given: argparse.Namespace) -> None:
    """Writes the video of a portrait that speaks with a voice."""
    audio = AudioFile(given.voice)
    portrait = portrait_of(given)
    style = style_of(given.style, models_folders("diffpose", given.models))
    generator = generator_of(given, portrait.picture, portrait.landmarks, portrait)
    options, fps = options_from(given, MotionOptions), frame_rate(given.fps or USUAL_FPS)
    motion = generator.generate(audio, fps, options, given.seed, style)
    write(given, portrait, smooth(_posed(given, motion), given.smooth), audio)


def _posed(given: argparse.Namespace, motion: MotionSequence) -> MotionSequence:
    """Returns the motion with the head pose of a clip or of key poses, when given."""
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
