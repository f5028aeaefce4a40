"""What the command line says and hears: sentences, progress bars, signals."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from torch import Tensor


def say(sentence: str, stream: TextIO | None = None) -> None:
    """Print a line under the program's name, on standard output when no stream is given."""
    print(f"talking-head: {sentence}", file=stream or sys.stdout)


def watched(given: argparse.Namespace, batches: Iterable[Tensor], frames: int | None) -> Iterator[Tensor]:
    """The batches as they are taken, with a progress bar if wished."""
    from tqdm import tqdm

    with tqdm(total=frames, unit="frame", disable=given.quiet) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


@contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """A closed terminal, or `kill`, is as Ctrl-C: files are finished or cleared away."""
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
