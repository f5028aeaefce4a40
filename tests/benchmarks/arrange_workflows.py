"""Give the nodes of the shipped workflows room, after nodes grew or a workflow was added.

    python tests/benchmarks/arrange_workflows.py [NAME …]

Runs each workflow on ComfyUI's real page in both renderers, measures its nodes once they show their pictures,
places them in columns along the links so that none covers another in either, and saves what the page saves.
"""

import json
import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nodes"))
from browser import ComfyPage, chromium
from page_server import PageServer
from test_workflows import WORKFLOWS, name_of, prepare, read

GAP_X, GAP_Y = 80, 60
TALLEST = 1300  # pixels of a column, before it becomes two
SECONDS = 1.1  # of the bundled sounds
NARROWEST = {"LoadImage": 300, "LoadAudio": 300, "VideoCombine": 460, "RenderToFile": 460, "ExpressionEdit": 400}
NARROWEST_OTHER = 330
NOTES = ("Note", "MarkdownNote")
NOTE_WIDTH, LETTERS_A_LINE, LINE = 760, 100, 20
TITLE = 30
SHRINK = """(widths) => {
    for (const node of app.canvas.graph._nodes) {
        const width = widths[node.type];
        if (width) node.setSize([width, node.computeSize([width, 0])[1]]);
    }
}"""
PLACE = """(places) => {
    for (const [id, [x, y, width, height]] of Object.entries(places)) {
        const node = app.canvas.graph.getNodeById(Number(id));
        node.pos = [x, y];
        node.setSize([width, height]);
    }
}"""


@dataclass(frozen=True)
class Size:
    """Of a node, in the graph's pixels, its title included."""

    width: float
    height: float


def sizes_in(comfy: ComfyPage, workflow: dict) -> dict[int, Size]:
    """The nodes' sizes after a run, by id."""
    comfy.load(workflow)
    widths = {node["type"]: NARROWEST.get(node["type"], NARROWEST_OTHER) for node in workflow["nodes"]}
    comfy.js(SHRINK, {kind: width for kind, width in widths.items() if kind not in NOTES})
    comfy.run()
    comfy.media_shown()
    return {id_: Size(width, height) for id_, (_, _, width, height) in comfy.boxes().items()}


def levels(workflow: dict) -> dict[int, int]:
    """In which column a node stands: as near to the last one as those that take from it allow."""
    level = {node["id"]: 0 for node in workflow["nodes"] if node["type"] not in NOTES}
    for _ in level:
        for _, source, _, target, _, _ in workflow["links"]:
            level[source] = min(level[source], level[target] - 1)
    return level


def columns(workflow: dict, sizes: dict[int, Size]) -> list[list[int]]:
    """Nodes from left to right and from top to bottom, each near what it takes from."""
    level, row = levels(workflow), {}
    found: list[list[int]] = []

    def height(node: int) -> tuple[float, int]:
        above = [row[link[1]] for link in workflow["links"] if link[3] == node and link[1] in row]
        return (sum(above) / len(above) if above else node / 100, node)

    for number in sorted(set(level.values())):
        members = sorted((node for node in level if level[node] == number), key=height)
        row |= {node: index for index, node in enumerate(members)}
        found += _split(members, sizes)
    return found


def _split(members: list[int], sizes: dict[int, Size]) -> list[list[int]]:
    """A column as several where it would be too tall."""
    parts: list[list[int]] = [[]]
    for node in members:
        height = sum(sizes[other].height + GAP_Y for other in parts[-1])
        if parts[-1] and height + sizes[node].height > TALLEST:
            parts.append([])
        parts[-1].append(node)
    return parts


def places(workflow: dict, classic: dict[int, Size], largest: dict[int, Size]) -> dict[int, list[float]]:
    """Left, top, width and height of every node as the page takes them: without the title."""
    placed, x = {}, 0.0
    for column in columns(workflow, largest):
        y = 0.0
        for node in column:
            placed[node] = [x, y, classic[node].width, classic[node].height - TITLE]
            y += largest[node].height + GAP_Y
        x += max(largest[node].width for node in column) + GAP_X
    for note in (node for node in workflow["nodes"] if node["type"] in NOTES):
        lines = sum(1 + len(line) // LETTERS_A_LINE for line in note["widgets_values"][0].split("\n"))
        height = (lines + 2) * LINE
        placed[note["id"]] = [0, -height - TITLE - GAP_Y, NOTE_WIDTH, height]
    return placed


def main() -> None:
    """Arrange all workflows, or those named."""
    chosen = [path for path in WORKFLOWS if not sys.argv[1:] or name_of(path) in sys.argv[1:]]
    with chromium() as browser, PageServer(Path(tempfile.mkdtemp())) as server:
        pages = {}
        for name, is_vue in (("classic", False), ("vue", True)):
            context = browser.new_context(viewport={"width": 1600, "height": 1200})
            context.request.post(f"{server.url}/api/settings", data={"Comfy.VueNodes.Enabled": is_vue})
            pages[name] = ComfyPage(context.new_page(), server.url)
            pages[name].open()
        for path in chosen:
            workflow = read(path)
            prepare(workflow, server.host, SECONDS)
            classic, vue = (sizes_in(page, workflow) for page in pages.values())
            larger = {node: Size(*map(max, astuple(size), astuple(vue[node]))) for node, size in classic.items()}
            pages["classic"].js(PLACE, places(workflow, classic, larger))
            pages["classic"].fit()
            path.write_text(json.dumps(pages["classic"].saved(), indent=2, ensure_ascii=False) + "\n", "utf-8")
            print(path.name)


if __name__ == "__main__":
    main()
