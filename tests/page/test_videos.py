"""The video of a run plays in the node that wrote it, and pictures of frames never take its place."""

import base64
from io import BytesIO
from typing import Any

import pytest
from browser import ComfyPage
from PIL import Image

pytestmark = pytest.mark.flaky(reruns=2, reruns_delay=2)  # a real browser; see test_browser.py
pytest_plugins = ("page_fixtures",)

EMPTY = {"version": 0.4, "last_node_id": 0, "last_link_id": 0, "nodes": [], "links": [], "groups": []}
WRITERS = ("VideoCombine", "RenderToFile", "SpeakLive")
GRAPH = """(prefix) => {
    const places = {
        LoadImage: [0, 0], LoadAudio: [0, 500], LoadPortrait: [450, 0], AudioToMotion: [900, 900],
        LivePortraitRender: [900, 0], VideoCombine: [1400, 0], RenderToFile: [1900, 0], SpeakLive: [2400, 0],
    };
    const nodes = Object.fromEntries(Object.entries(places).map(([kind, pos]) => {
        const node = LiteGraph.createNode(kind);
        node.pos = pos;
        app.graph.add(node);
        return [kind, node];
    }));
    const outputs = { LoadImage: "image", LoadAudio: "audio", LoadPortrait: "portrait", AudioToMotion: "motion" };
    const readers = {
        LoadPortrait: ["LoadImage"], AudioToMotion: ["LoadAudio"], SpeakLive: ["LoadPortrait", "LoadAudio"],
        LivePortraitRender: ["LoadPortrait", "AudioToMotion"],
        RenderToFile: ["LoadPortrait", "AudioToMotion", "LoadAudio"],
    };
    const join = (from, to, name) => from.connect(0, to, to.inputs.findIndex((slot) => slot.name === name));
    for (const [kind, sources] of Object.entries(readers))
        for (const source of sources) join(nodes[source], nodes[kind], outputs[source]);
    join(nodes.LivePortraitRender, nodes.VideoCombine, "images");
    const widget = (kind, name) => nodes[kind].widgets.find((widget) => widget.name === name);
    const set = (kind, name, value) => { widget(kind, name).value = value; };
    set("LoadImage", "image", "demo_portrait.jpg");
    set("LoadAudio", "audio", "demo_speech.wav");
    set("LoadPortrait", "longest_side", 256);
    for (const kind of ["VideoCombine", "RenderToFile", "SpeakLive"]) set(kind, "filename_prefix", prefix + kind);
    return Object.fromEntries(Object.entries(nodes).map(([kind, node]) => [kind, node.id]));
}"""
VIDEO = """(id) => {
    const node = app.graph.getNodeById(id);
    const body = document.querySelector(`[data-node-id="${id}"]`) ?? node.videoContainer;
    const failed = /failed to load/i.test(body?.innerText ?? "");
    const { currentSrc = "", readyState = 0, videoWidth = 0 } = body?.querySelector("video") ?? {};
    return { failed, source: currentSrc, ready: readyState, width: videoWidth };
}"""
PANEL = """(id) => {
    const panel = app.graph.getNodeById(id).widgets.find((widget) => widget.name === "live_frame")?.element;
    return !!panel?.naturalWidth && panel.checkVisibility();
}"""
PANELS = "() => document.querySelectorAll('[data-talking-head=frame]').length"
WATCH = """() => {
    const seen = window.panelsSeen = [];
    const api = app.api ?? window.comfyAPI.api.api;
    api.addEventListener("talking_head.frame", ({ detail }) => requestAnimationFrame(() => {
        const panel = app.graph.getNodeById(detail.node).widgets.find((widget) => widget.name === "live_frame");
        seen.push([String(detail.node), panel?.element.checkVisibility() ?? false]);
    }));
}"""
SEED = """([id, seed]) => {
    app.graph.getNodeById(id).widgets.find((widget) => widget.name === "seed").value = seed;
}"""


@pytest.fixture
def written(comfy, server, request) -> dict[str, int]:
    """The nodes of a graph with every node that writes a video, by kind."""
    comfy.load(EMPTY)  # which the page does after whatever it opens by itself
    nodes = comfy.js(GRAPH, request.node.name.replace("[", "_").replace("]", "_"))
    comfy.fit()
    return nodes


def video_plays(comfy: ComfyPage, node: int, file: str) -> None:
    """Wait until the page plays a file in a node."""
    comfy.fit(node)
    seen: dict[str, Any] = {}

    def plays() -> bool:
        seen.update(comfy.js(VIDEO, node))
        return file in seen["source"] and seen["ready"] >= 2 and seen["width"] > 0

    comfy.until(lambda: plays() or seen["failed"], f"{file}; the page plays {seen}")
    assert not seen["failed"], f"the page cannot play {file}"


def grey_picture() -> str:
    """A JPEG's data: address."""
    file = BytesIO()
    Image.new("RGB", (64, 48), "grey").save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def test_the_video_of_a_run_plays_where_it_was_written(comfy, written):
    """After the first run, after one from the cache, and after a third with another seed."""
    files = []
    for seed in (1, 1, 2):
        for kind in ("AudioToMotion", "SpeakLive"):
            comfy.js(SEED, [written[kind], seed])
        outcome = comfy.run()
        assert outcome["status"] == "success"
        files.append({kind: outcome["shown"][str(written[kind])]["images"][0]["filename"] for kind in WRITERS})
        for kind, file in files[-1].items():
            assert file.endswith(".mp4")
            video_plays(comfy, written[kind], file)
    assert files[0] == files[1]
    assert not set(files[1].values()) & set(files[2].values())


def test_frames_are_seen_while_a_node_writes_them(comfy, written):
    comfy.js(WATCH)
    assert comfy.run()["status"] == "success"
    seen = comfy.js("() => window.panelsSeen")
    assert [str(written["RenderToFile"]), True] in seen
    assert {node for node, _ in seen} <= {str(written[kind]) for kind in ("RenderToFile", "SpeakLive")}
    comfy.until(lambda: comfy.js(PANELS) == 0, "the frames to go")


@pytest.mark.parametrize("kind", ["RenderToFile", "SpeakLive"])
def test_frames_go_when_the_run_ends(comfy, server, written, kind):
    """Also where the run failed and nothing is shown in their place; the node is then as large as it was."""
    comfy.fit(written[kind])
    before = comfy.boxes()
    server.host.send("talking_head.frame", {"node": str(written[kind]), "picture": grey_picture()})
    comfy.until(lambda: comfy.js(PANEL, written[kind]), "the frame")
    comfy.page.wait_for_timeout(300)
    assert comfy.boxes()[int(written[kind])][3] > before[int(written[kind])][3]
    server.host.send("executing", {"node": None, "prompt_id": ""})
    comfy.until(lambda: comfy.js(PANELS) == 0, "the frame to go")
    comfy.until(lambda: comfy.boxes() == before, "the node's size")
