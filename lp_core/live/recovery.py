"""Recordings that survive a full disk and a killed process: what was written until then can be played.

A recording is written in fragments under a hidden name beside its own, locked while its process lives; when it is
complete, it is renamed. An interrupted one is kept as NAME.recovered.mp4: immediately when writing fails; at the
start of the next recording in that folder when the process died.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..media.files import appearing_whole, file_mode, folder_of

PREFIX, MARK = ".", ".recording-"  # a recording of talk.mp4 is written as .talk.recording-x1y2z3.mp4
FRAGMENTED_SUFFIXES = (".mp4", ".mov")  # written in fragments, and joined into one piece when complete

_log = logging.getLogger(__name__)


@contextmanager
def surviving(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Context of a hidden path beside `path` to write a recording to; renamed to `path` when the block succeeds.

    When the block raises, the part written is kept at `recovered_path`, with a log line, and an existing file at
    `path` is untouched. Before, recordings of dead processes in that folder are kept in the same way.

    Raises:
        FileNotFoundError: the folder does not exist.
        PermissionError: the folder cannot be written to.
        OSError: raised by the block; the message names the file that was kept.
    """
    target = Path(path)
    recover_recordings(folder_of(path))
    with _locked_part(target) as part:
        try:
            yield part
        except OSError as error:
            kept = _keep(part, target)
            raise OSError(f"{error} What was recorded before is kept as {kept}." if kept else str(error)) from error
        except BaseException:
            _keep(part, target)
            raise
        _finish(part, target)


def recover_recordings(folder: Path) -> list[Path]:
    """Keeps the recordings of dead processes in a folder; returns their new paths."""
    recovered = []
    for part in sorted(folder.glob(f"{PREFIX}*{MARK}*")):
        name = part.name.removeprefix(PREFIX).partition(MARK)[0] + part.suffix
        with _lock(part) as is_free:
            if is_free and (kept := _keep(part, folder / name)) is not None:
                recovered.append(kept)
    return recovered


def recovered_path(path: Path) -> Path:
    """The path for an interrupted recording: NAME.recovered.mp4, or with the next free number."""
    number, free = 1, path.with_name(f"{path.stem}.recovered{path.suffix}")
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}.recovered-{number}{path.suffix}")
    return free


@contextmanager
def _locked_part(target: Path) -> Iterator[Path]:
    """Yields an empty file to record to, named once it is locked, so it is never taken for a dead process's."""
    try:
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=f".part{target.suffix}", dir=folder_of(target))
    except OSError as error:
        raise PermissionError(f"Cannot write {target}: its folder is not writable.") from error
    os.close(handle)
    unnamed = Path(name)
    token = unnamed.name.removeprefix(PREFIX).partition(".")[0]
    part = target.with_name(f"{PREFIX}{target.stem}{MARK}{token}{target.suffix}")
    with _lock(unnamed):
        unnamed.rename(part)
        yield part


@contextmanager
def _lock(part: Path) -> Iterator[bool]:
    """Holds a file's lock, which ends with the process at the latest; yields False when another process has it.

    Windows has no such locks and needs none: a file that is open for writing cannot be renamed there.
    """
    try:
        import fcntl
    except ImportError:
        yield True
        return
    try:
        handle = os.open(part, os.O_RDWR)
    except OSError:  # deleted meanwhile, or another user's
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def _finish(part: Path, target: Path) -> None:
    """Renames a complete recording to `target`; joined into one piece where the disk has room for it."""
    import av

    if target.suffix.lower() in FRAGMENTED_SUFFIXES:
        try:
            with appearing_whole(target) as joined:
                _join_fragments(part, joined)
            part.unlink()
            return
        except (av.FFmpegError, OSError) as error:
            _log.warning("%s stays in fragments (%s); most players take it all the same.", target, error)
    part.chmod(file_mode())
    part.replace(target)


def _join_fragments(part: Path, joined: Path) -> None:
    """Copies a fragmented file to an ordinary one with its index in front, without encoding anew."""
    import av

    from ..media.formats import MP4_OPTIONS

    with av.open(os.fspath(part)) as source, av.open(os.fspath(joined), "w", options=dict(MP4_OPTIONS)) as written:
        written.metadata.update(source.metadata)
        copies = {stream.index: written.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:  # the last ones are empty
                packet.stream = copies[packet.stream.index]
                written.mux(packet)


def _keep(part: Path, target: Path) -> Path | None:
    """Keeps and logs an interrupted recording; returns its path, or None, with no file, when it has no frames."""
    if not _has_frames(part):
        with suppress(OSError):  # on Windows: its process is still alive
            part.unlink()
        return None
    kept = recovered_path(target)
    try:
        part.chmod(file_mode())
        part.rename(kept)
    except OSError:  # on Windows: its process is still alive
        return None
    _log.warning("The recording %s was cut off; what there is of it was kept as %s.", target.name, kept)
    return kept


def _has_frames(part: Path) -> bool:
    import av

    try:
        with av.open(os.fspath(part)) as container:
            return next(container.decode(video=0), None) is not None
    except (av.FFmpegError, IndexError, OSError):
        return False
