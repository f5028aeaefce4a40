"""Entry point of the command line."""

import sys

from .console import interrupted_by_termination, say
from .parser import build_parser

STOPPED = 130  # exit code after Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code: 0 success, 1 error, 2 wrong usage, 130 stopped."""
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
