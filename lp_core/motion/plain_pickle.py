"""A reader for pickles of plain data that executes no code from the file.

A pickle is a program. This reader permits only dictionaries, lists, tuples, numbers, text, bytes and inert
stand-ins for numpy's arrays and types; any other name in the file is an error. Nothing in the file is passed to
numpy before it has been checked.
"""

import io
import math
import os
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_FILE = 256 * 2**20  # bytes; an hour of motion is about 30 MB
LARGEST_SIDE = 10_000_000  # of an array
NUMBER = re.compile(r"[<>=|]?([biuf])([1248])")

# The permitted global names, with numpy 1's `numpy.core` for numpy 2's `numpy._core`.
ADMITTED = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }
)

# Exceptions that Python's unpickler raised in tests with truncated, altered and malicious files.
UNREADABLE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    RecursionError,
    ImportError,
)


def read_plain_pickle(path: str | os.PathLike[str]) -> Any:
    """The content of a pickle of plain data; its arrays are `PickledArray`s.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is too large, damaged, or refers to anything else; no code of it has been run.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file {file}.")
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file} has {file.stat().st_size} bytes; at most {LARGEST_FILE} are read.")
    try:
        return _Reader(io.BytesIO(file.read_bytes())).load()
    except UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{file} cannot be read as plain data, and nothing else is read for safety: {reason}"
        ) from error


class _Reader(pickle.Unpickler):
    """An unpickler that resolves global names to inert stand-ins only."""

    def find_class(self, module: str, name: str, /) -> Any:
        """The stand-in of a permitted name; raises for any other."""
        plain = module.replace("numpy._core", "numpy.core")
        if (plain, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which motion has no use for.")
        return _Name(name)


@dataclass(frozen=True)
class _Name:
    """A global name of numpy; calling it returns a stand-in for numpy's result."""

    name: str

    def __call__(self, *given: Any) -> Any:
        """The stand-in of the call's result, made from checked values only."""
        match self.name, given:
            case "_reconstruct", (_Name(name="ndarray"), *_):
                return PickledArray()
            case "_frombuffer", (bytes() | bytearray() as data, _Type() as kind, tuple() as shape, str() as order):
                return PickledArray(shape, kind, order == "F", bytes(data))
            case "scalar", (_Type() as kind, bytes() as data):
                return PickledArray((), kind, False, data)
            case "dtype", (str() as code, *_):
                return _Type(code)
            case "encode", (str() as text, str() as encoding):
                return text.encode("latin1" if encoding == "latin1" else "ascii")
        raise pickle.UnpicklingError(f"it makes something of {self.name} that motion has no use for.")

    def __setstate__(self, state: Any) -> None:
        """Raises: the state of names cannot be set."""
        raise pickle.UnpicklingError(f"it tries to change {self.name}.")


@dataclass
class _Type:
    """A type of numbers, as in "f4", and its byte order."""

    code: str
    order: str = "="

    def __setstate__(self, state: Any) -> None:
        """Sets the byte order; numpy's state is (version, order, …)."""
        match state:
            case (int(), str() as order, *_):
                self.order = order
            case _:
                raise pickle.UnpicklingError("it holds a malformed type of numbers.")

    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype; raises for other than plain numbers."""
        found = NUMBER.fullmatch(self.code)
        if found is None or self.order not in "<>=|":
            raise pickle.UnpicklingError(f"it holds values of type {self.code[:20]!r}, expected numbers.")
        order = self.code[0] if self.code[0] in "<>" else self.order
        return np.dtype(f"{order if order in '<>' else '='}{found[1]}{found[2]}")


@dataclass
class PickledArray:
    """The parts of an array, as stored in the file."""

    shape: tuple[Any, ...] = ()
    kind: _Type = field(default_factory=lambda: _Type("f4"))
    fortran: bool = False
    data: bytes = b""

    def __setstate__(self, state: Any) -> None:
        """Sets the parts; numpy's state is (version, shape, type, Fortran order, bytes)."""
        match state:
            case (int(), tuple() as shape, _Type() as kind, bool() | int() as fortran, bytes() as data):
                self.shape, self.kind, self.fortran, self.data = shape, kind, bool(fortran), data
            case _:
                raise pickle.UnpicklingError("it holds a malformed array.")

    def numpy(self) -> np.ndarray:
        """The values, as a new array.

        Raises:
            pickle.UnpicklingError: the values are not plain numbers, or their number does not match the shape.
        """
        if not all(type(side) is int and 0 <= side <= LARGEST_SIDE for side in self.shape) or len(self.shape) > 8:
            raise pickle.UnpicklingError(f"it holds an array of the impossible shape {self.shape}.")
        kind = self.kind.numpy()
        if math.prod(self.shape) * kind.itemsize != len(self.data):
            raise pickle.UnpicklingError(f"it holds {len(self.data)} bytes for an array of shape {self.shape}.")
        values = np.frombuffer(self.data, kind)
        return values.reshape(self.shape, order="F" if self.fortran else "C").astype(kind.newbyteorder("="))
