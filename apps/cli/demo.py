"""demo: the bundled portrait speaks the bundled voice."""

import argparse
from pathlib import Path

from . import animate
from .arguments import add_speech_options

HELP = "the bundled portrait speaks the bundled voice"
WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
DEMO_PORTRAIT = WORKFLOWS / "demo_portrait.jpg"
DEMO_VOICE = WORKFLOWS / "demo_speech.wav"
run = animate.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_speech_options(parser)
    parser.set_defaults(portrait=DEMO_PORTRAIT, voice=DEMO_VOICE)
