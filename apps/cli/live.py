"""live: a portrait that speaks in real time with a voice as it arrives."""

import argparse
from collections.abc import Generator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import torch
from torch import Tensor

from ...diffpose.generator import MotionOptions
from ...diffpose.live import live_stream
from ...lp_core.live.recording import RATE, Recording
from ...lp_core.live.session import Audience, LiveHead, LiveSession, Tally, measured_latency, picture_bytes
from ...lp_core.live.voices import at_its_pace, microphone, sound_devices
from ...lp_core.media.audio import ArrivingAudio, Audio, load_audio
from ...lp_core.media.files import folder_of
from ...lp_core.media.formats import format_of
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.render.portrait import RenderOptions
from ...lp_core.render.render import render
from ...lp_core.weights.folders import models_folders
from ..live.viewer import Viewer, require_aiohttp
from .arguments import (
    STRENGTHS,
    add_generator_arguments,
    add_options,
    add_output_arguments,
    add_portrait_arguments,
    add_render_options,
    add_style_options,
    options_from,
)
from .console import say
from .inputs import USUAL_FPS, generator_of, portrait_of, style_of

HELP = "a portrait speaks along with a voice that is just being spoken"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("portrait", type=Path, help="A picture with a face.")
    voice = parser.add_mutually_exclusive_group()
    voice.add_argument("--voice", type=Path, default=None, metavar="FILE", help="A sound file, at its own pace.")
    voice.add_argument(
        "--microphone",
        nargs="?",
        const="",
        default=None,
        metavar="DEVICE",
        help="This machine's microphone; without it or --voice, the page's is heard.",
    )
    add_output_arguments(parser)
    parser.set_defaults(output=None)
    parser.add_argument("--fps", default=None, help="Frames a second, 25 when not given.")
    parser.add_argument(
        "--latency",
        type=float,
        default=None,
        metavar="SECONDS",
        help="Time from a sound to its frame; measured when not given.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="Address of the page; others let the network in.")
    parser.add_argument("--port", type=int, default=8199, help="Port of the page; 0 takes a free one.")
    parser.add_argument("--no-page", action="store_true", help="Serve no page, only write the file.")
    add_portrait_arguments(parser)
    add_render_options(parser)
    add_generator_arguments(parser)
    add_style_options(parser)
    add_options(parser, MotionOptions, STRENGTHS)


def run(given: argparse.Namespace) -> None:
    """Runs a live session until the voice ends, or Ctrl-C."""
    _check_live(given)
    torch.set_num_threads(max(torch.get_num_threads() // 2, 1))  # speech analysis and drawing run in parallel
    voice = _live_voice(given)
    head, picture = _live_head(given, voice)
    tally, viewer = Tally(), None
    audience: list[Audience] = [tally]
    with ExitStack() as served:
        if not given.no_page:
            viewer = served.enter_context(_viewer(given, head, picture))
            audience.append(viewer)
            say(f"open {viewer.url} (Ctrl-C ends)")
        audience += _recordings(given, head, picture)
        # a second Ctrl-C skips the frames still to be drawn; the file is finished all the same
        with suppress(KeyboardInterrupt), LiveSession(head, audience) as session:
            with closing(_arriving(given, voice, viewer)) as pieces, suppress(KeyboardInterrupt):
                for piece in pieces:
                    session.push(piece)
            session.finish()
    if not given.quiet:
        kept = f"{given.output}: " if given.output and tally.frames else ""
        counted = f"{tally.frames} frames, {tally.dropped} of them dropped"
        say(f"{kept}{counted}, {head.schedule.latency:.2f} s from sound to frame.")


def _check_live(given: argparse.Namespace) -> None:
    """Raises for missing packages and arguments, before anything is loaded."""
    if given.no_page and given.voice is None and given.microphone is None:
        raise ValueError("Without a page there is nobody to hear; give --voice FILE or --microphone.")
    if given.microphone is not None:
        sound_devices()
    if not given.no_page:
        require_aiohttp()
    if given.output is not None:
        format_of(given.output)
        folder_of(given.output)


def _live_voice(given: argparse.Namespace) -> Audio | None:
    """Returns the voice of a sound file; None for a microphone."""
    return None if given.voice is None else load_audio(given.voice).resampled(RATE)


def _live_head(given: argparse.Namespace, voice: Audio | None) -> tuple[LiveHead, Tensor]:
    """Returns the live head, at a latency this machine can sustain, and the picture shown before it speaks."""
    portrait, options, fps = portrait_of(given), options_from(given, RenderOptions), given.fps or USUAL_FPS
    generator = generator_of(given, portrait.picture, portrait.landmarks, portrait)
    style = style_of(given.style, models_folders("diffpose", given.models))
    moving = options_from(given, MotionOptions)
    trial, stream = (live_stream(generator, fps, moving, given.seed, style) for _ in range(2))
    measured = measured_latency(portrait, trial, options)  # always, since it also warms up: first frames are slow
    latency = measured if given.latency is None else given.latency
    sound = ArrivingAudio(RATE, voice.channels if voice else 1)
    calm = next(render(portrait, MotionSequence.still(1, stream.fps), options))[0]
    return LiveHead(portrait, stream, sound, latency, options), picture_bytes(calm)


def _viewer(given: argparse.Namespace, head: LiveHead, picture: Tensor) -> Viewer:
    speaks_there = given.voice is None and given.microphone is None
    rate = head.sound.sample_rate
    return Viewer(picture, head.schedule, rate, microphone=speaks_there, host=given.host, port=given.port)


def _recordings(given: argparse.Namespace, head: LiveHead, picture: Tensor) -> list[Recording]:
    """Returns the recording to the output file, in a list; empty without an output file."""
    if given.output is None:
        return []
    sound = head.sound
    return [Recording(given.output, picture, head.schedule.fps, sound.sample_rate, sound.channels)]


def _arriving(
    given: argparse.Namespace, voice: Audio | None, viewer: "Viewer | None"
) -> Generator[Tensor, None, None]:
    """Yields the voice in real time: a file once a page is open, or a microphone of this machine or the page."""
    if voice is not None:
        if viewer is not None:
            viewer.wait_until_watched()
        return at_its_pace(voice.waveform, voice.sample_rate)
    if given.microphone is not None or viewer is None:
        return microphone(RATE, given.microphone or None)
    return viewer.voice()
