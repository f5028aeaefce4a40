"""What this machine has for the pack, in lines that a person can act on or paste into a report."""

import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from .formats import available_formats
from .weights import State, WeightEntry, check

PACKAGES = (
    "torch", "numpy", "scipy", "safetensors", "av", "pillow", "librosa", "scikit-image", "kornia", "transformers",
)  # fmt: skip
OPTIONAL = ("onnxruntime", "mediapipe")


def diagnosis(weights: Sequence[tuple[WeightEntry, Sequence[Path]]]) -> Iterator[str]:
    """Lines on versions, devices, video formats and weights, each trouble with what to do about it.

    Args:
        weights: published weights, each with the models folders that it is looked for in.
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


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
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
