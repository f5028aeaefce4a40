"""Published weight files: their entries, and checks that a local file is present and complete."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

HUB = "https://huggingface.co"
PICKLE_START = b"\x80"  # of a .pth from before torch used zip archives
CHUNK = 1 << 20  # bytes hashed at a time
LONGEST_HEADER = 100_000_000  # bytes; the safetensors library refuses longer ones


@dataclass(frozen=True)
class PublishedFile:
    """A file on the Hugging Face Hub, at a fixed revision, so that its checksum stays valid."""

    repository: str
    """Owner and name."""
    revision: str
    """Commit, 40 hex digits; a branch where no commit is known, then only the checksum identifies the file."""
    path: str
    """Path inside the repository."""
    size: int | None = None
    """Bytes; None when unknown."""
    sha256: str | None = None
    """Hex digest; None when unknown, then the Hub's own is used for the download."""

    @property
    def url(self) -> str:
        """The file's address for a browser."""
        return f"{HUB}/{self.repository}/resolve/{self.revision}/{self.path}"


@dataclass(frozen=True)
class WeightEntry:
    """One set of weights."""

    name: str
    """Unique name: plain words joined by slashes."""
    purpose: str
    """Purpose, in one line."""
    licence: str
    """Short name of the licence."""
    commercial_use: bool
    """Whether the licence allows commercial use."""
    published: tuple[PublishedFile, ...]
    """The same weights in each published format; the first is the one that is downloaded."""
    places: tuple[str, ...]
    """Paths of the file within a models folder, in order of preference; a download goes to the first."""


def hub_entry(
    family: str,
    name: str,
    purpose: str,
    licence: str,
    published: PublishedFile,
    folder: str | None = None,
    others: tuple[str, ...] = (),
) -> WeightEntry:
    """Returns an entry for commercial use; its file is stored under the Hub's path, or by its bare name.

    Args:
        family: the networks' project; the first part of the entry's name.
        name: of the entry within the family.
        purpose: of the weights, in one line.
        licence: short name.
        published: the file on the Hub.
        folder: folder of the repository's files within a models folder; `family` when None.
        others: further paths within a models folder, after those.
    """
    path = published.path
    file = path.rsplit("/", 1)[-1]
    places = (f"{folder or family}/{path}", path, file, *others)
    return WeightEntry(f"{family}/{name}", purpose, licence, True, (published,), places)


class State(Enum):
    """The state of a set of weights on this machine."""

    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Finding:
    """The result of the check of one entry."""

    entry: WeightEntry
    state: State
    path: Path | None
    """The file; None when missing."""
    remark: str = ""
    """Why it is damaged, or how it differs from the published file; empty without a remark."""


def check(entry: WeightEntry, folders: Iterable[Path], *, verify: bool = False) -> Finding:
    """Returns the state of an entry in the models folders: its first complete file in order of preference, if any.

    Always checks that the file is complete, which takes milliseconds. `verify` also computes its checksum where the
    published one is known (about a second per 500 MB). A complete file of another size than published, such as a
    half-precision conversion, is present, with a remark.
    """
    searched = list(folders)
    damaged = None
    for path in (folder / place for place in entry.places for folder in searched):
        if not path.is_file():
            continue
        fault = incompleteness(path, path.suffix) or (_checksum_fault(path, entry) if verify else "")
        if not fault:
            return Finding(entry, State.PRESENT, path, _difference(path, entry))
        damaged = damaged or Finding(entry, State.DAMAGED, path, fault)
    return damaged or Finding(entry, State.MISSING, None)


def entries_named(entries: Sequence[WeightEntry], names: Sequence[str]) -> list[WeightEntry]:
    """Returns the entries with these names or below them: `joyvasa` selects all of `joyvasa/…`.

    Raises:
        ValueError: a name that selects no entry.
    """
    unknown = [name for name in names if not any(_is_meant(entry, name) for entry in entries)]
    if unknown:
        known = ", ".join(entry.name for entry in entries)
        raise ValueError(f"There are no weights called {', '.join(unknown)}; choose from {known}.")
    return [entry for entry in entries if any(_is_meant(entry, name) for name in names)]


def _is_meant(entry: WeightEntry, name: str) -> bool:
    return entry.name == name or entry.name.startswith(f"{name.rstrip('/')}/")


def searched(folders: Sequence[Path]) -> str:
    """Returns the models folders that were searched, as a phrase for messages."""
    return " or ".join(str(folder) for folder in folders) or "a models folder, of which none was given"


def first_file(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """Returns the first existing file of the names, in the order of the folders; None where there is none."""
    places = (folder / name for folder in folders for name in names)
    return next((place for place in places if place.is_file()), None)


def lacking(entries: Iterable[WeightEntry], folders: Sequence[Path]) -> str:
    """Returns the missing or damaged entries, as a phrase for messages; empty when all are present."""
    return _unusable(check(entry, folders) for entry in entries)


def whole_files(entries: Sequence[WeightEntry], folders: Sequence[Path], whose: str, advice: str) -> list[str]:
    """Returns the complete files of all entries in the models folders, in the order of the entries.

    Args:
        entries: the weights that are needed.
        folders: models folders, in order of preference.
        whose: the family in the possessive, for the error's message: "Ditto's".
        advice: the remedy in the error's message.

    Raises:
        FileNotFoundError: a file is missing or damaged; the message names each.
    """
    findings = [check(entry, folders) for entry in entries]
    unusable = _unusable(findings)
    if unusable:
        raise FileNotFoundError(f"{whose} weights are not complete in {searched(folders)}: {unusable}. {advice}")
    return [str(found.path) for found in findings]


def _unusable(findings: Iterable[Finding]) -> str:
    return "; ".join(_told(found) for found in findings if found.state is not State.PRESENT)


def _told(found: Finding) -> str:
    remark = f" ({found.remark})" if found.remark else ""
    return f"{found.entry.name} is {found.state.value}{remark}"


def _published_alike(path: Path, entry: WeightEntry) -> list[PublishedFile]:
    """Returns the published files of the same format."""
    return [published for published in entry.published if published.path.endswith(path.suffix)]


def _checksum_fault(path: Path, entry: WeightEntry) -> str:
    """Returns the fault of a file of the published size with another checksum; empty without one."""
    size = path.stat().st_size
    sums = [file.sha256 for file in _published_alike(path, entry) if file.size in (None, size) and file.sha256]
    return "" if not sums or sha256_of(path) in sums else "its SHA-256 checksum is not the published one"


def _difference(path: Path, entry: WeightEntry) -> str:
    size = path.stat().st_size
    sizes = [file.size for file in _published_alike(path, entry)]
    if not sizes or None in sizes or size in sizes:
        return ""
    return f"not the published file: {size} bytes instead of {sizes[0]}"


def incompleteness(path: Path, suffix: str) -> str:
    """Returns why a file, of the format that `suffix` names, is incomplete; empty when its container is intact."""
    with path.open("rb") as file:
        start = file.read(8)
    if suffix == ".safetensors":
        return _safetensors_fault(path, int.from_bytes(start, "little"))
    if suffix in (".pth", ".pt"):
        whole = _is_whole_zip(path) if start.startswith(b"PK") else start.startswith(PICKLE_START)
        return "" if whole else "it is cut short, or not a checkpoint at all"
    return "" if start else "it is empty"


def _is_whole_zip(path: Path) -> bool:
    """Returns whether the archive's directory, which is at its end, can be read."""
    try:
        zipfile.ZipFile(path).close()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return False
    return True


def _safetensors_fault(path: Path, header_length: int) -> str:
    """Returns the fault of a safetensors file, whose header gives the end of its last tensor; empty without one."""
    size, data_start = path.stat().st_size, 8 + header_length
    if data_start > size or header_length > LONGEST_HEADER:
        return "it is cut short, or not a safetensors file at all"
    with path.open("rb") as file:
        file.seek(8)
        header = file.read(header_length)
    try:
        tensors = [value for key, value in json.loads(header).items() if key != "__metadata__"]
        end = data_start + max((tensor["data_offsets"][1] for tensor in tensors), default=0)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError):
        return "its header is not that of a safetensors file"
    return "" if end == size else f"it has {size} bytes, but its header tells of {end}"


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 checksum of a file, as hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
