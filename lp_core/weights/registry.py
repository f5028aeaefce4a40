"""Published weight files: what an entry is, and whether its file is here and whole."""

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
    """A file on the Hugging Face Hub, at a fixed revision, so that its checksum stays true."""

    repository: str
    """Owner and name."""
    revision: str
    """Commit, 40 hex digits; a branch where no commit is known, then the checksum alone tells the file."""
    path: str
    """Inside the repository."""
    size: int | None = None
    """Bytes; None where we do not know."""
    sha256: str | None = None
    """Hex digest; None where we do not know, then the Hub's own is used while downloading."""

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"{HUB}/{self.repository}/resolve/{self.revision}/{self.path}"


@dataclass(frozen=True)
class WeightEntry:
    """One set of weights."""

    name: str
    """Unique, in plain words joined by slashes."""
    purpose: str
    """What it is for, in one line."""
    licence: str
    """Its licence's short name."""
    commercial_use: bool
    """Whether the licence allows it."""
    published: tuple[PublishedFile, ...]
    """The same weights in the formats they are published in; the first is the one we download."""
    places: tuple[str, ...]
    """Where in a models folder the file may lie, best first; the first is where a download goes."""


def hub_entry(
    family: str,
    name: str,
    purpose: str,
    licence: str,
    published: PublishedFile,
    folder: str | None = None,
    others: tuple[str, ...] = (),
) -> WeightEntry:
    """An entry for commercial use whose file lies as the Hub's repository has it, or by itself.

    Args:
        family: whose networks these are; begins the entry's name.
        name: of the entry within the family.
        purpose: what it is for, in one line.
        licence: its short name.
        published: the file on the Hub.
        folder: within a models folder, of all of the repository's files; `family` when None.
        others: more places in a models folder, after those.
    """
    path = published.path
    file = path.rsplit("/", 1)[-1]
    places = (f"{folder or family}/{path}", path, file, *others)
    return WeightEntry(f"{family}/{name}", purpose, licence, True, (published,), places)


class State(Enum):
    """How a set of weights stands on this machine."""

    PRESENT = "present"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Finding:
    """What was found of one entry."""

    entry: WeightEntry
    state: State
    path: Path | None
    """The file; None when missing."""
    remark: str = ""
    """Why it counts as damaged, or how it differs from what is published; empty when there is nothing to say."""


def check(entry: WeightEntry, folders: Iterable[Path], *, verify: bool = False) -> Finding:
    """How an entry stands in the models folders: the first whole file in the order of its places, if any.

    Always looks whether the file is complete, which takes milliseconds. `verify` also computes its checksum
    where the published one is known (about a second per 500 MB). A whole file of another size than published,
    such as a half-precision conversion, is present, with a remark.
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
    """The entries with these names, or whose names begin with them: `joyvasa` is all of `joyvasa/…`.

    Raises:
        ValueError: a name that no entry has.
    """
    unknown = [name for name in names if not any(_is_meant(entry, name) for entry in entries)]
    if unknown:
        known = ", ".join(entry.name for entry in entries)
        raise ValueError(f"There are no weights called {', '.join(unknown)}; choose from {known}.")
    return [entry for entry in entries if any(_is_meant(entry, name) for name in names)]


def _is_meant(entry: WeightEntry, name: str) -> bool:
    return entry.name == name or entry.name.startswith(f"{name.rstrip('/')}/")


def searched(folders: Sequence[Path]) -> str:
    """The models folders that something was not found in, as a sentence names them."""
    return " or ".join(str(folder) for folder in folders) or "a models folder, of which none was given"


def first_file(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first file by one of the names, best folder first; None where there is none."""
    places = (folder / name for folder in folders for name in names)
    return next((place for place in places if place.is_file()), None)


def lacking(entries: Iterable[WeightEntry], folders: Sequence[Path]) -> str:
    """Which entries are missing or damaged in the models folders, as a phrase; empty when all are there."""
    return _unusable(check(entry, folders) for entry in entries)


def whole_files(entries: Sequence[WeightEntry], folders: Sequence[Path], whose: str, advice: str) -> list[str]:
    """The files of all entries in the models folders.

    Args:
        entries: what is needed.
        folders: models folders, best first.
        whose: weights, as an error names them: "Ditto's".
        advice: what an error tells the user to do.

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
    """The published files of the same format."""
    return [published for published in entry.published if published.path.endswith(path.suffix)]


def _checksum_fault(path: Path, entry: WeightEntry) -> str:
    """Whether a file as long as the published one has other bytes."""
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
    """Why a file of the format that `suffix` names cannot be whole; empty when its container speaks for it."""
    with path.open("rb") as file:
        start = file.read(8)
    if suffix == ".safetensors":
        return _safetensors_fault(path, int.from_bytes(start, "little"))
    if suffix in (".pth", ".pt"):
        whole = _is_whole_zip(path) if start.startswith(b"PK") else start.startswith(PICKLE_START)
        return "" if whole else "it is cut short, or not a checkpoint at all"
    return "" if start else "it is empty"


def _is_whole_zip(path: Path) -> bool:
    """Whether the directory, which stands at an archive's end, can be read."""
    try:
        zipfile.ZipFile(path).close()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return False
    return True


def _safetensors_fault(path: Path, header_length: int) -> str:
    """The header tells where the last tensor ends, and so how long the file must be."""
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
    """The SHA-256 checksum of a file, hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
