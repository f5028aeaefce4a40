"""The registry as data, the check of files on disk, and downloads from a server on this machine."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from talking_head.lp_core.liveportrait.checkpoint import NETWORKS
from talking_head.lp_core.liveportrait.entries import ANIMAL, HUMAN, LANDMARKS, LIVEPORTRAIT
from talking_head.lp_core.weights.download import DownloadError, download
from talking_head.lp_core.weights.registry import PublishedFile, State, WeightEntry, check

CONTENT = save({"values": torch.arange(50_000, dtype=torch.float32)})
BIG = save({"values": torch.arange(3_000_000, dtype=torch.float32)})  # longer than the Hub library's 10 MB chunks
REVISION = "0123456789abcdef0123456789abcdef01234567"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(
    name: str = "net", size: int | None = len(CONTENT), checksum: str | None = sha256(CONTENT)
) -> WeightEntry:
    return WeightEntry(
        name=name,
        purpose="a test",
        licence="MIT",
        commercial_use=True,
        published=(PublishedFile("someone/something", REVISION, f"{name}.safetensors", size, checksum),),
        places=(f"{name}.safetensors", f"base_models/{name}.pth"),
    )


def test_registry_is_sound():
    names = [item.name for item in LIVEPORTRAIT]
    assert len(set(names)) == len(names)
    places = [place for item in LIVEPORTRAIT for place in item.places]
    assert len(set(places)) == len(places)
    for item in LIVEPORTRAIT:
        assert item.licence == "MIT"
        assert item.commercial_use
        assert Path(item.places[0]).suffix == Path(item.published[0].path).suffix
        assert not item.places[0].startswith("..")
        for file in item.published:
            assert re.fullmatch("[0-9a-f]{40}", file.revision)
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert file.url.startswith(f"https://huggingface.co/{file.repository}/resolve/{file.revision}/")
    sums = [file.sha256 for item in LIVEPORTRAIT for file in item.published if file.sha256]
    assert len(set(sums)) == len(sums)


def test_registry_has_every_network_for_people_and_animals():
    published = [network.published_name for network in NETWORKS]
    for group in (HUMAN, ANIMAL):
        assert sorted(item.name.rsplit("/", 1)[-1] for item in group) == sorted(published)
    assert HUMAN[-1] is ANIMAL[-1]  # animals are stitched by the human network
    assert {*HUMAN, *ANIMAL, LANDMARKS} == set(LIVEPORTRAIT)


def test_published_sizes_leave_room_for_the_parameters():
    values = {"appearance_feature_extractor": 836_224 + 1_664, "motion_extractor": 28_118_728}
    values |= {"warping_module": 45_529_829 + 6_754, "spade_generator": 55_365_388 + 72_960}
    values["stitching_retargeting_module"] = 45_249 + 37_311 + 144_703
    for item in HUMAN:
        converted, original = item.published
        tensors = 4 * values[item.name.rsplit("/", 1)[-1]]
        assert tensors < converted.size < tensors + 30_000  # a header of at most 212 keys
        assert converted.size < original.size


def put(folder: Path, place: str, content: bytes) -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_missing_present_and_where(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert check(entry(), [first, second]).state is State.MISSING
    torch_file = tmp_path / "x.pth"
    torch.save({"values": torch.zeros(2)}, torch_file)
    old = put(first, "base_models/net.pth", torch_file.read_bytes())
    assert check(entry(), [first, second]).path == old
    new = put(second, "net.safetensors", CONTENT)
    finding = check(entry(), [first, second], verify=True)
    assert (finding.state, finding.path, finding.remark) == (State.PRESENT, new, "")


@pytest.mark.parametrize(
    "place",
    [
        "motion_extractor.safetensors",
        "motion_extractor.pth",
        "base_models/motion_extractor.pth",
        "liveportrait/base_models/motion_extractor.pth",
    ],
)
def test_human_files_are_found_in_every_known_layout(place, tmp_path):
    content = CONTENT if place.endswith(".safetensors") else b"\x80\x02whatever"
    path = put(tmp_path / "liveportrait", place, content)
    found = {check(item, [tmp_path / "liveportrait"]).path for item in LIVEPORTRAIT}
    assert found == {path, None}


@pytest.mark.parametrize(
    "place",
    [
        "liveportrait/animal/spade_generator.safetensors",
        "liveportrait/animal/spade_generator.pth",
        "liveportrait_animals/base_models_v1.1/spade_generator.pth",
        "liveportrait_animals/base_models/spade_generator.pth",
    ],
)
def test_animal_files_are_found_in_every_known_layout(place, tmp_path):
    (tmp_path / "liveportrait").mkdir()
    put(tmp_path, place, CONTENT if place.endswith(".safetensors") else b"\x80\x02whatever")
    found = [check(item, [tmp_path / "liveportrait"]) for item in LIVEPORTRAIT]
    assert [item.entry.name for item in found if item.path] == ["liveportrait/animal/spade_generator"]


@pytest.mark.parametrize(
    "content",
    [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[:100], b"version https://git-lfs.github.com/spec/v1\n", b"<html>"],
    ids=["empty", "one byte short", "one byte long", "header cut", "pointer", "page"],
)
def test_damaged_files_are_called_so(content, tmp_path):
    path = put(tmp_path, "net.safetensors", content)
    finding = check(entry(), [tmp_path])
    assert (finding.state, finding.path) == (State.DAMAGED, path)
    assert finding.remark


def test_a_pth_cut_short_is_damaged(tmp_path):
    whole = tmp_path / "whole.pth"
    torch.save({"values": torch.zeros(999)}, whole)
    put(tmp_path, "base_models/net.pth", whole.read_bytes()[:-30])
    assert check(entry(), [tmp_path]).state is State.DAMAGED


def test_a_whole_file_is_taken_before_a_damaged_one(tmp_path):
    put(tmp_path, "net.safetensors", CONTENT[:-1])
    whole = put(tmp_path, "base_models/net.pth", b"\x80\x02whatever")
    assert check(entry(), [tmp_path]).path == whole


def test_a_conversion_of_ones_own_is_present_with_a_remark(tmp_path):
    put(tmp_path, "net.safetensors", save({"values": torch.arange(50_000).half()}))
    finding = check(entry(), [tmp_path], verify=True)
    assert finding.state is State.PRESENT
    assert "not the published file" in finding.remark


def test_verifying_finds_a_changed_byte(tmp_path):
    put(tmp_path, "net.safetensors", CONTENT[:-1] + b"x")
    assert check(entry(), [tmp_path]).state is State.PRESENT
    finding = check(entry(), [tmp_path], verify=True)
    assert finding.state is State.DAMAGED
    assert "SHA-256" in finding.remark


@dataclass
class Hub:
    """A stand-in for the Hugging Face Hub."""

    files: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    """For each coming request of a body: after how many bytes the connection breaks."""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Method and Range header of every request."""
    url: str = ""

    def ranges(self) -> list[str | None]:
        return [range_ for method, range_ in self.requests if method == "GET"]


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            hub.requests.append((self.command, self.headers.get("Range")))
            content = hub.files.get(self.path)
            if content is None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", f'"{sha256(content)}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if with_body:
                end = start + hub.break_after.pop(0) if hub.break_after else len(content)
                self.wfile.write(content[start:end])
                self.close_connection = end < len(content)

    return Handler


@pytest.fixture
def hub(monkeypatch) -> Iterator[Hub]:
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def serve(hub: Hub, content: bytes = CONTENT, name: str = "net") -> None:
    hub.files[f"/someone/something/resolve/{REVISION}/{name}.safetensors"] = content


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_download_arrives_whole_and_is_reported(hub, tmp_path):
    serve(hub)
    reports = []
    path = download(entry(), tmp_path / "new", endpoint=hub.url, report=lambda *both: reports.append(both))
    assert path == tmp_path / "new" / "net.safetensors"
    assert path.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["net.safetensors"]
    assert reports[-1] == (len(CONTENT), len(CONTENT))
    assert check(entry(), [tmp_path / "new"], verify=True).state is State.PRESENT


def test_a_broken_connection_is_taken_up_again(hub, tmp_path):
    serve(hub, BIG)
    hub.break_after = [len(BIG) - 100]
    big = entry(size=len(BIG), checksum=sha256(BIG))
    with suppress(DownloadError):  # older versions of the Hub's library leave the second try to us
        download(big, tmp_path, endpoint=hub.url)
    path = tmp_path / big.places[0]
    assert (path if path.exists() else download(big, tmp_path, endpoint=hub.url)) == path
    assert path.read_bytes() == BIG
    first, second = hub.ranges()
    assert first is None
    assert re.fullmatch(r"bytes=[1-9]\d*-", second)


def test_a_stopped_download_goes_on_where_it_stopped(hub, tmp_path):
    serve(hub, BIG)
    part = put(tmp_path, "net.safetensors.part", BIG[:1000])
    big = entry(size=len(BIG), checksum=sha256(BIG))

    def stop(_done, _total):
        raise InterruptedError("stopped by the user")

    with pytest.raises(DownloadError, match="stopped by the user"):
        download(big, tmp_path, endpoint=hub.url, report=stop)
    assert files_in(tmp_path) == ["net.safetensors.part"]
    arrived = part.stat().st_size
    assert 1000 < arrived < len(BIG)
    assert BIG.startswith(part.read_bytes())
    assert download(big, tmp_path, endpoint=hub.url).read_bytes() == BIG
    assert hub.ranges() == ["bytes=1000-", f"bytes={arrived}-"]


def test_another_exception_of_the_reporter_passes_through(hub, tmp_path):
    serve(hub)

    class CancelledError(Exception):
        pass

    def cancel(_done, _total):
        raise CancelledError

    with pytest.raises(CancelledError):
        download(entry(), tmp_path, endpoint=hub.url, report=cancel)
    assert files_in(tmp_path) == ["net.safetensors.part"]


def test_a_part_that_is_already_whole_is_only_verified(hub, tmp_path):
    put(tmp_path, "net.safetensors.part", CONTENT)
    assert download(entry(), tmp_path, endpoint=hub.url).read_bytes() == CONTENT
    assert hub.requests == []


def test_a_part_that_is_too_long_is_started_afresh(hub, tmp_path):
    serve(hub)
    put(tmp_path, "net.safetensors.part", CONTENT + b"x")
    assert download(entry(), tmp_path, endpoint=hub.url).read_bytes() == CONTENT
    assert hub.ranges() == [None]


@pytest.mark.parametrize(
    ("served", "fault"),
    [
        (CONTENT[:-1], "instead of"),
        (CONTENT + b"x", "instead of"),
        (CONTENT * 20, "instead of"),
        (CONTENT[:-1] + b"x", "wrong SHA-256"),
    ],
    ids=["short", "long", "much too long", "other bytes"],
)
def test_a_wrong_file_is_refused_and_leaves_nothing(served, fault, hub, tmp_path):
    serve(hub, served)
    with pytest.raises(DownloadError, match=fault):
        download(entry(), tmp_path, endpoint=hub.url)
    assert files_in(tmp_path) == []


def test_a_wrong_file_leaves_an_existing_one_alone(hub, tmp_path):
    serve(hub, CONTENT[:-1] + b"x")
    old = put(tmp_path, "net.safetensors", b"old")
    with pytest.raises(DownloadError):
        download(entry(), tmp_path, endpoint=hub.url)
    assert old.read_bytes() == b"old"


def test_a_part_with_foreign_bytes_is_refused_once(hub, tmp_path):
    serve(hub)
    put(tmp_path, "net.safetensors.part", bytes(1000))
    with pytest.raises(DownloadError, match="SHA-256"):
        download(entry(), tmp_path, endpoint=hub.url)
    assert download(entry(), tmp_path, endpoint=hub.url).read_bytes() == CONTENT


def test_an_unknown_checksum_is_asked_of_the_hub(hub, tmp_path):
    serve(hub)
    unknown = entry(size=None, checksum=None)
    assert download(unknown, tmp_path, endpoint=hub.url).read_bytes() == CONTENT
    assert hub.requests[0][0] == "HEAD"
    put(tmp_path, "net.safetensors.part", bytes(1000))
    with pytest.raises(DownloadError, match="SHA-256"):
        download(unknown, tmp_path, endpoint=hub.url)


def test_a_file_the_server_does_not_have(hub, tmp_path):
    with pytest.raises(DownloadError, match=r"could not be downloaded .*404.* save it as .*net.safetensors"):
        download(entry(), tmp_path, endpoint=hub.url)
    with pytest.raises(DownloadError, match="could not be downloaded"):
        download(entry(checksum=None), tmp_path, endpoint=hub.url)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline_touches_no_network(by, hub, tmp_path, monkeypatch):
    serve(hub)
    if by == "environment":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"downloads are switched off.*save it as"):
        download(entry(), tmp_path / "none", endpoint=hub.url, offline=True if by == "argument" else None)
    assert hub.requests == []
    assert not (tmp_path / "none").exists()


def test_the_mirror_is_taken_from_the_environment(hub, tmp_path, monkeypatch):
    serve(hub)
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    assert download(entry(), tmp_path).read_bytes() == CONTENT


def test_entries_are_values():
    assert replace(entry(), name="other") != entry()
    assert hash(entry()) == hash(entry())
