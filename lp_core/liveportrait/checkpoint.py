"""Loading of networks from checkpoint files: no code is executed, keys are made canonical, loading is strict."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .nets.appearance import AppearanceExtractor
from .nets.blocks import PublishedNetwork, fold
from .nets.decoder import SpadeDecoder
from .nets.motion_extractor import MotionExtractor
from .nets.stitching import StitchingNetworks
from .nets.warping import WarpingNetwork

N = TypeVar("N", bound=PublishedNetwork)
NETWORKS: tuple[type[PublishedNetwork], ...] = (
    AppearanceExtractor,
    MotionExtractor,
    WarpingNetwork,
    SpadeDecoder,
    StitchingNetworks,
)
STITCHING_PARTS = ("retarget_shoulder.", "retarget_mouth.", "retarget_eye.")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTER = ".num_batches_tracked"  # of batch norm in training; in some files only, not used here
NAMED_AT_MOST = 4  # keys in an error message


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, the fault and a remedy."""


def load_network(path: str | os.PathLike[str], network: type[N]) -> N:
    """A network of the given class from a checkpoint file, folded, in float32 on the CPU, ready to evaluate.

    Reads LivePortrait's published `.pth` files and their safetensors conversions, in half or single precision.

    Args:
        path: a `.safetensors` or `.pth` file.
        network: one of `NETWORKS`.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: the file is damaged, malicious, of another network, or has a wrong key or shape.
    """
    return build_network(read_tensors(path), network, source=str(path))


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """All tensors of a checkpoint file under canonical keys, on the CPU, in the file's own precision.

    No code in the file is executed: safetensors holds none, and `.pth` is read by torch's restricted reader,
    which permits tensors and plain containers only.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: the file cannot be read.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no checkpoint file {file}.")
    suffix = file.suffix.lower()
    if suffix not in (".safetensors", ".pth"):
        raise CheckpointError(f"{file} is not a checkpoint: expected a .safetensors or a .pth file.")
    tensors = _read_safetensors(file) if suffix == ".safetensors" else _read_pth(file)
    return {canonical_key(key): tensor for key, tensor in tensors.items()}


def canonical_key(key: str) -> str:
    """The key, in the networks' naming, of a published key.

    Data-parallel training adds a leading `module.`; the stitching file has it inside each of its three parts,
    and its safetensors conversion joins it to the part's name.

    >>> canonical_key("retarget_eye_module.mlp.0.bias"), canonical_key("retarget_eye.module.mlp.0.bias")
    ('retarget_eye.mlp.0.bias', 'retarget_eye.mlp.0.bias')
    """
    key = key.removeprefix("module.")
    return re.sub(r"^(retarget_(?:shoulder|mouth|eye))[._]module\.", r"\1.", key)


def detect(tensors: Mapping[str, Tensor]) -> type[PublishedNetwork] | None:
    """The network class that a checkpoint's canonical keys belong to, or None."""
    return next((network for network in NETWORKS if network.signature in tensors), None)


def build_network(tensors: Mapping[str, Tensor], network: type[N], source: str) -> N:
    """A network from tensors under canonical keys, as from `load_network`; `source` is for messages.

    Raises:
        CheckpointError: the tensors are another network's, or a key, shape or type is wrong.
    """
    found = detect(tensors)
    if found is not None and found is not network:
        raise CheckpointError(f"{source} holds the {found.title}, not the {network.title}: give the right file.")
    state = {key: tensor for key, tensor in tensors.items() if _belongs(key, network)}
    built = _empty_network(state, network, source)
    _check(state, built.state_dict(), source, network.title)
    counters = {key: torch.tensor(0) for key in built.state_dict() if key.endswith(COUNTER)}
    floats = {key: tensor.float() for key, tensor in state.items()}
    built.load_state_dict({**floats, **counters}, strict=True, assign=True)
    built.requires_grad_(False).eval()
    fold(built)
    return built


def _belongs(key: str, network: type[PublishedNetwork]) -> bool:
    """Whether a key belongs to the network; the published stitching file holds more than its three networks."""
    other = network is StitchingNetworks and not key.startswith(STITCHING_PARTS)
    return not other and not key.endswith(COUNTER)


def _empty_network(state: Mapping[str, Tensor], network: type[N], source: str) -> N:
    """The network with sizes from the tensors' shapes, without memory for its weights yet."""
    try:
        with torch.device("meta"):
            return network.for_shapes({key: tensor.shape for key, tensor in state.items()})
    except KeyError as error:
        raise CheckpointError(_complaint(source, network.title, f"lacks the key {error.args[0]}")) from error
    except (IndexError, ValueError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(_complaint(source, network.title, f"has impossible shapes ({error})")) from error


def _check(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, title: str) -> None:
    """Compares keys, shapes and dtypes; raises for the first kind of fault found."""
    missing = [key for key in expected if key not in state and not key.endswith(COUNTER)]
    extra = [key for key in state if key not in expected]
    shared = [(key, tensor) for key, tensor in state.items() if key in expected]
    shapes = [
        f"{key} (has {list(tensor.shape)}, expected {list(expected[key].shape)})"
        for key, tensor in shared
        if tensor.shape != expected[key].shape
    ]
    types = [f"{key} ({tensor.dtype})" for key, tensor in shared if tensor.dtype not in FLOATS]
    faults = (
        ("lacks the key", missing),
        ("has the unknown key", extra),
        ("has a wrong shape at", shapes),
        ("holds something other than 16 to 64-bit floating-point numbers at", types),
    )
    for what, keys in faults:
        if keys:
            raise CheckpointError(_complaint(source, title, f"{what} {_enumerate(keys)}"))


def _complaint(source: str, title: str, what: str) -> str:
    return f"{source} is not a usable checkpoint of the {title}: it {what}. Download the file again."


def _enumerate(keys: list[str]) -> str:
    named = ", ".join(keys[:NAMED_AT_MOST])
    return named if len(keys) <= NAMED_AT_MOST else f"{named} and {len(keys) - NAMED_AT_MOST} more"


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(_unreadable(file, error)) from error


def _read_pth(file: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # altered files make the reader raise many kinds of errors, such as struct.error
        raise CheckpointError(_unreadable(file, error)) from error
    if not isinstance(content, Mapping):
        kind = type(content).__name__
        raise CheckpointError(f"{file} holds a {kind}, expected tensors under names. Download the file again.")
    return dict(_flatten(content))


def _flatten(content: Mapping[object, object]) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors of nested dictionaries, under keys joined by a dot; all else is left out."""
    for key, value in content.items():
        if isinstance(value, Tensor):
            yield f"{key}", value
        elif isinstance(value, Mapping):
            inner = ((name, tensor) for name, tensor in value.items() if isinstance(tensor, Tensor))
            yield from ((f"{key}.{name}", tensor) for name, tensor in inner)


def _unreadable(file: Path, error: BaseException) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{file} cannot be read as a checkpoint: it is cut short, damaged, or holds something other than tensors, "
        f"which is not loaded for safety. Download the file again. ({reason})"
    )
