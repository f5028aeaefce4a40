"""The stand-in of host.py and a real ComfyUI agree about our nodes, where a copy of it is at hand.

    COMFYUI_PATH=…/ComfyUI COMFYUI_PYTHON=…/bin/python python -m pytest tests/nodes/test_contract.py

COMFYUI_PYTHON has what ComfyUI and the pack require; it is this Python when not given. Nothing is written into the
copy: ComfyUI runs on a folder of its own, without a GPU.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from diffpose_goldens import write_small_diffusion
from host import ONLY_IN_THE_PAGE, Host, load_as_comfyui
from liveportrait_goldens import write_small_weights
from messages import FLAGS, heard, told_by_node
from page_server import PageServer
from test_workflows import WORKFLOWS, name_of, needs_networks, read, shipped_inputs, shortened, workflow_named

from talking_head.lp_core.media.video import read_video

COMFYUI = os.environ.get("COMFYUI_PATH")
pytestmark = pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH names no copy of ComfyUI")

PACK = load_as_comfyui()
START_SECONDS, RUN_SECONDS = 300, 600
SECONDS = 1.1  # of speech and clips
ALIKE = {*PACK.NODE_CLASS_MAPPINGS, "LoadImage", "LoadAudio", *ONLY_IN_THE_PAGE}
RUNNING = [  # without weights that the real one would need
    path
    for path in WORKFLOWS
    if not needs_networks(read(path)) and {node["type"] for node in read(path)["nodes"]} <= ALIKE
]
ONLY_NEWER = {"has_intermediate_output", "search_aliases"}  # told by newer versions only


class ComfyUI:
    """A real one on a folder; use it as a context manager."""

    def __init__(self, base: Path) -> None:
        (base / "custom_nodes").mkdir(parents=True)
        (base / "custom_nodes" / "talking_head").symlink_to(ROOT)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url, self._log = f"http://127.0.0.1:{port}", base / "log"
        self._command = [
            os.environ.get("COMFYUI_PYTHON", sys.executable), "main.py", "--cpu", "--base-directory", str(base),
            "--database-url", "sqlite:///:memory:", "--port", str(port), "--disable-auto-launch",
        ]  # fmt: skip

    def __enter__(self) -> "ComfyUI":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, cwd=COMFYUI, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.5)
        return self

    def _answers(self) -> bool:
        try:
            self.ask("/queue")
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def ask(self, path: str, content: object = None) -> Any:
        """What the server answers; content is posted."""
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310  # our own server
            text = answer.read()
        return json.loads(text) if text else None

    def run(self, prompt: dict, extra: dict | None = None) -> dict[str, Any]:
        """What came of a prompt, in the terms of `told`."""
        try:
            sent = self.ask("/prompt", {"prompt": prompt, "extra_data": {"extra_pnginfo": extra or {}}})
        except urllib.error.HTTPError as error:
            return {"status": "rejected", "at": sorted(json.loads(error.read())["node_errors"])}
        end = time.monotonic() + RUN_SECONDS
        while not (found := self.ask(f"/history/{sent['prompt_id']}")):
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.2)
        (entry,) = found.values()
        said = dict(entry["status"]["messages"])
        failed = said.get("execution_error", {})
        return {
            "status": "success" if "execution_success" in said else "error",
            "cached": sorted(said["execution_cached"]["nodes"]),
            "shown": {node: sorted(shown) for node, shown in sorted(entry["outputs"].items())},
            "errors": {failed["node_id"]: failed["exception_message"].strip()} if failed else {},
        }


def told(host: Host, prompt: dict, extra: dict | None = None) -> dict[str, Any]:
    """What came of a prompt in the stand-in."""
    outcome = host.run(json.loads(json.dumps(prompt)), extra)
    if outcome.status == "rejected":
        return {"status": "rejected", "at": sorted(outcome.errors)}
    return {
        "status": outcome.status,
        "cached": sorted(outcome.cached),
        "shown": {node: sorted(shown) for node, shown in sorted(outcome.shown.items())},
        "errors": outcome.errors,
    }


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """A real ComfyUI and the stand-in, on the same folders."""
    base = tmp_path_factory.mktemp("comfyui")
    with Host(base, PACK) as stand_in:
        for name in sorted({name for path in WORKFLOWS for name in shipped_inputs(read(path))}):
            shortened(name, stand_in.folders["input"], SECONDS)
        with ComfyUI(base) as real:
            yield real, stand_in


def test_they_describe_every_node_alike(hosts):
    real, stand_in = hosts
    described, restated = real.ask("/object_info"), stand_in.object_info()
    for name in PACK.NODE_CLASS_MAPPINGS:
        ours = {key: value for key, value in restated[name].items() if key not in ONLY_NEWER}
        theirs = {key: described[name][key] for key in ours}
        assert theirs | {"python_module": ours["python_module"]} == ours


@pytest.mark.parametrize("path", RUNNING, ids=name_of)
def test_workflows_run_alike_and_are_kept_alike(hosts, path):
    real, stand_in = hosts
    prompt, extra = stand_in.prompt_of(read(path)), {"workflow": read(path)}
    expected, first = told(stand_in, prompt, extra), real.run(prompt, extra)
    assert expected["status"] == "success"
    # What an earlier workflow computed under the same ids is kept by the real one.
    assert first == expected | {"cached": first["cached"]}
    again = real.run(prompt, extra)
    assert (again["status"], again["cached"]) == ("success", sorted(prompt))


@pytest.mark.parametrize("flags", [FLAGS, None], ids=["new page", "old page"])
def test_they_tell_the_page_alike(hosts, tmp_path, flags):
    """Message by message, but for what test_messages.py names."""
    real, stand_in = hosts
    prompt = stand_in.prompt_of(read(next(path for path in WORKFLOWS if path.stem == "talking_portrait")))
    with PageServer(tmp_path) as server:
        for file in stand_in.folders["input"].iterdir():
            if file.is_file():
                shutil.copy(file, server.host.folders["input"])
        real.ask("/free", {"free_memory": True})
        time.sleep(2)
        expected = heard(server.url, json.loads(json.dumps(prompt)), flags)
        assert told_by_node(heard(real.url, prompt, flags)) == told_by_node(expected)


def portrait_prompt(**changes: Any) -> dict[str, dict]:
    """LoadPortrait of the demo picture, looked at."""
    stand_in_defaults = {
        name: options["default"]
        for name, (_, options) in PACK.NODE_CLASS_MAPPINGS["LoadPortrait"].INPUT_TYPES()["required"].items()
        if "default" in options
    }
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "demo_portrait.jpg"}},
        "2": {"class_type": "LoadPortrait", "inputs": {"image": ["1", 0], **stand_in_defaults, **changes}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 1]}},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"face_index": 7},
        {"face_box": "left of the middle"},
        {"animal": True},
        {"face_index": -1},
        {"renderer": "oil"},
        {"image": ["1", 1]},
    ],
    ids=str,
)
def test_they_refuse_alike(hosts, changes):
    real, stand_in = hosts
    prompt = portrait_prompt(**changes)
    refused, expected = real.run(prompt), told(stand_in, prompt)
    assert refused["status"] == expected["status"] != "success"
    assert refused.get("at") == expected.get("at")
    assert refused.get("errors") == expected.get("errors")


def test_unloaded_networks_come_back(hosts):
    """A render of a kept portrait is the same after ComfyUI was told to unload all models."""
    real, stand_in = hosts
    write_small_weights(stand_in.folders["models"] / "liveportrait")
    write_small_diffusion(stand_in.folders["models"] / "diffpose")
    path = workflow_named("talking_portrait")
    prompt = stand_in.prompt_of(read(path))
    ids = {node["class_type"]: i for i, node in prompt.items()}
    prompt[ids["LoadPortrait"]]["inputs"] |= {"renderer": "liveportrait", "longest_side": 256}
    prompt[ids["AudioToMotion"]]["inputs"] |= {"motion": "diffusion", "steps": 2}
    prompt[ids["VideoCombine"]]["inputs"] |= {"filename_prefix": "kept"}
    assert real.run(prompt)["errors"] == {}
    real.ask("/free", {"unload_models": True})
    prompt[ids["LivePortraitRender"]]["inputs"]["batch_size"] += 1
    assert real.run(prompt)["errors"] == {}
    videos = sorted(stand_in.folders["output"].glob("kept_*.mp4"))
    assert len(videos) == 2
    assert len({first_frames(video) for video in videos}) == 1


def first_frames(video: Path) -> bytes:
    return next(read_video(video).frames(5)).numpy().tobytes()
