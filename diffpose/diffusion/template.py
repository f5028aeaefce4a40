"""Reader of JoyVASA's motion template, the statistics of its motion vectors, that runs no code from the pickle.

The published file is a pickled dictionary of numpy arrays. The reader allows only the types in such a file.
"""

import os
import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...lp_core.liveportrait.checkpoint import CheckpointError
from .normalise import JoyvasaSpace

ARRAY_PARTS = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
    | {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")}
    | {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles plain values and numpy arrays only."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        if (module_name, global_name) not in ARRAY_PARTS:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def load_joyvasa_space(path: str | os.PathLike[str]) -> JoyvasaSpace:
    """The space of JoyVASA's motion_template.pkl.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything but the template's arrays.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            content = _ArrayUnpickler(opened).load()
    except FileNotFoundError as error:
        raise CheckpointError(
            f"The motion template {file} does not exist. It belongs beside JoyVASA's network."
        ) from error
    except Exception as error:  # a damaged pickle may raise any exception
        raise CheckpointError(f"{file} is not read: it is damaged or holds more than arrays ({error}).") from error
    try:
        return JoyvasaSpace.from_template(_tensors(content))
    except ValueError as error:
        raise CheckpointError(f"{file} is not JoyVASA's: {error}") from error


def _tensors(content: object) -> dict[str, Tensor]:
    """The numeric arrays of a template."""
    entries = content.items() if isinstance(content, dict) else ()
    return {
        str(name): torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in entries
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f"
    }
