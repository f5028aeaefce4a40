"""ComfyUI's page in headless Chromium, for tests: workflows are loaded, run, dragged on and looked at."""

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--mute-audio", "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip
READY = """() => {
    const app = window.app ?? window.comfyAPI?.app?.app;
    const known = window.LiteGraph?.registered_node_types;
    const colours = window.LGraphCanvas?.link_type_colors;  // given in `setup`, which comes last
    const isReady = app?.canvas?.graph && known?.ExpressionEdit && app.extensionManager && colours?.MOTION;
    if (isReady) window.app = app;
    return !!isReady;
}"""
FIT = """(id) => {
    const MARGIN = 120;
    const { canvas, graph: { _nodes: nodes } } = app.canvas;
    const chosen = id === null ? nodes : nodes.filter((node) => String(node.id) === String(id));
    const boxes = chosen.map((node) => node.getBounding());
    const [left, top] = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])));
    const [right, bottom] = [0, 1].map((axis) => Math.max(...boxes.map((box) => box[axis] + box[axis + 2])));
    const [width, height] = [canvas.offsetWidth - 2 * MARGIN, canvas.offsetHeight - 2 * MARGIN];
    const scale = Math.min(width / (right - left), height / (bottom - top), 1.5);
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset[0] = (MARGIN + width / 2) / scale - (left + right) / 2;
    app.canvas.ds.offset[1] = (MARGIN + height / 2) / scale - (top + bottom) / 2;
    app.canvas.setDirty(true, true);
    return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve())));
}"""
RUN = """() => new Promise((resolve) => {
    const api = app.api ?? window.comfyAPI.api.api, shown = {}, kinds = {};
    const counted = ["progress", "b_preview", "b_preview_with_metadata", "talking_head.frame"];
    const count = (event) => { kinds[event.type] = (kinds[event.type] ?? 0) + 1; };
    const hear = ({ detail }) => { shown[detail.node] = detail.output; };
    const ends = ["execution_success", "execution_error", "execution_interrupted"];
    const end = (event) => {
        api.removeEventListener("executed", hear);
        for (const name of counted) api.removeEventListener(name, count);
        for (const name of ends) api.removeEventListener(name, end);
        resolve({ status: event.type.slice(10), detail: event.detail, shown, kinds });
    };
    api.addEventListener("executed", hear);
    for (const name of counted) api.addEventListener(name, count);
    for (const name of ends) api.addEventListener(name, end);
    app.queuePrompt(0, 1);
})"""
BOXES = """() => app.canvas.graph._nodes.map((node) => {
    const drawn = document.querySelector(`[data-node-id="${node.id}"]`);
    if (!drawn) return [node.id, [...(node.boundingRect ?? node.getBounding())]];
    const { scale, offset } = app.canvas.ds;
    const [seen, canvas] = [drawn.getBoundingClientRect(), app.canvas.canvas.getBoundingClientRect()];
    const [x, y] = [seen.left - canvas.left, seen.top - canvas.top];
    return [node.id, [x / scale - offset[0], y / scale - offset[1], seen.width / scale, seen.height / scale]];
})"""
MEDIA = """() => {
    const inNodes = (media) => media.closest("[data-node-id], .dom-widget");
    const shown = [...document.querySelectorAll("img, video")].filter(inNodes);
    const drawn = app.canvas.graph._nodes.flatMap((node) => node.imgs ?? []);
    const isThere = (media) => media.tagName === "VIDEO" ? media.readyState >= 1 : media.naturalWidth > 0;
    return [...shown, ...drawn].every(isThere);
}"""
MARKED = "data-in-open-graph"
MARK = """([name, mark]) => {
    for (const earlier of document.querySelectorAll(`[${mark}=${name}]`)) earlier.removeAttribute(mark);
    const widgets = app.canvas.graph._nodes.flatMap((node) => node.widgets ?? []);
    const panel = widgets.map((widget) => widget.element).find((element) => element?.dataset?.talkingHead === name);
    panel?.setAttribute(mark, name);
    return !!panel?.checkVisibility();
}"""
DROP = """([content, name, type]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type }));
    const at = { bubbles: true, cancelable: true, dataTransfer, clientX: 700, clientY: 500 };
    for (const event of ["dragover", "drop"]) app.canvas.canvas.dispatchEvent(new DragEvent(event, at));
}"""
NOISE = (
    "graph accessed before initialization",
    "net::ERR_",
    "Failed to load resource",
    "Failed to fetch",
    "api.comfy.org",
    "Network Error",
    "AxiosError",
)
POLLS = 5  # looks at a picture, a fifth of a second apart, until it counts as standing still
SIDE = 256  # pixels of pictures that are compared
LIVE_PICTURE = "/talking_head/expression"
SECONDS = 60  # until a test gives up waiting
SOUND_SECONDS = 0.4  # of the demo sounds: enough to see that all is there


def pixels_of(picture: bytes) -> torch.Tensor:
    """An encoded picture as (H, W, 3) in 0…1."""
    with Image.open(BytesIO(picture)) as image:
        rgb = image.convert("RGB")
        return torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8).view(rgb.height, rgb.width, 3) / 255


class ComfyPage:
    """The page with helpers; `page` is Playwright's.

    Attributes:
        errors: what the page wrote to its console as errors.
        asked: how many pictures the expression editor has asked the server for.
    """

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.asked = self._answered = 0  # pictures for the editor
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self._count(request, asked=1))
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: self._count(request, answered=1))

    def _count(self, request: Any, asked: int = 0, answered: int = 0) -> None:
        if request.url.endswith(LIVE_PICTURE):
            self.asked += asked
            self._answered += answered

    def _hear(self, message: Any) -> None:
        if message.type == "error" and not any(noise in message.text for noise in NOISE):
            self.errors.append(message.text)

    def open(self) -> None:
        """Load the page, anew if it is open already."""
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.page.wait_for_function(READY)

    def js(self, script: str, *given: Any) -> Any:
        """What a script gives in the page."""
        return self.page.evaluate(script, *given)

    def load(self, workflow: dict) -> None:
        """Open a workflow and zoom so that all of it is seen."""
        self.js("(workflow) => app.loadGraphData(workflow)", workflow)
        self.fit()

    def fit(self, node: int | str | None = None) -> None:
        """Zoom to all nodes, or to one."""
        self.js(FIT, node)

    def saved(self) -> dict:
        """The workflow as the page saves it."""
        return json.loads(self.js("() => JSON.stringify(app.rootGraph?.serialize() ?? app.graph.serialize())"))

    def run(self) -> dict:
        """Run the workflow; gives its status, what nodes showed, and how often each kind of event came."""
        return self.js(RUN)

    def node(self, kind: str) -> int | str:
        """The id of the only node of that kind in the graph that is open."""
        return self.js("(kind) => app.canvas.graph._nodes.find((node) => node.type === kind).id", kind)

    def has_node(self, kind: str) -> bool:
        """Whether the graph that is open has a node of that kind."""
        return self.js("(kind) => app.canvas.graph._nodes.some((node) => node.type === kind)", kind)

    def widgets(self, node: int | str) -> dict[str, Any]:
        """The values of a node's widgets, by name."""
        script = "(id) => app.canvas.graph.getNodeById(id).widgets.map((widget) => [widget.name, widget.value])"
        return dict(self.js(script, node))

    def boxes(self) -> dict[int, tuple[float, float, float, float]]:
        """Left, top, width and height of every node as it is seen, title included, in the graph's pixels."""
        return {int(node): tuple(box) for node, box in self.js(BOXES)}

    def media_shown(self) -> None:
        """Wait until pictures and videos in nodes are there, and nodes have made room for them."""
        seen = [self.boxes()]

        def stands_still() -> bool:
            self.page.wait_for_timeout(300)
            seen.append(self.boxes())
            return self.js(MEDIA) and seen[-1] == seen[-2]

        self.until(stands_still, "pictures and videos in the nodes")

    def panel(self, name: str) -> Any:
        """One of our panels, in a node of the open graph; those of earlier graphs may still be on the page."""
        self.until(lambda: self.js(MARK, [name, MARKED]), f"the panel {name}")
        return self.page.locator(f"[{MARKED}={name}]")

    def drag(self, panel: Any, start: tuple[float, float], by: tuple[float, float]) -> None:
        """Drag on a panel's first canvas from a place, in 0…1 of its square picture, by shares of its side."""
        box = panel.locator("canvas").first.bounding_box()
        side = min(box["width"], box["height"])
        left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
        x, y = left + start[0] * side, top + start[1] * side
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by[0] * side, y + by[1] * side, steps=4)
        self.page.mouse.up()

    def canvas(self, panel: Any) -> torch.Tensor:
        """All pixels of a panel's first canvas."""
        data = panel.locator("canvas").first.evaluate("(canvas) => canvas.toDataURL()")
        return pixels_of(base64.b64decode(data.partition(",")[2]))

    def seen(self, panel: Any) -> torch.Tensor:
        """The square in the middle of what a panel's first canvas shows, SIDE wide however large the node is."""
        shown = self.canvas(panel)
        side = min(shown.shape[:2])
        top, left = ((length - side) // 2 for length in shown.shape[:2])
        square = shown[top : top + side, left : left + side].permute(2, 0, 1)[None]
        return F.interpolate(square, (SIDE, SIDE), mode="area")[0].permute(1, 2, 0)

    def settled(self, panel: Any) -> torch.Tensor:
        """What a panel shows once the server has answered all that the page asked for."""
        seen = [self.seen(panel)]
        asked = [self.asked]

        def stands_still() -> bool:  # long enough that the newest wish, which waits for the one before, is out too
            self.page.wait_for_timeout(200)
            seen.append(self.seen(panel))
            asked.append(self.asked)
            is_quiet = len(asked) >= POLLS and len(set(asked[-POLLS:])) == 1 and self.asked == self._answered
            return is_quiet and all(torch.equal(seen[-1], other) for other in seen[-POLLS:])

        self.until(stands_still, "a picture that stands still")
        return seen[-1]

    def drop(self, file: Path, kind: str) -> None:
        """Drop a file on the canvas."""
        given = [base64.b64encode(file.read_bytes()).decode(), file.name, kind]
        self.js(DROP, given)

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait for something to hold, and give it."""
        end = time.monotonic() + SECONDS
        while not (result := holds()):
            assert time.monotonic() < end, f"waited {SECONDS} s in vain for: {what}"
            self.page.wait_for_timeout(100)
        return result


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium), so ComfyUI's page is not tested.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()
