"""Pickles of plain data, read without running anything that is in them.

A pickle is a program. This reader lets it make dictionaries, lists, tuples, numbers, text, bytes and inert values
that stand for numpy's arrays and types; any other name in the file stops the reading. Not even numpy sees what the
file says before it has been checked.
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

LARGEST_FILE = 256 * 2**20  # bytes; an hour of motion has about 30 MB
LARGEST_SIDE = 10_000_000  # of an array
NUMBER = re.compile(r"[<>=|]?([biuf])([1248])")

# The names a file may use, with numpy 1's `numpy.core` for numpy 2's `numpy._core`.
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

# What Python's unpickler has been seen to raise on files that are cut short, altered or hostile.
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
    """What a pickle of plain data holds; its arrays are `PickledArray`s.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is too large, damaged, or asks for anything else; nothing of it has been run.
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
    """An unpickler that finds none but inert stand-ins."""

    def find_class(self, module: str, name: str, /) -> Any:
        """A stand-in for an admitted name; asked for any other, the reading stops."""
        plain = module.replace("numpy._core", "numpy.core")
        if (plain, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which motion has no use for.")
        return _Name(name)


@dataclass(frozen=True)
class _Name:
    """A global of numpy's by name; calling it makes a stand-in for what numpy would make."""

    name: str

    def __call__(self, *given: Any) -> Any:
        """What the pickle asks for, from checked values only."""
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
        """Names are not to be changed."""
        raise pickle.UnpicklingError(f"it tries to change {self.name}.")


@dataclass
class _Type:
    """A type of numbers, as in "f4", and its byte order."""

    code: str
    order: str = "="

    def __setstate__(self, state: Any) -> None:
        """Take the byte order; numpy's state is (version, order, …)."""
        match state:
            case (int(), str() as order, *_):
                self.order = order
            case _:
                raise pickle.UnpicklingError("it holds a malformed type of numbers.")

    def numpy(self) -> np.dtype[Any]:
        """The type, if it is one of plain numbers."""
        found = NUMBER.fullmatch(self.code)
        if found is None or self.order not in "<>=|":
            raise pickle.UnpicklingError(f"it holds values of type {self.code[:20]!r}, expected numbers.")
        order = self.code[0] if self.code[0] in "<>" else self.order
        return np.dtype(f"{order if order in '<>' else '='}{found[1]}{found[2]}")


@dataclass
class PickledArray:
    """An array's parts as the file gives them."""

    shape: tuple[Any, ...] = ()
    kind: _Type = field(default_factory=lambda: _Type("f4"))
    fortran: bool = False
    data: bytes = b""

    def __setstate__(self, state: Any) -> None:
        """Take the parts; numpy's state is (version, shape, type, Fortran order, bytes)."""
        match state:
            case (int(), tuple() as shape, _Type() as kind, bool() | int() as fortran, bytes() as data):
                self.shape, self.kind, self.fortran, self.data = shape, kind, bool(fortran), data
            case _:
                raise pickle.UnpicklingError("it holds a malformed array.")

    def numpy(self) -> np.ndarray:
        """The values, in an array of their own.

        Raises:
            pickle.UnpicklingError: they are no plain numbers, or not as many as the shape says.
        """
        if not all(type(side) is int and 0 <= side <= LARGEST_SIDE for side in self.shape) or len(self.shape) > 8:
            raise pickle.UnpicklingError(f"it holds an array of the impossible shape {self.shape}.")
        kind = self.kind.numpy()
        if math.prod(self.shape) * kind.itemsize != len(self.data):
            raise pickle.UnpicklingError(f"it holds {len(self.data)} bytes for an array of shape {self.shape}.")
        values = np.frombuffer(self.data, kind)
        return values.reshape(self.shape, order="F" if self.fortran else "C").astype(kind.newbyteorder("="))
