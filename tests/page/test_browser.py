"""The pack on ComfyUI's real page, in both of its renderers: workflows run, videos play, the editor is dragged."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import node_texts
import pytest
import torch
from browser import SOUND_SECONDS, ComfyPage, pixels_of
from conftest import ROOT
from page_server import PageServer
from PIL import Image
from test_nodes import OWN_TYPES
from test_workflows import WORKFLOWS, has, name_of, prepare, read, workflow_named

from talking_head.lp_core.faces.search import find_faces
from talking_head.lp_core.media.picture import load_picture
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion.expression import Expression, expressed
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.render.portrait import RenderOptions
from talking_head.lp_core.render.render import render

# A real browser on a busy machine does not always bring up the page in time; it is then opened anew, twice at most.
pytestmark = pytest.mark.flaky(reruns=2, reruns_delay=2)
pytest_plugins = ("page_fixtures",)

EDITING = workflow_named("expression_editing")
NOSE, BESIDE = (0.5, 0.55), (0.06, 0.5)  # places on the demo portrait's crop


@pytest.fixture
def in_chinese(comfy):
    """The page, set to Chinese. It loads languages beside all else, so nodes may have English names at first."""
    settings = f"{comfy.url}/api/settings"
    comfy.page.request.post(settings, data={"Comfy.Locale": "zh"})
    name = node_texts.read("zh", "nodeDefs")["LoadPortrait"]["display_name"]
    try:
        comfy.open()
        shown = "() => LiteGraph.registered_node_types.LoadPortrait.title"
        comfy.until(lambda: comfy.js(shown) == name, "Chinese names")
        yield comfy
    finally:
        comfy.page.request.post(settings, data={"Comfy.Locale": "en"})
        comfy.open()


def test_chinese_users_read_chinese(in_chinese):
    """A node's title, inputs and widgets on a page that is set to Chinese."""
    in_chinese.load(read(EDITING))
    shown = in_chinese.js(
        """(id) => {
            const { title, inputs, widgets } = app.canvas.graph.getNodeById(id);
            const label = (slot) => [slot.name, slot.label ?? slot.localized_name];
            const named = (slots) => Object.fromEntries(slots.map(label));
            return { title, ...named(inputs), ...named(widgets) };
        }""",
        in_chinese.node("LoadPortrait"),
    )
    texts = node_texts.read("zh", "nodeDefs")["LoadPortrait"]
    assert shown["title"] == texts["display_name"]
    for name in ("image", "renderer", "precision"):
        assert shown[name] == texts["inputs"][name]["name"]
    panel = in_chinese.panel("expression")
    assert panel.locator("canvas").first.get_attribute("title").startswith("拖动头部")
    assert panel.locator('option[value="built in/laugh"]').inner_text() == "大笑"


def opened(comfy: ComfyPage, server: PageServer, path: Path) -> dict:
    """A workflow on the page, with all that it loads in the server's folders."""
    workflow = read(path)
    prepare(workflow, server.host, 1.1 if has(workflow, "StyleEncode") else SOUND_SECONDS)
    comfy.load(workflow)
    return workflow


def help_of(comfy: ComfyPage, kind: str) -> list[str]:
    """The title and headings of a node's help, once its picture is seen."""
    comfy.load(read(EDITING))
    comfy.js("(id) => app.canvas.selectNode(app.canvas.graph.getNodeById(id))", comfy.node(kind))
    comfy.page.get_by_test_id("info-button").click()
    picture = comfy.page.locator(f'img[src$="/docs/{kind}.webp"]')
    comfy.until(lambda: picture.count() and picture.evaluate("(image) => image.naturalWidth"), "the picture")
    return comfy.page.locator(".node-help-content").locator("h1, h2").all_inner_texts()


def headings(page: str) -> list[str]:
    """The title and headings of a file among the help pages."""
    text = (ROOT / "web" / "js" / "docs" / page).read_text(encoding="utf-8")
    return re.findall("^##? (.+)", text, re.MULTILINE)


def test_the_help_page_shows_its_picture(comfy):
    assert help_of(comfy, "LoadPortrait") == headings("LoadPortrait.md")
    comfy.open()  # without the panel


def test_the_help_page_is_chinese_and_shows_its_picture(in_chinese):
    assert help_of(in_chinese, "LoadPortrait") == headings("LoadPortrait/zh.md")


@pytest.fixture
def in_editor(comfy, server) -> tuple[Any, int | str]:
    """The editor of the editing workflow after a run, and its node."""
    opened(comfy, server, EDITING)
    assert comfy.run()["status"] == "success"
    node = comfy.node("ExpressionEdit")
    comfy.fit(node)
    panel = comfy.panel("expression")
    comfy.until(lambda: portrait_is_seen(comfy, panel), "the portrait in the editor")
    return panel, node


def portrait_is_seen(comfy: ComfyPage, panel) -> bool:
    return float(comfy.seen(panel).std()) > 0.15


def covering(boxes: dict[int, tuple[float, float, float, float]]) -> list[tuple[int, int]]:
    """Pairs of nodes of which one lies over a part of the other."""

    def meet(one: tuple, other: tuple) -> bool:
        return all(
            one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1)
        )

    return [pair for pair in combinations(boxes, 2) if meet(*(boxes[node] for node in pair))]


FAILED = """() => [...document.querySelectorAll("[data-node-id], .dom-widget")]
    .map((shown) => shown.innerText).filter((text) => /failed to load|error loading/i.test(text))"""


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_runs_its_video_plays_and_no_node_covers_another(comfy, server, path):
    workflow = opened(comfy, server, path)
    assert not covering(comfy.boxes())
    outcome = comfy.run()
    assert outcome["status"] == "success", outcome["detail"]
    (video,) = (shown for shown in outcome["shown"].values() if shown.get("animated"))
    assert video["images"][0]["filename"].endswith(".mp4")
    playing = comfy.page.locator("video").last
    playing.wait_for(state="attached")
    comfy.until(lambda: playing.evaluate("(video) => video.readyState >= 2 && video.videoWidth"), "the video")
    width = 1024 if has(workflow, "MixVoices") else 512
    assert playing.evaluate("(video) => [video.videoWidth, video.videoHeight]") == [width, 512]
    comfy.media_shown()
    assert not comfy.js(FAILED)
    assert not covering(comfy.boxes())


FRAMES_AT_ONCE = """([id, count]) => {
    app.graph.getNodeById(id).widgets.find((widget) => widget.name === "batch_size").value = count;
}"""


def test_frames_are_seen_while_they_are_drawn(comfy, server):
    workflow = opened(comfy, server, EDITING)
    speech = next(node for node in workflow["nodes"] if node["type"] == "AudioToMotion")
    kept = [
        value + 1 if value == 0 and not isinstance(value, bool) else value for value in speech["widgets_values"]
    ]
    speech["widgets_values"] = kept  # another seed: nothing comes from the cache
    speech.pop("widgets_values_named", None)
    comfy.load(workflow)
    comfy.js(FRAMES_AT_ONCE, [comfy.node("LivePortraitRender"), 3])  # of ten frames: four pictures
    events = comfy.run()["kinds"]
    assert events["progress"] >= 4
    assert events["b_preview"] == events["b_preview_with_metadata"] == 4


def test_dragging_the_portrait_moves_sliders_and_the_portrait_answers(comfy, in_editor):
    panel, node = in_editor
    rest = comfy.settled(panel)
    comfy.drag(panel, NOSE, (0.08, 0.03))
    turned = comfy.widgets(node)
    assert turned["rotate_yaw"] > 3
    assert turned["rotate_pitch"] > 1
    assert turned["smile"] == 0
    comfy.until(lambda: (comfy.seen(panel) - rest).abs().mean() > 0.01, "another portrait")
    comfy.drag(panel, BESIDE, (0, -0.15))
    assert comfy.widgets(node)["rotate_roll"] > 3
    panel.locator("button", has_text="Reset").click()
    assert not any(comfy.widgets(node)[name] for name in ("rotate_yaw", "rotate_pitch", "rotate_roll"))
    comfy.until(lambda: (comfy.seen(panel) - rest).abs().mean() < 0.004, "the portrait at rest")


def test_what_was_dragged_is_what_runs(comfy, in_editor):
    panel, node = in_editor
    comfy.drag(panel, NOSE, (-0.08, 0))
    yaw = comfy.widgets(node)["rotate_yaw"]
    prompt = comfy.js("async () => (await app.graphToPrompt()).output")
    sent = next(given for given in prompt.values() if given["class_type"] == "ExpressionEdit")["inputs"]
    assert sent["rotate_yaw"] == yaw < -3
    assert not {"expression_editor", "faces", "curves"} & set(sent)


def test_an_expression_survives_saving_and_reloading(comfy, in_editor):
    panel, node = in_editor
    comfy.drag(panel, NOSE, (0.06, 0))
    before, saved = comfy.widgets(node), comfy.saved()
    turned = comfy.settled(panel)
    comfy.open()
    comfy.load(json.loads(json.dumps(saved)))
    after = comfy.widgets(node)
    assert {name: value for name, value in after.items() if name != "expression_editor"} == {
        name: value for name, value in before.items() if name != "expression_editor"
    }
    comfy.fit(node)
    again = comfy.panel("expression")
    comfy.until(lambda: (comfy.seen(again) - turned).abs().mean() < 0.02, "the turned portrait without another run")


INTO_SUBGRAPH = "(id) => { app.canvas.graph.convertToSubgraph(new Set([app.canvas.graph.getNodeById(id)])); }"
OPEN_SUBGRAPH = """() => {
    const outer = app.graph._nodes.find((node) => node.subgraph);
    app.canvas.openSubgraph(outer.subgraph, outer);
}"""


def in_subgraph(comfy: ComfyPage) -> int | str:
    """The editor's node, in the subgraph that is opened now."""
    comfy.js(OPEN_SUBGRAPH)
    comfy.until(lambda: comfy.has_node("ExpressionEdit"), "the subgraph's nodes")
    node = comfy.node("ExpressionEdit")
    comfy.fit(node)
    comfy.until(lambda: portrait_is_seen(comfy, comfy.panel("expression")), "the portrait in the subgraph")
    return node


def test_the_editor_works_in_a_subgraph_and_survives_saving_there(comfy, in_editor):
    _, node = in_editor
    comfy.js(INTO_SUBGRAPH, node)
    comfy.load(comfy.saved())
    assert comfy.run()["status"] == "success"
    inner = in_subgraph(comfy)
    comfy.drag(comfy.panel("expression"), NOSE, (0.08, 0))
    yaw = comfy.widgets(inner)["rotate_yaw"]
    assert yaw > 3
    saved = comfy.saved()
    comfy.open()
    comfy.load(saved)
    sent = comfy.js("async () => (await app.graphToPrompt()).output")
    assert [
        given["inputs"]["rotate_yaw"] for given in sent.values() if given["class_type"] == "ExpressionEdit"
    ] == [yaw]
    assert comfy.widgets(in_subgraph(comfy))["rotate_yaw"] == yaw


def test_keyframes_are_set_seen_and_removed_on_the_timeline(comfy, in_editor):
    panel, node = in_editor
    keys = json.loads(comfy.widgets(node)["keyframes"])
    timeline = panel.locator("canvas").nth(1)
    box = timeline.bounding_box()
    rest = comfy.settled(panel)
    timeline.click(position={"x": box["width"] * 0.37, "y": 4})
    comfy.until(lambda: (comfy.seen(panel) - rest).abs().mean() > 0.003, "a moment between keyframes")
    panel.locator("button", has_text="◆ Set").last.click()
    more = json.loads(comfy.widgets(node)["keyframes"])
    assert len(more) == len(keys) + 1
    panel.locator("button", has_text="Remove").last.click()
    assert json.loads(comfy.widgets(node)["keyframes"]) == keys


def test_a_keyframe_is_dragged_to_another_moment(comfy, in_editor):
    panel, node = in_editor
    keys = json.loads(comfy.widgets(node)["keyframes"])
    timeline = panel.locator("canvas").nth(1)
    box = timeline.bounding_box()
    zoom = box["width"] / timeline.evaluate("(canvas) => canvas.offsetWidth")
    pixels = (box["width"] - 20 * zoom) / (keys[-1]["seconds"] * 1.15)  # to a second; the line has margins of 10
    x, y = box["x"] + 10 * zoom + keys[-1]["seconds"] * pixels, box["y"] + box["height"] / 3
    comfy.page.mouse.move(x, y)
    comfy.page.mouse.down()
    comfy.page.mouse.move(x - 0.5 * pixels, y, steps=4)
    comfy.page.mouse.up()
    moved = json.loads(comfy.widgets(node)["keyframes"])
    assert [key["amounts"] for key in moved] == [key["amounts"] for key in keys]
    assert [key["seconds"] for key in moved[:-1]] == [key["seconds"] for key in keys[:-1]]
    assert moved[-1]["seconds"] < keys[-1]["seconds"]
    held = {name: value for name, value in comfy.widgets(node).items() if name in keys[-1]["amounts"]}
    assert held == keys[-1]["amounts"]


def test_a_node_that_is_removed_plays_no_more(comfy, in_editor):
    panel, node = in_editor
    comfy.settled(panel)
    asked = comfy.asked
    panel.locator("button", has_text="▶").click()
    comfy.until(lambda: comfy.asked > asked + 1, "keyframes that play")
    comfy.js("(id) => app.graph.remove(app.graph.getNodeById(id))", node)
    asked = comfy.asked
    comfy.page.wait_for_timeout(500)  # in which twelve moments would be played
    assert comfy.asked <= asked + 1


def laughing() -> Image.Image:
    """The demo portrait's face with another expression."""
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")
    portrait = MeshRenderer().portrait(picture, find_faces(picture)[0])
    laugh = expressed(MotionSequence.still(1, 25), Expression(smile=1, aaa=60, eyebrow=12).amounts()[None])
    (frame,) = next(render(portrait, laugh, RenderOptions(paste_back=False)))
    return Image.fromarray((frame * 255).byte().numpy())


WITH_PHOTO = """(id) => {
    const photo = LiteGraph.createNode("LoadImage"), node = app.graph.getNodeById(id);
    app.graph.add(photo);
    photo.pos = [-600, 0];
    photo.widgets.find((widget) => widget.name === "image").value = "laughing.png";
    photo.connect(0, node, node.inputs.findIndex((slot) => slot.name === "photo"));
}"""


def test_an_expression_is_copied_from_a_photo(comfy, server, in_editor):
    panel, node = in_editor
    calm = comfy.settled(panel)
    laughing().save(server.host.folders["input"] / "laughing.png")
    comfy.js(WITH_PHOTO, node)
    assert comfy.run()["status"] == "success"
    comfy.until(lambda: (comfy.seen(panel) - calm).abs().mean() > 0.003, "the laugh of the photo")


def test_expressions_are_saved_in_the_user_s_folder(comfy, server, in_editor):
    panel, node = in_editor
    choice = panel.locator("select").last
    choice.select_option("built in/wink")
    assert comfy.widgets(node)["wink"] == 20
    panel.locator("button", has_text="Save…").last.click()
    comfy.page.locator("[role=dialog] input").fill("my ../wink")
    comfy.page.keyboard.press("Enter")
    file = server.host.folders["input"].parent / "user" / "talking_head" / "expressions" / "my wink.json"
    comfy.until(file.is_file, "the saved expression")
    assert json.loads(file.read_text())["wink"] == 20
    panel.locator("button", has_text="Reset").last.click()
    choice.select_option("saved/my wink")
    comfy.until(lambda: comfy.widgets(node)["wink"] == 20, "the saved expression on the sliders")
    panel.locator("button", has_text="Delete").last.click()
    comfy.until(lambda: not file.exists(), "the file to go")


WRITING = """([form, side]) => {
    const kinds = ["LoadImage", "LoadPortrait", "ExpressionEdit", "LivePortraitRender", "VideoCombine"];
    const [image, portrait, edit, drawn, video] = kinds.map((kind, column) => {
        const node = LiteGraph.createNode(kind);
        node.pos = [column * 450, 0];
        app.graph.add(node);
        return node;
    });
    const joined = [[image, portrait, "image"], [portrait, edit, "portrait"], [portrait, drawn, "portrait"],
                    [edit, drawn, "motion"], [drawn, video, "images"]];
    for (const [from, to, name] of joined) from.connect(0, to, to.inputs.findIndex((slot) => slot.name === name));
    const values = [[image, "image", "demo_portrait.jpg"], [portrait, "longest_side", side], [edit, "seconds", 0.4],
                    [edit, "keyframes", JSON.stringify([[0, -15], [0.4, 15]].map(([seconds, rotate_yaw]) => (
                        { seconds, amounts: { rotate_yaw } })))], [video, "format", form]];
    for (const [node, name, value] of values) node.widgets.find((widget) => widget.name === name).value = value;
    return video.id;
}"""
PICTURES = """(id) => {
    const drawn = [...document.querySelectorAll(`[data-node-id="${id}"] img, .dom-widget img`)];
    const ours = (image) => image.naturalWidth === 128;
    return [...drawn, ...(app.graph.getNodeById(id).imgs ?? [])].some(ours);
}"""


def writing(comfy: ComfyPage, form: str) -> Any:
    """Video Combine's node in a new graph that writes 128×128 frames in a format."""
    comfy.js("() => app.graph.clear()")
    # Nodes 2.0 else takes what it draws for the nodes that had these numbers before.
    comfy.until(lambda: not comfy.js("() => document.querySelector('[data-node-id]')"), "an empty page")
    return comfy.js(WRITING, [form, 128])


FORMAT = """([id, form]) => {
    app.graph.getNodeById(id).widgets.find((widget) => widget.name === "format").value = form;
}"""


@pytest.mark.parametrize("form", ["image/gif", "image/webp"])
def test_moving_pictures_are_shown_as_pictures_that_move(comfy, form):
    """But a GIF in the classic renderer, which draws its first frame."""
    node = writing(comfy, "video/h264-mp4")
    for written in ("video/h264-mp4", form):  # the page remembers that a node has shown a video
        comfy.js(FORMAT, [node, written])
        assert comfy.run()["status"] == "success"
        comfy.fit(node)  # Nodes 2.0 loads pictures once they are seen
        comfy.media_shown()
    comfy.until(lambda: comfy.js(PICTURES, node), "the picture in the node")
    if form == "image/gif" and not comfy.js("() => LiteGraph.vueNodesMode ?? false"):
        return
    first = pixels_of(comfy.page.screenshot())
    comfy.until(lambda: (pixels_of(comfy.page.screenshot()) - first).abs().max() > 0.2, "another frame")


ALONE = """(kind) => {
    app.graph.clear();
    app.graph.add(LiteGraph.createNode(kind));
}"""


def shown_text(comfy: ComfyPage) -> str:
    """What the open graph's node says after a run, once it is seen."""
    return comfy.panel("text").input_value()


def test_the_doctor_shows_its_report(comfy):
    comfy.js(ALONE, "Doctor")
    node = comfy.node("Doctor")
    (report,) = comfy.run()["shown"][str(node)]["text"]
    comfy.fit(node)
    assert shown_text(comfy) == report
    assert "video formats" in report


def test_a_video_that_browsers_do_not_play_is_named(comfy, server):
    """ProRes; its first frame is seen. Once the node plays a video again, nothing is said any more."""
    node = writing(comfy, "video/prores-mov")
    assert comfy.run()["status"] == "success"
    comfy.fit(node)
    named = Path(shown_text(comfy))
    assert (named.parent, named.suffix, named.is_file()) == (server.host.folders["output"], ".mov", True)
    comfy.js(FORMAT, [node, "video/h264-mp4"])
    assert comfy.run()["status"] == "success"
    comfy.until(lambda: not shown_text(comfy), "the name to go")


DROPPED = {
    "video/h264-mp4": "video/mp4",
    "video/vp9-webm": "video/webm",
    "video/prores-mov": "video/quicktime",
    "image/webp": "image/webp",
}


@pytest.mark.parametrize("form", DROPPED)
def test_a_file_dropped_on_the_canvas_brings_its_workflow_back(comfy, server, form):
    writing(comfy, form)
    assert comfy.run()["status"] == "success"
    written = [path for path in server.host.folders["output"].iterdir() if path.is_file()]
    comfy.js("() => app.graph.clear()")
    comfy.drop(max(written, key=lambda path: path.stat().st_mtime), DROPPED[form])
    comfy.until(lambda: comfy.has_node("VideoCombine"), "the workflow")
    values = comfy.widgets(comfy.node("VideoCombine"))
    assert values["format"] == form


LOOKING = """() => {
    app.graph.clear();
    const [image, portrait, shown] = ["LoadImage", "LoadPortrait", "PreviewImage"].map((kind, column) => {
        const node = LiteGraph.createNode(kind);
        node.pos = [column * 400, 0];
        app.graph.add(node);
        return node;
    });
    image.connect(0, portrait, 0);
    portrait.connect(1, shown, 0);
    const values = [[image, "image", "two.png"], [portrait, "face_order", "left to right"]];
    for (const [node, name, value] of values) node.widgets.find((widget) => widget.name === name).value = value;
    return portrait.id;
}"""


def test_a_click_on_a_face_chooses_it(comfy, server):
    with Image.open(ROOT / "workflows" / "demo_portrait.jpg") as one:
        two = Image.new("RGB", (2 * one.width, one.height))
        two.paste(one, (0, 0))
        two.paste(one, (one.width, 0))
    two.save(server.host.folders["input"] / "two.png")
    node = comfy.js(LOOKING)
    shown = comfy.run()["shown"][str(node)]["talking_head_faces"][0]
    comfy.fit(node)
    panel = comfy.panel("faces")
    comfy.until(lambda: portrait_is_seen(comfy, panel), "the faces")
    box = panel.locator("canvas").bounding_box()
    scale = min(box["width"] / shown["width"], box["height"] / shown["height"])
    left, top, right, bottom = shown["faces"][1]["box"]
    x = (box["width"] - shown["width"] * scale) / 2 + (left + right) / 2 * scale
    y = (box["height"] - shown["height"] * scale) / 2 + (top + bottom) / 2 * scale
    comfy.page.mouse.click(box["x"] + x, box["y"] + y)
    assert comfy.widgets(node)["face_index"] == 1
    assert comfy.run()["shown"][str(node)]["talking_head_faces"][0]["chosen"] == 1


def test_curves_are_drawn_over_the_sound(comfy, server):
    opened(comfy, server, EDITING)
    comfy.fit(comfy.node("AudioToMotion"))
    panel = comfy.panel("curves")
    empty = comfy.seen(panel)
    assert comfy.run()["status"] == "success"
    comfy.until(lambda: (comfy.seen(panel) - empty).abs().mean() > 0.01, "the curves")
    colours = comfy.canvas(panel).reshape(-1, 3)
    green = torch.tensor([0x5A, 0xD1, 0xA4]) / 255
    assert ((colours - green).abs().amax(-1) < 0.1).sum() > 100


def test_a_notice_is_shown_once(comfy, server):
    def tell(sentence):
        server.host.send("talking_head.notice", {"severity": "info", "summary": "mesh draws", "detail": sentence})
        return comfy.page.locator("li, .p-toast-message", has_text=sentence)

    first, other = f"No weights {id(comfy)}.", f"No network {id(comfy)}."
    tell(first)
    toasts = tell(first)
    tell(other).wait_for()  # by then the page has heard the first one twice
    assert toasts.count() == 1


def test_our_types_have_colours_of_their_own(comfy):
    colours = comfy.js("(types) => types.map((type) => LGraphCanvas.link_type_colors[type])", list(OWN_TYPES))
    assert len(set(colours)) == len(OWN_TYPES) > 3
    assert all(colour.startswith("#") for colour in colours)


def test_the_settings_are_on_the_settings_page(comfy):
    comfy.js("() => app.extensionManager.command.execute('Comfy.ShowSettingsDialog')")
    dialog = comfy.page.locator("[role=dialog]")
    dialog.get_by_text("Talking Head", exact=True).first.click()
    dialog.get_by_text("Live portrait in Expression Edit").wait_for()
    dialog.get_by_text("Notices about renderers and licences").wait_for()
    comfy.page.keyboard.press("Escape")
