"""A report on this machine's versions, devices, video formats and weights, for users and issue reports."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from ..media.formats import available_formats
from .registry import Finding, State, WeightEntry, check

PACKAGES = (
    "torch", "numpy", "scipy", "safetensors", "av", "pillow", "librosa", "soxr", "scikit-image", "kornia",
    "transformers", "opencv-python",
)  # fmt: skip
OPTIONAL = ("onnxruntime", "mediapipe")
OTHER_DISTRIBUTIONS = {  # of the same module; any of them will do
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
}


def diagnosis(weights: Sequence[tuple[WeightEntry, Sequence[Path]]]) -> Iterator[str]:
    """Yields lines on versions, devices, video formats and weights, with a remedy for each problem.

    Args:
        weights: published weights, each with the models folders to search.
    """
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in PACKAGES:
        version = _version(package)
        yield f"{package} {version}" if version else f"{package} is missing: pip install -r requirements.txt"
    for package in OPTIONAL:
        yield f"{package} {_version(package) or 'is not installed; it is optional'}"
    yield f"device: {_device()}"
    yield f"video formats: {', '.join(form.name for form in available_formats())}"
    for entry, folders in weights:
        yield _weights_line(entry, folders)


def weights_table(findings: Sequence[Finding]) -> Iterator[str]:
    """Yields the lines of a table of weights and their states."""
    rows = [("weights", "state", "size", "licence", "commercial use", "file"), *map(_row, findings)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _version(package: str) -> str | None:
    for name in (package, *OTHER_DISTRIBUTIONS.get(package, ())):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None


def _device() -> str:
    if torch.cuda.is_available():
        free, total = (size / 1e9 for size in torch.cuda.mem_get_info())
        return f"{torch.cuda.get_device_name()}, {free:.1f} of {total:.1f} GB free"
    return "Apple's GPU" if torch.backends.mps.is_available() else f"CPU, {torch.get_num_threads()} threads"


def _weights_line(entry: WeightEntry, folders: Sequence[Path]) -> str:
    found = check(entry, folders)
    terms = f"{entry.licence}, {'commercial use allowed' if entry.commercial_use else 'no commercial use'}"
    if found.state is State.PRESENT:
        return f"{entry.name}: present at {found.path} ({terms})"
    why = f" ({found.remark})" if found.remark else ""
    return f"{entry.name}: {found.state.value}{why}; talking-head models --download {entry.name} ({terms})"


def _row(finding: Finding) -> tuple[str, ...]:
    entry = finding.entry
    size = finding.path.stat().st_size if finding.path else entry.published[0].size
    file = str(finding.path or entry.places[0])
    return (
        entry.name,
        finding.state.value,
        "unknown" if size is None else f"{size / 1e6:.1f} MB",
        entry.licence,
        "yes" if entry.commercial_use else "no",
        f"{file} ({finding.remark})" if finding.remark else file,
    )
