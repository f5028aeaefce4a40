"""convert: a published motion network to safetensors."""

import argparse
from pathlib import Path

from ...diffpose.convert import convert
from .console import say

HELP = "a published motion network to safetensors, read safely and once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("checkpoint", type=Path, help="JoyVASA's, DiffPoseTalk's, hazard-10's or Ditto's file.")
    parser.add_argument("output", type=Path, help="The .safetensors file to write.")
    parser.add_argument(
        "--pe-mode",
        choices=("legacy", "sequential"),
        help="How it numbers frames, which no published file tells; legacy when not given.",
    )


def run(given: argparse.Namespace) -> None:
    """Writes the checkpoint as safetensors."""
    convert(given.checkpoint, given.output, given.pe_mode)
    say(f"wrote {given.output}")
