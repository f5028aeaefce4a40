"""ComfyUI's page in headless Chromium, for tests: workflows are loaded, run, dragged on and looked at."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
import torch
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
    const isReady = app?.canvas?.graph && known?.ExpressionEdit && app.extensionManager;
    if (isReady) window.app = app;
    return !!isReady;
}"""
RUN = """() => new Promise((resolve) => {
    const api = app.api ?? window.comfyAPI.api.api, shown = {}, kinds = {};
    const count = (event) => { kinds[event.type] = (kinds[event.type] ?? 0) + 1; };
    const hear = ({ detail }) => { shown[detail.node] = detail.output; };
    const ends = ["execution_success", "execution_error", "execution_interrupted"];
    const end = (event) => {
        api.removeEventListener("executed", hear);
        for (const name of ["progress", "b_preview"]) api.removeEventListener(name, count);
        for (const name of ends) api.removeEventListener(name, end);
        resolve({ status: event.type.slice(10), detail: event.detail, shown, kinds });
    };
    api.addEventListener("executed", hear);
    for (const name of ["progress", "b_preview"]) api.addEventListener(name, count);
    for (const name of ends) api.addEventListener(name, end);
    app.queuePrompt(0, 1);
})"""
NOISE = (
    "graph accessed before initialization",
    "net::ERR_",
    "Failed to load resource",
    "Failed to fetch",
    "api.comfy.org",
    "Network Error",
    "AxiosError",
)
SECONDS = 90  # until a test gives up waiting


def pixels_of(picture: bytes) -> torch.Tensor:
    """An encoded picture as (H, W, 3) in 0…1."""
    with Image.open(BytesIO(picture)) as image:
        rgb = image.convert("RGB")
        return torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8).view(rgb.height, rgb.width, 3) / 255


class ComfyPage:
    """The page with helpers; `page` is Playwright's."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error" and not any(noise in message.text for noise in NOISE):
            self.errors.append(message.text)

    def open(self) -> None:
        """Load the page, anew if it is open already."""
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.page.wait_for_function(READY)
        self.page.wait_for_timeout(500)  # the extensions' setup comes after the nodes

    def js(self, script: str, *given: Any) -> Any:
        """What a script gives in the page."""
        return self.page.evaluate(script, *given)

    def load(self, workflow: dict) -> None:
        """Open a workflow and zoom so that all of it is seen."""
        self.js("(workflow) => app.loadGraphData(workflow)", workflow)
        self.fit()

    def fit(self, node: int | None = None) -> None:
        """Zoom to all nodes, or to one."""
        choose = "app.canvas.selectNode(app.canvas.graph.getNodeById(id))" if node else "app.canvas.deselectAll()"
        self.js(
            f"async (id) => {{ {choose}; await app.extensionManager.command.execute('Comfy.Canvas.FitView'); }}",
            node,
        )
        self.page.wait_for_timeout(700)  # the view glides

    def saved(self) -> dict:
        """The workflow as the page saves it."""
        return json.loads(self.js("() => JSON.stringify(app.rootGraph?.serialize() ?? app.graph.serialize())"))

    def run(self) -> dict:
        """Run the workflow; gives its status, what nodes showed, and how often each kind of event came."""
        return self.js(RUN)

    def node(self, kind: str) -> int:
        """The id of the only node of that kind in the graph that is open."""
        return self.js("(kind) => app.canvas.graph._nodes.find((node) => node.type === kind).id", kind)

    def widgets(self, node: int) -> dict[str, Any]:
        """The values of a node's widgets, by name."""
        script = "(id) => app.canvas.graph.getNodeById(id).widgets.map((widget) => [widget.name, widget.value])"
        return dict(self.js(script, node))

    def panel(self, name: str) -> Any:
        """One of our panels in a node."""
        return self.page.locator(f'[data-talking-head="{name}"]').last

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

    def seen(self, panel: Any) -> torch.Tensor:
        """What a panel's first canvas shows."""
        data = panel.locator("canvas").first.evaluate("(canvas) => canvas.toDataURL()")
        import base64

        return pixels_of(base64.b64decode(data.partition(",")[2]))

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
