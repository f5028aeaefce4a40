"""A picture of every node for its help page, taken from ComfyUI's real page after a run.

    PYTHONPATH=tests:tests/nodes python tests/benchmarks/help_pictures.py [NodeId …]

writes web/js/docs/<NodeId>.webp. A node is shown as it stands in the first shipped workflow that has it, and by
itself where none has; speech and clips last a second. Needs Chromium.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

from browser import ComfyPage, chromium
from conftest import ROOT
from page_server import PageServer
from PIL import Image
from test_workflows import WORKFLOWS, read, shortened

DOCS = ROOT / "web" / "js" / "docs"
WINDOW = {"width": 1400, "height": 1400}
SECONDS = 1.1  # of speech and clips
MARGIN = 12  # pixels around a node
LARGEST_SIDE = 640  # pixels of a picture
QUALITY = 82
WAIT_MS = 4000  # until pictures and videos in nodes have come
FILES = (  # that loaders list
    "output/motion/talking_head_00001_.safetensors", "output/style/talking_head_00001_.safetensors",
    "output/speaker/talking_head_00001_.safetensors", "models/diffpose/pose/Audio2Headpose.pkl",
)  # fmt: skip
ALONE = """(kind) => {
    app.graph.clear();
    const node = LiteGraph.createNode(kind);
    node.pos = [0, 0];
    node.size = [Math.max(node.size[0], 320), node.size[1]]; // its whole title
    app.graph.add(node);
    return node.id;
}"""
FRAME = """(id) => {
    const node = app.canvas.graph.getNodeById(id), { ds } = app.canvas;
    node.title = node.constructor.title;
    app.canvas.bringToFront(node);
    app.canvas.deselectAll();
    app.canvas.draw(true, true);
    const [x, y, width, height] = node.boundingRect ?? node.getBounding();
    const [left, top] = ds.convertOffsetToCanvas([x, y]);
    const canvas = app.canvas.canvas.getBoundingClientRect();
    return { x: left + canvas.left, y: top + canvas.top, width: width * ds.scale, height: height * ds.scale };
}"""


def take(comfy: ComfyPage, node: int, target: Path) -> None:
    """Save a picture of a node of the graph that is open."""
    comfy.fit(node)
    frame = comfy.js(FRAME, node)
    comfy.page.wait_for_timeout(400)
    clip = {
        "x": max(frame["x"] - MARGIN, 0), "y": max(frame["y"] - MARGIN, 0),
        "width": frame["width"] + 2 * MARGIN, "height": frame["height"] + 2 * MARGIN,
    }  # fmt: skip
    with Image.open(io.BytesIO(comfy.page.screenshot(clip=clip))) as picture:
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
        picture.convert("RGB").save(target, "WEBP", quality=QUALITY)


def take_all(comfy: ComfyPage, wanted: list[str]) -> None:
    """Pictures of the nodes, first those of workflows, then the others."""
    left = list(wanted)
    for path in WORKFLOWS:
        workflow = read(path)
        present = [kind for kind in left if any(node["type"] == kind for node in workflow["nodes"])]
        if not present:
            continue
        comfy.load(workflow)
        comfy.run()
        comfy.page.wait_for_timeout(WAIT_MS)
        for kind in present:
            take(
                comfy, next(node["id"] for node in workflow["nodes"] if node["type"] == kind), DOCS / f"{kind}.webp"
            )
            left.remove(kind)
    for kind in left:
        node = comfy.js(ALONE, kind)
        comfy.page.wait_for_timeout(300)
        take(comfy, node, DOCS / f"{kind}.webp")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("nodes", nargs="*", help="ids; all when none is given")
    given = parser.parse_args()
    with (
        chromium() as browser,
        tempfile.TemporaryDirectory() as folder,
        PageServer(Path(folder)) as server,
    ):
        for name in FILES:
            Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, name).touch()
        for file in (ROOT / "workflows").iterdir():
            if file.stem.startswith("demo_"):
                shortened(file.name, server.host.folders["input"], SECONDS)
        context = browser.new_context(viewport=WINDOW, device_scale_factor=1)
        comfy = ComfyPage(context.new_page(), server.url)
        context.request.post(f"{server.url}/api/settings", data={"Comfy.VueNodes.Enabled": False})
        comfy.open()
        known = [kind for kind in server.host.classes if server.host.module_of(kind) != "nodes"]
        take_all(comfy, given.nodes or known)
    sys.stdout.write(f"{sum(path.stat().st_size for path in DOCS.glob('*.webp')) / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
