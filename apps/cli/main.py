"""Runs a command line: arguments in, an exit code out."""

import sys

from .console import interrupted_by_termination, say
from .parser import build_parser

STOPPED = 130  # the exit code of a program that Ctrl-C ended


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0 done, 1 an error in a sentence, 2 wrong usage, 130 stopped."""
    given = build_parser().parse_args(arguments)
    try:
        with interrupted_by_termination():
            given.run(given)
    except (ValueError, OSError) as error:
        say(str(error), sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped; no finished file was written.", sys.stderr)
        return STOPPED
    return 0
