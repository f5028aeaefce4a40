"""Fetching published files from the Hub: resumed, verified, renamed when whole."""

import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .registry import HUB, PublishedFile, WeightEntry, incompleteness, sha256_of

Report = Callable[[int, int | None], None]
"""Told the bytes that have arrived and the bytes in all (None: not known). May raise, to stop the download."""


class DownloadError(OSError):
    """A file could not be fetched; the message says which, why and what to do."""


def download(
    entry: WeightEntry,
    folder: Path,
    *,
    endpoint: str | None = None,
    offline: bool | None = None,
    report: Report | None = None,
) -> Path:
    """Fetch an entry's file into a models folder and give its path.

    The bytes go to a `.part` file beside the target, which takes the target's name once size and checksum are
    right; a download that broke off goes on from there. A file of the wrong size or checksum is deleted.

    Args:
        entry: what to fetch.
        folder: the models folder; made if need be.
        endpoint: a mirror of the Hub, such as "https://hf-mirror.com"; None takes the environment's
            HF_ENDPOINT, else the Hub itself.
        offline: True never touches the network; None takes the environment's HF_HUB_OFFLINE.
        report: told about progress; may raise to stop, which keeps what has arrived.

    Raises:
        DownloadError: offline, no connection, or the file is not what was published.
    """
    published, target = entry.published[0], folder / entry.places[0]
    by_hand = f"or fetch {published.url} yourself and save it as {target}"
    if _is_offline(offline):
        raise DownloadError(f"{entry.name} is missing and downloads are switched off: switch them on, {by_hand}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        published, url = _resolved(published, endpoint)
        _transfer(url, part, published.size, report)
    except _transport_errors() as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DownloadError(
            f"{entry.name} could not be downloaded ({reason}). Try again, which goes on from where it stopped; "
            f"set HF_ENDPOINT to a mirror; {by_hand}."
        ) from error
    fault = _mismatch(part, published)
    if fault:
        part.unlink()
        raise DownloadError(f"What {url} gave for {entry.name} {fault}, so it was deleted: try again, {by_hand}.")
    part.replace(target)
    return target


class _OverlongError(Exception):
    """More has arrived than was published."""


class _Growing(io.FileIO):
    """A file that is appended to, tells how long it has become, and never takes more than it should."""

    def __init__(self, path: Path, size: int | None, report: Report | None):
        super().__init__(path, "ab")
        self.size = size
        self.report = report

    def write(self, data, /) -> int:
        written = super().write(data)
        if self.size is not None and self.tell() > self.size:
            raise _OverlongError
        if self.report is not None:
            self.report(self.tell(), self.size)
        return written


def _transfer(url: str, part: Path, size: int | None, report: Report | None) -> None:
    """Append to `part` what it lacks of `url`; newer Hub libraries try again when the connection breaks."""
    from huggingface_hub.file_download import http_get

    if part.exists() and size is not None and part.stat().st_size > size:
        part.unlink()
    with _Growing(part, size, report) as file:
        if file.tell() != size:
            with suppress(_OverlongError):  # its size will speak for it
                http_get(url, file, resume_size=file.tell(), headers={"Accept-Encoding": "identity"})


def _resolved(published: PublishedFile, endpoint: str | None) -> tuple[PublishedFile, str]:
    """The file with its size and checksum, asked for where we do not know them, and its address."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    base = (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    url = hf_hub_url(published.repository, published.path, revision=published.revision, endpoint=base)
    if published.size is not None and published.sha256 is not None:
        return published, url
    told = get_hf_file_metadata(url, token=False)
    is_checksum = re.fullmatch("[0-9a-f]{64}", told.etag or "") is not None
    sha256 = published.sha256 or (told.etag if is_checksum else None)
    size = published.size if published.size is not None else told.size
    return PublishedFile(published.repository, published.revision, published.path, size, sha256), url


def _mismatch(path: Path, published: PublishedFile) -> str:
    """How a file differs from what it should be, as the end of a sentence; empty when it does not."""
    size = path.stat().st_size
    if published.size is not None and size != published.size:
        return f"has {size} bytes instead of {published.size}"
    if published.sha256 is not None and sha256_of(path) != published.sha256:
        return "has a wrong SHA-256 checksum"
    return incompleteness(path, Path(published.path).suffix)


def _is_offline(offline: bool | None) -> bool:
    if offline is not None:
        return offline
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the Hub's library raises when a transfer fails; which HTTP library it uses depends on its version."""
    loaded = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return (OSError, *(module.HTTPError for module in loaded if module is not None))
