"""Download of published files from the Hub: resumed, verified, renamed when complete."""

import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .registry import HUB, PublishedFile, WeightEntry, incompleteness, sha256_of

Report = Callable[[int, int | None], None]
"""Called with the bytes received and the total bytes (None: unknown). May raise, to stop the download."""


class DownloadError(OSError):
    """A file could not be downloaded; the message names the file, the reason and a remedy."""


def download(
    entry: WeightEntry,
    folder: Path,
    *,
    endpoint: str | None = None,
    offline: bool | None = None,
    report: Report | None = None,
) -> Path:
    """Downloads an entry's file into a models folder and returns its path.

    The bytes are written to a `.part` file beside the target, which is renamed to the target once size and checksum
    are right; an interrupted download is resumed from it. A file of the wrong size or checksum is deleted.

    Args:
        entry: the weights to download.
        folder: the models folder; created if missing.
        endpoint: a mirror of the Hub, such as "https://hf-mirror.com"; None uses the environment's
            HF_ENDPOINT, else the Hub itself.
        offline: True never uses the network; None uses the environment's HF_HUB_OFFLINE.
        report: called with the progress; may raise to stop, which keeps the bytes received.

    Raises:
        DownloadError: offline, no connection, or the file is not the published one.
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
    """More bytes were received than were published."""


class _Growing(io.FileIO):
    """A file that is appended to, reports its length, and raises _OverlongError beyond its expected size."""

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
    """Appends the missing bytes of `url` to `part`; newer Hub libraries retry when the connection breaks."""
    from huggingface_hub.file_download import http_get

    if part.exists() and size is not None and part.stat().st_size > size:
        part.unlink()
    with _Growing(part, size, report) as file:
        if file.tell() != size:
            with suppress(_OverlongError):  # its size is checked by the caller
                http_get(url, file, resume_size=file.tell(), headers={"Accept-Encoding": "identity"})


def _resolved(published: PublishedFile, endpoint: str | None) -> tuple[PublishedFile, str]:
    """Returns the file with size and checksum, requested from the Hub where unknown, and its address."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    base = (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    url = hf_hub_url(published.repository, published.path, revision=published.revision, endpoint=base)
    if published.size is not None and published.sha256 is not None:
        return published, url
    metadata = get_hf_file_metadata(url, token=False)
    is_checksum = re.fullmatch("[0-9a-f]{64}", metadata.etag or "") is not None
    sha256 = published.sha256 or (metadata.etag if is_checksum else None)
    size = published.size if published.size is not None else metadata.size
    return PublishedFile(published.repository, published.revision, published.path, size, sha256), url


def _mismatch(path: Path, published: PublishedFile) -> str:
    """Returns how a file differs from the published one, as a phrase for messages; empty when it does not."""
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
    """Returns the exceptions of failed transfers; the HTTP library depends on the Hub library's version."""
    loaded = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return (OSError, *(module.HTTPError for module in loaded if module is not None))
