"""What ComfyUI's server answers about a pack's example workflows, for the stand-in's page.

As newer servers do it: all of FOLDERS are read in this order, a name that comes twice gets the folder's name added,
and nothing but JSON is sent. (Older ones send everything from one folder, pictures too.)
"""

from pathlib import Path

from aiohttp import web
from conftest import ROOT

FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")


def templates() -> dict[str, Path]:
    """The pack's example workflows, by the names that the page shows."""
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.json")):
            found[path.stem if path.stem not in found else f"{path.stem}-{folder}"] = path
    return found


async def _list(_request: web.Request) -> web.Response:
    return web.json_response({ROOT.name: list(templates())})


async def _send(request: web.Request) -> web.StreamResponse:
    path = Path(request.match_info["file"])
    known = templates() if request.match_info["pack"] == ROOT.name and path.suffix == ".json" else {}
    return web.FileResponse(known[path.stem]) if path.stem in known else web.Response(status=404)


def add_to(table: web.RouteTableDef) -> None:
    """Let a server answer so."""
    table.get("/workflow_templates")(_list)
    table.get("/workflow_templates/{pack}/{file}")(_send)
