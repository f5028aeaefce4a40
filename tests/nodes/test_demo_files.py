"""The demo files of example workflows in ComfyUI's input folder."""

import errno
import json
from pathlib import Path

import pytest
from conftest import ROOT
from host import Host, load_as_comfyui
from test_workflows import DEMO_FOLDER

from talking_head.nodes import demo_files, templates

PACK = load_as_comfyui()


@pytest.fixture
def folder(tmp_path):
    """The input folder of a stand-in for ComfyUI, empty."""
    with Host(tmp_path, PACK) as host:
        yield host.folders["input"]


def copied(*names: object) -> list[str]:
    return demo_files.answer(json.dumps({"files": names}).encode())["copied"]


def test_all_demo_files_of_the_pack_are_known():
    assert sorted(demo_files.DEMO_FILES) == sorted(path.name for path in DEMO_FOLDER.iterdir() if path.is_file())


def test_files_are_copied_once_and_whole(folder):
    assert copied("demo_speech.wav", "demo_portrait.jpg") == ["demo_portrait.jpg", "demo_speech.wav"]
    assert copied("demo_speech.wav", "demo_clip.mp4") == ["demo_clip.mp4"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "demo_clip.mp4",
        "demo_portrait.jpg",
        "demo_speech.wav",
    ]
    for path in folder.iterdir():
        assert path.read_bytes() == (DEMO_FOLDER / path.name).read_bytes()


def test_a_user_s_file_of_that_name_stays(folder):
    (folder / "demo_portrait.jpg").write_bytes(b"mine")
    (folder / "demo_clip.mp4").mkdir()
    (folder / "demo_speech.wav").symlink_to(folder / "not there")
    assert copied(*demo_files.DEMO_FILES) == ["demo_pair.jpg", "demo_answer.wav"]
    assert (folder / "demo_portrait.jpg").read_bytes() == b"mine"
    assert not (folder / "not there").exists()


@pytest.mark.parametrize(
    "names",
    [
        ["demo_portrait.png"], ["../demo_portrait.jpg"], ["api/talking_portrait.json"], ["/etc/passwd"], [""],
        [None], [["demo_portrait.jpg"]], ["demo_portrait.jpg", "demo_portrait.jpg/../../__init__.py"],
    ],
)  # fmt: skip
def test_other_names_are_refused_and_nothing_is_copied(folder, names):
    with pytest.raises(ValueError, match=r"demo_portrait\.jpg, demo_pair\.jpg"):
        copied(*names)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"files": "demo_portrait.jpg"}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_refused(folder, body):
    with pytest.raises(ValueError, match="request"):
        demo_files.answer(body)
    assert not list(folder.iterdir())


def test_a_full_disk_leaves_no_part_and_the_error_names_no_path(folder, monkeypatch):
    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

        def close(self):
            self.file.close()

        def write(self, content):
            self.file.write(content[:100])
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode: Full(opened(path, mode)) if mode == "xb" else opened(path, mode)
    )
    with pytest.raises(ValueError, match=r"demo_portrait\.jpg cannot .*: No space left on device\.") as caught:
        copied("demo_portrait.jpg")
    assert str(folder) not in str(caught.value)
    assert not list(folder.iterdir())


def test_the_page_gets_a_picture_beside_every_template(tmp_path):
    """By the address that the page asks, whatever the pack's folder is called."""
    with Host(tmp_path) as host:
        load_as_comfyui()
        (route,) = (route for route in host.routes if route.method == "GET")
    assert route.path == f"/workflow_templates/{ROOT.name}/{{name}}.jpg"
    assert set(templates.PICTURES) == {path.stem for path in templates.FOLDER.glob("*.json")}
