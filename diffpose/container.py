"""Readers of checkpoint files, safetensors or torch, that run no code from the file.

Published files are torch containers that hold the network next to a pickled command line (argparse.Namespace
with pathlib paths). torch's weights-only reader reads them with those few classes allowed and no others.
"""

import argparse
import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch
from torch import Tensor

from ..lp_core.liveportrait.checkpoint import CheckpointError

CONFIG_NAME = "config.json"  # file next to a hazard-10 checkpoint
NETWORK_NAMES = ("model", "encoder", "model_state_dict", "state_dict")  # keys of the network in a container
Arguments = Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Container:
    """Content of a checkpoint file.

    Attributes:
        path: the file.
        tensors: the network's tensors by their names in the file.
        arguments: the settings of its training; empty when the file has none.
        metadata: the text metadata of a safetensors file.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    arguments: Arguments
    metadata: Mapping[str, str]


def read_container(path: str | os.PathLike[str], prefix: str = "") -> Container:
    """The tensors and settings of a checkpoint file, safetensors or torch.

    Args:
        path: the file.
        prefix: read only the tensors of a safetensors file with names that begin with it.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything but tensors, plain values, paths and a
            Namespace.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"The checkpoint {file} does not exist. Put it there or choose another.")
    return _read_safetensors(file, prefix) if file.suffix == ".safetensors" else _read_pickled(file)


def _read_safetensors(file: Path, prefix: str) -> Container:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            names = [name for name in opened.keys() if name.startswith(prefix)]  # noqa: SIM118
            tensors = {name: opened.get_tensor(name) for name in names}
            return Container(file, tensors, {}, opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"Cannot read {file}: {error}. Download it again.") from error


def _read_pickled(file: Path) -> Container:
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *_path_stand_ins()]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles not written by torch, which it then reads or rejects
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise any exception, struct.error among them
        raise CheckpointError(_unreadable(file, error)) from error
    return _unwrapped(file, content)


def _path_stand_ins() -> list[type]:
    """Pure path classes under pathlib's names in pickles, so that a file from Linux opens on Windows."""
    return [
        type(name, (base,), {"__module__": module})
        for module in ("pathlib", "pathlib._local")
        for name, base in (("PosixPath", PurePosixPath), ("WindowsPath", PureWindowsPath))
    ]


def _unwrapped(file: Path, content: object) -> Container:
    """The network in a container, or the container itself when it is a bare network."""
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds a {type(content).__name__}; expected a dictionary of tensors.")
    network = next((content[name] for name in NETWORK_NAMES if isinstance(content.get(name), dict)), content)
    tensors = {
        # Distributed training adds this prefix to every name.
        name.removeprefix("module."): value
        for name, value in network.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    arguments = content.get("args")
    if arguments is None:
        return Container(file, tensors, _config_beside(file), {})
    return Container(file, tensors, vars(arguments) if isinstance(arguments, argparse.Namespace) else {}, {})


def _config_beside(file: Path) -> Arguments:
    config = file.with_name(CONFIG_NAME)
    if not config.is_file():
        return {}
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"The settings {config} beside {file.name} are not JSON: {error}.") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"The settings {config} must be a JSON object; got a {type(settings).__name__}.")
    return settings


def _unreadable(file: Path, error: BaseException) -> str:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return (
            f"{file} is not read for safety: besides tensors, plain values, paths and a Namespace it asks for "
            f"{refused[1]}, which could run code. Get the file from its publisher."
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "weights_only" in reason:  # torch's message advises to read it unsafely
        reason = "it is no file of tensors that torch wrote"
    return f"{file} cannot be read as a checkpoint: it is cut short or damaged ({reason}). Download it again."
