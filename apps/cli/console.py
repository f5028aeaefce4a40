"""Messages, progress bars and signals of the command line."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from torch import Tensor


def say(sentence: str, stream: TextIO | None = None) -> None:
    """Prints a line prefixed by the program's name, to standard output when `stream` is None."""
    print(f"talking-head: {sentence}", file=stream or sys.stdout)


def watched(given: argparse.Namespace, batches: Iterable[Tensor], frames: int | None) -> Iterator[Tensor]:
    """Yields the batches, with a progress bar of `frames` frames unless `--quiet` is given."""
    from tqdm import tqdm

    with tqdm(total=frames, unit="frame", disable=given.quiet) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


@contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """A context in which SIGTERM, SIGHUP and SIGBREAK act as Ctrl-C, so that files are finished or removed."""
    names = ("SIGTERM", "SIGHUP", "SIGBREAK") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    usual = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup's is not
    for number in usual:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)
