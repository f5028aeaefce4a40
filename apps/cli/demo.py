"""demo: the video of the bundled portrait that speaks with the bundled voice."""

import argparse
from pathlib import Path

from . import animate
from .arguments import add_speech_arguments

HELP = "the bundled portrait speaks the bundled voice"
WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
DEMO_PORTRAIT = WORKFLOWS / "demo_portrait.jpg"
DEMO_VOICE = WORKFLOWS / "demo_speech.wav"
run = animate.run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    add_speech_arguments(parser)
    parser.set_defaults(portrait=DEMO_PORTRAIT, voice=DEMO_VOICE)
