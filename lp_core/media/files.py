"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def appearing_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, and rename it to `path` when all went well.

    When the block raises, nothing is left behind and what stood at `path` before is untouched. The temporary
    name keeps the suffix of `path`, since libraries choose the container by it.

    Raises:
        FileNotFoundError: the folder does not exist.
        PermissionError: the folder cannot be written to.
    """
    target, folder = Path(path), folder_of(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=f".part{target.suffix}", dir=folder)
    except OSError as error:
        raise PermissionError(f"Cannot write {target}: the folder {folder} is not writable.") from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(file_mode())
        part.replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise


def folder_of(path: str | os.PathLike[str]) -> Path:
    """The folder that a file can be written to.

    Raises:
        FileNotFoundError: it does not exist.
    """
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"Cannot write {Path(path)}: the folder {folder} does not exist. Make it first.")
    return folder


def file_mode() -> int:
    """The mode of new files by the process's mask, which mkstemp ignores (reading it means setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
