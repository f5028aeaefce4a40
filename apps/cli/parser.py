"""The commands and their arguments."""

import argparse
from types import ModuleType

from . import animate, convert, demo, doctor, drive, dub, live, models

COMMANDS: dict[str, ModuleType] = {
    "animate": animate,
    "demo": demo,
    "drive": drive,
    "dub": dub,
    "live": live,
    "models": models,
    "convert": convert,
    "doctor": doctor,
}
"""Modules of the commands; each has `HELP`, `add_arguments(parser)` and `run(given)`."""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; the parsed namespace holds the chosen command's `run`."""
    parser = argparse.ArgumentParser(
        prog="talking-head", description="A portrait and a voice in, a talking head out."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        arguments = commands.add_parser(name, help=command.HELP)
        command.add_arguments(arguments)
        arguments.set_defaults(run=command.run)
    return parser
