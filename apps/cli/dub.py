"""dub: a clip with lips that follow another voice."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ...diffpose.generator import MotionOptions
from ...lp_core.choice import choose_renderer, extractor_for
from ...lp_core.compute.compute import Compute
from ...lp_core.faces.faces import Face
from ...lp_core.media.audio import load_audio
from ...lp_core.media.video import Video, read_video, write_video
from ...lp_core.render.dubbing import clip_faces, dub, play
from ...lp_core.render.extractor import frame_ranges
from ...lp_core.weights.folders import models_folders
from .arguments import (
    add_drawing_arguments,
    add_generator_arguments,
    add_option,
    add_output_arguments,
    options_from,
)
from .console import say, watched
from .inputs import generator_of, style_of

HELP = "a clip's face says something else; all but the mouth stays the clip's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "clip", type=Path, help="A video with a face; it plays back and forth where it is too short."
    )
    parser.add_argument("voice", type=Path, help="A sound file, or a video with sound.")
    add_output_arguments(parser)
    add_drawing_arguments(parser)
    add_generator_arguments(parser)
    add_option(parser, MotionOptions, "lips", "--lips")
    parser.set_defaults(animal=False)


def run(given: argparse.Namespace) -> None:
    """Writes the clip with lips that follow the voice, and the voice as its sound."""
    clip, audio = read_video(given.clip), load_audio(given.voice)
    renderer = choose_renderer(
        given.renderer, options_from(given, Compute), models_folders("liveportrait", given.models)
    )
    own = extractor_for(renderer).extract(watched(given, clip.frames(), clip.frame_count), clip.fps).motion
    faces = clip_faces(frame for batch in clip.frames() for frame in batch)
    options = options_from(given, MotionOptions, lips_only=True)
    style = style_of(given.style, models_folders("diffpose", given.models))
    lips = generator_of(given, *_first_seen(clip, faces)).generate(audio, clip.fps, options, given.seed, style)
    frames = (frame[None] for frame in dub(play(clip, len(own), len(lips)), faces, own, lips, renderer))
    written = write_video(given.output, watched(given, frames, len(lips)), clip.fps, audio)
    if not given.quiet:
        passed = frame_ranges([index for index, face in enumerate(faces) if face is None])
        without = f" Frames {passed} of the clip have no face and passed through." if passed else ""
        summary = f"{written} frames at {float(clip.fps):g} a second, {renderer.name} renderer."
        say(f"{given.output}: {summary}{without}")


def _first_seen(clip: Video, faces: Sequence[Face | None]) -> tuple[Tensor, Tensor]:
    """Returns the first frame (H, W, 3) of a clip that has a face, in 0…1, and its landmarks (478, 3)."""
    index, face = next((index, face) for index, face in enumerate(faces) if face is not None)
    return clip.stretch(index, index + 1)[0].float() / 255, face.landmarks
