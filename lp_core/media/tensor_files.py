"""Tensors written as safetensors whose bytes depend on nothing but what is in them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .files import appearing_whole

LENGTH_BYTES = 8  # at a file's start: the length of its JSON header, little-endian
METADATA = "__metadata__"


def save_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors on any device and texts as safetensors, whole or not at all; the same bytes each time.

    Raises:
        FileNotFoundError: the folder does not exist.
        PermissionError: the folder cannot be written to.
    """
    from safetensors.torch import save_file

    own = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    with appearing_whole(path) as part:
        save_file(own, part, metadata=None if metadata is None else dict(metadata))
        _sort_metadata(part)


def _sort_metadata(path: Path) -> None:
    """Bring the texts in a file's header into order: safetensors keeps them in one that is random each time."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
        if METADATA not in header:
            return
        header[METADATA] = dict(sorted(header[METADATA].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= length:  # the same characters in another order
            file.seek(LENGTH_BYTES)
            file.write(text.ljust(length))
