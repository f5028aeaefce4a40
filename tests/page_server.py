"""ComfyUI's real page (comfyui-frontend-package), served over the stand-in of host.py, for tests in a browser.

As with host.py this is not ComfyUI: it answers what the page asks for as far as workflows, runs, settings and user
files go. Accounts, queues of several prompts, models and the like are answered by nothing being there. Where its
messages differ from a real server's is said in test_messages.py.
"""

import asyncio
import contextlib
import json
import struct
import threading
from concurrent.futures import Future
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import template_routes
from aiohttp import WSMsgType, web
from conftest import ROOT
from host import Host, load_as_comfyui
from PIL import ImageOps
from run_messages import PREVIEW, PREVIEW_WITH_METADATA

SILENT_ANSWERS: dict[str, Any] = {
    "/features": {"max_upload_size": 1 << 27}, "/users": {"storage": "server", "migrated": True},
    "/global_subgraphs": {}, "/node_replacements": {}, "/experiment/models": [],
    "/embeddings": [], "/models": [], "/queue": {"queue_running": [], "queue_pending": []},
    "/jobs": {"jobs": [], "pagination": {"offset": 0, "limit": 0, "total": 0, "has_more": False}},
    "/internal/folder_paths": {}, "/history": {},
}  # fmt: skip
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.InstalledVersion": "9.9.9",
    "Comfy.Workflow.Persist": False,
    "Comfy.RightSidePanel.IsOpen": False,
}
FEATURES = {  # of the server, told to each page that tells its own
    "supports_preview_metadata": True, "max_upload_size": 1 << 27, "extension": {"manager": {"supports_v4": True}},
    "node_replacements": True, "assets": False,
}  # fmt: skip
PREVIEW_QUALITY = 95  # of JPEG
EXTENSIONS = "/extensions/talking_head"


def _joined(folder: Path) -> dict[str, Any]:
    texts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    return texts.pop("main", {}) | texts


class PageServer:
    """A running server; use it as a context manager.

    Attributes:
        host: the stand-in that runs the prompts.
        url: of the page.
    """

    def __init__(self, base: Path) -> None:
        self.host = Host(base)
        self.url = ""
        self._users = base / "user"
        self._settings = dict(SETTINGS)
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._features: dict[str, dict[str, Any]] = {}  # what each page can do
        self._prompts = 0
        self._busy = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task] = set()

    def __enter__(self) -> "PageServer":
        self.host.__enter__()
        pack = load_as_comfyui()  # here, so that it finds a server to answer for
        self.host.add(pack)
        self.host.tell = self._tell
        self.host.takes_metadata = lambda page: bool(
            self._features.get(page or "", {}).get("supports_preview_metadata")
        )
        self._web = ROOT / pack.WEB_DIRECTORY
        self._thread.start()
        self._runner: web.AppRunner = self._in_loop(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._in_loop(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.host.__exit__()

    def _in_loop(self, work: Any) -> Any:
        done: Future = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(60)

    async def _start(self) -> web.AppRunner:
        runner = web.AppRunner(self._app(), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    # ------------------------------------------------------------------ what is answered

    def _app(self) -> web.Application:
        import comfyui_frontend_package

        static = Path(str(comfyui_frontend_package.__file__)).parent / "static"
        table = web.RouteTableDef()
        for path, content in SILENT_ANSWERS.items():
            table.get(path)(_always(content))
        table.get("/ws")(self._listen)
        table.get("/system_stats")(self._system)
        table.get("/extensions")(self._scripts)
        table.get("/object_info")(self._nodes)
        table.get("/i18n")(self._texts)
        table.get("/settings")(self._get_settings)
        table.post("/settings")(self._set_settings)
        table.post("/settings/{id}")(self._set_setting)
        table.post("/prompt")(self._queue)
        table.post("/interrupt")(self._interrupt)
        table.get("/view")(self._view)
        template_routes.add_to(table)
        table.get("/userdata")(self._list_files)
        table.get("/userdata/{file}")(self._get_file)
        table.post("/userdata/{file}")(self._put_file)
        table.delete("/userdata/{file}")(self._delete_file)
        app = web.Application(client_max_size=1 << 27)
        for route in (*self.host.routes, *table):  # packs come first, as in ComfyUI, and may answer in core's place
            assert isinstance(route, web.RouteDef)
            app.router.add_route(route.method, route.path, route.handler)
            app.router.add_route(route.method, "/api" + route.path, route.handler)
        app.router.add_static(EXTENSIONS, self._web)
        app.router.add_get("/", _always_file(static / "index.html"))
        app.router.add_static("/", static)
        return app

    async def _system(self, _request: web.Request) -> web.Response:
        system = {
            "os": "posix", "comfyui_version": "0.0.0", "python_version": "3", "pytorch_version": "2", "argv": [],
            "required_frontend_version": version("comfyui-frontend-package"), "embedded_python": False,
            "ram_total": 1, "ram_free": 1,
        }  # fmt: skip
        return web.json_response({"system": system, "devices": []})

    async def _scripts(self, _request: web.Request) -> web.Response:
        scripts = sorted(path.relative_to(self._web).as_posix() for path in self._web.rglob("*.js"))
        return web.json_response([f"{EXTENSIONS}/{script}" for script in scripts])

    async def _nodes(self, _request: web.Request) -> web.Response:
        return web.json_response(self.host.object_info())

    async def _texts(self, _request: web.Request) -> web.Response:
        """Files of a language joined as core joins them: main.json, and each other one under its name."""
        languages = sorted((ROOT / "locales").iterdir())
        return web.json_response({folder.name: _joined(folder) for folder in languages})

    async def _get_settings(self, _request: web.Request) -> web.Response:
        return web.json_response(self._settings)

    async def _set_settings(self, request: web.Request) -> web.Response:
        self._settings.update(await request.json())
        return web.json_response({})

    async def _set_setting(self, request: web.Request) -> web.Response:
        self._settings[request.match_info["id"]] = await request.json()
        return web.json_response({})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        asked = request.rel_url.query
        root = self.host.folders[asked.get("type", "output")]
        return await _file(_within(root, asked.get("subfolder", ""), asked["filename"]))

    # ------------------------------------------------------------------ files of the user, as ComfyUI keeps them

    def _user_file(self, request: web.Request) -> Path:
        return _within(self._users, unquote(request.match_info["file"]))

    async def _list_files(self, request: web.Request) -> web.Response:
        folder = _within(self._users, request.rel_url.query["dir"])
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            return web.Response(status=404)
        names = [path.relative_to(folder).as_posix() for path in files]
        if request.rel_url.query.get("full_info") == "true":
            return web.json_response([{"path": name, "size": 1, "modified": 0, "created": 0} for name in names])
        return web.json_response(names)

    async def _get_file(self, request: web.Request) -> web.StreamResponse:
        return await _file(self._user_file(request))

    async def _put_file(self, request: web.Request) -> web.Response:
        path = self._user_file(request)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(await request.read())
        return web.json_response(path.relative_to(self._users).as_posix())

    async def _delete_file(self, request: web.Request) -> web.Response:
        self._user_file(request).unlink()
        return web.Response(status=204)

    # ------------------------------------------------------------------ runs, and what the page hears of them

    async def _listen(self, request: web.Request) -> web.WebSocketResponse:
        socket, page = web.WebSocketResponse(), request.rel_url.query.get("clientId") or uuid4().hex
        await socket.prepare(request)
        self._sockets[page], self._features[page] = socket, {}
        await socket.send_json({"type": "status", "data": {**self._status(), "sid": page}})
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                said = json.loads(message.data)
                if said.get("type") == "feature_flags":
                    self._features[page] = said["data"]
                    await socket.send_json({"type": "feature_flags", "data": FEATURES})
        if self._sockets.get(page) is socket:  # and not one that has come back
            del self._sockets[page], self._features[page]
        return socket

    def _status(self) -> dict[str, Any]:
        return {"status": {"exec_info": {"queue_remaining": int(self._busy.locked())}}}

    def _tell(self, event: str | int, content: Any, page: str | None) -> None:
        """Send an event to a page, or to all; called from the thread that runs a prompt."""
        self._in_loop(self._send(_message(event, content), page))

    async def _tell_status(self) -> None:
        await self._send(_message("status", self._status()), None)

    async def _send(self, message: str | bytes, page: str | None) -> None:
        sockets = self._sockets if page is None else {page} & self._sockets.keys()
        for socket in [self._sockets[name] for name in sockets]:
            with contextlib.suppress(ConnectionError):
                await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))

    async def _queue(self, request: web.Request) -> web.Response:
        body = await request.json()
        faults = self.host.validate(body["prompt"])
        if faults:
            error = {"type": "prompt_outputs_failed_validation", "message": "; ".join(faults.values())}
            return web.json_response(
                {"error": error | {"details": "", "extra_info": {}}, "node_errors": {}}, status=400
            )
        self._prompts += 1
        name = body.get("prompt_id") or str(uuid4())
        task = asyncio.create_task(self._run(name, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response({"prompt_id": name, "number": self._prompts, "node_errors": {}})

    async def _run(self, name: str, body: dict[str, Any]) -> None:
        extra, page = body.get("extra_data", {}).get("extra_pnginfo"), body.get("client_id")
        async with self._busy:
            for _ in ("queued", "taken from the queue"):
                await self._tell_status()
            await asyncio.to_thread(self.host.run, body["prompt"], extra, name, page)
        await self._tell_status()
        if page is not None:
            await self._send(_message("executing", {"node": None, "prompt_id": name}), page)

    async def _interrupt(self, _request: web.Request) -> web.Response:
        self.host.interrupted.set()
        return web.Response()


def _message(event: str | int, content: Any) -> str | bytes:
    """An event as it is sent: as JSON; a preview as its number, what is known of it, and the picture."""
    if event == PREVIEW:
        return struct.pack(">II", 1, 1) + _preview_bytes(content)  # event 1, a picture; format 1, JPEG
    if event == PREVIEW_WITH_METADATA:
        preview, metadata = content
        described = json.dumps({**metadata, "image_type": "image/jpeg"}).encode()
        return struct.pack(">II", event, len(described)) + described + _preview_bytes(preview)
    return json.dumps({"type": event, "data": content})


def _preview_bytes(preview: tuple[str, Any, int | None]) -> bytes:
    form, picture, side = preview
    file = BytesIO()
    shown = picture if side is None else ImageOps.contain(picture, (side, side))
    shown.save(file, form, quality=PREVIEW_QUALITY)
    return file.getvalue()


def _always(content: Any) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(content)

    return answer


def _always_file(path: Path) -> Any:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return await _file(path)

    return answer


async def _file(path: Path) -> web.StreamResponse:
    return web.FileResponse(path) if path.is_file() else web.Response(status=404)


def _within(root: Path, *parts: str) -> Path:
    path = root.joinpath(*parts).resolve()
    if not path.is_relative_to(root.resolve()):
        raise web.HTTPForbidden
    return path


def main() -> None:
    """Serve the page until stopped, to look at it: python tests/page_server.py FOLDER."""
    import sys
    import time

    with PageServer(Path(sys.argv[1])) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(86_400)


if __name__ == "__main__":
    main()
