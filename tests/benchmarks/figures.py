"""What every benchmark shares: figures with a name and a unit, printed as JSON and kept for README's table.

A benchmark ends with `report(__file__, figures, save)`. Run with `--save` it also writes results/<benchmark>.json,
from which table.py makes README's table.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    Attributes:
        name: what it is, in words that README's table can show.
        value: the number.
        unit: of the value, such as "ms" or "frames/s".
        shown: whether README's table has a line for it.
    """

    name: str
    value: float
    unit: str
    shown: bool = False


@dataclass(frozen=True)
class Result:
    """All figures of one run of a benchmark, and the machine they were measured on."""

    benchmark: str
    machine: str
    figures: tuple[Figure, ...]

    @classmethod
    def load(cls, path: Path) -> "Result":
        """A saved result."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["benchmark"], content["machine"], tuple(Figure(**one) for one in content["figures"]))


def report(script: str, figures: Sequence[Figure], save: bool, device: str = "cpu") -> None:
    """Print the figures of a benchmark, given its `__file__`, as JSON; `save` keeps them for README."""
    result = Result(Path(script).stem, machine(device), tuple(figures))
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n"
    sys.stdout.write(text)
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{result.benchmark}.json").write_text(text, encoding="utf-8")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser of the command line that knows `--save`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--save", action="store_true", help="keep the figures for README's table")
    return parser


def machine(device: str = "cpu") -> str:
    """The processor or GPU, the cores that may be used, and torch's version."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, no GPU, torch {torch.__version__.partition('+')[0]}"
    )


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text().splitlines() if about.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def median_of(
    action: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time
) -> float:
    """Median seconds of an action on a clock, CPU time of the process as a rule, after one call to warm up."""
    action()
    spent = []
    for _ in range(repeats):
        start = clock()
        action()
        spent.append(clock() - start)
    return statistics.median(spent)


def peak_megabytes() -> float:
    """The most memory that the process has had resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
