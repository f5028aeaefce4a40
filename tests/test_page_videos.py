"""The video of a run plays in the node that wrote it, and pictures of frames never take its place."""

from typing import Any

import pytest
from browser import ComfyPage

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
    const set = (kind, name, value) => { nodes[kind].widgets.find((widget) => widget.name === name).value = value; };
    set("LoadImage", "image", "demo_portrait.jpg");
    set("LoadAudio", "audio", "demo_speech.wav");
    set("LoadPortrait", "longest_side", 256);
    for (const kind of ["VideoCombine", "RenderToFile", "SpeakLive"]) set(kind, "filename_prefix", prefix + kind);
    return Object.fromEntries(Object.entries(nodes).map(([kind, node]) => [kind, node.id]));
}"""
VIDEO = """(id) => {
    const body = document.querySelector(`[data-node-id="${id}"]`) ?? app.graph.getNodeById(id).videoContainer;
    const failed = /failed to load/i.test(body?.innerText ?? "");
    const { currentSrc = "", readyState = 0, videoWidth = 0 } = body?.querySelector("video") ?? {};
    return { failed, source: currentSrc, ready: readyState, width: videoWidth };
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


def video_plays(comfy: ComfyPage, node: int, kind: str) -> dict[str, Any]:
    """What the page plays in a node, once it does."""
    comfy.fit(node)
    seen: dict[str, Any] = {}

    def plays() -> bool:
        seen.update(comfy.js(VIDEO, node))
        return seen["ready"] >= 2 and seen["width"] > 0

    comfy.until(lambda: plays() or seen["failed"], f"the video in {kind}")
    assert not seen["failed"], f"the page cannot play {seen['source']} in {kind}"
    assert f"{kind}_0000" in seen["source"]
    assert ".mp4" in seen["source"]
    return seen


def test_the_video_of_a_run_plays_where_it_was_written(comfy, written):
    """After the first run, after one from the cache, and after a third with another voice of the head."""
    sources = []
    for seed in (1, 1, 2):
        for kind in ("AudioToMotion", "SpeakLive"):
            comfy.js(SEED, [written[kind], seed])
        assert comfy.run()["status"] == "success"
        sources.append([video_plays(comfy, written[kind], kind)["source"] for kind in WRITERS])
    assert not set(sources[1]) & set(sources[2])
