"""The only module that touches ComfyUI; every function does its work without ComfyUI too.

Host modules are looked up when a function needs them, so that the nodes can be imported and called anywhere.
"""

import asyncio
import base64
import importlib
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from uuid import uuid4

import torch
from torch import Tensor, nn

from ..lp_core.choice import choose_renderer
from ..lp_core.compute.compute import Compute
from ..lp_core.compute.device import EnsureLoaded, choose_device, place_permanently
from ..lp_core.compute.transfer import as_bytes
from ..lp_core.media.jpeg import jpeg
from ..lp_core.media.picture import limited
from ..lp_core.render.portrait import Renderer
from ..lp_core.weights.folders import WeightKind, models_folders

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

Item = TypeVar("Item")
FolderKind = Literal["input", "output", "temp"]
DATE_PARTS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "hh": "%H", "mm": "%M", "ss": "%S"}
PREVIEW_SIDE = 512  # pixels; the largest preview that the page is sent
POST_BYTES, POSTS_AT_ONCE = 1 << 18, 4  # limits of what the page may ask
BUSY = "The server is at work on earlier requests."

_log = logging.getLogger(__name__)
_told: set[str] = set()  # ids whose clash has been logged in this process
_noticed: set[str] = set()  # details that the page has been shown in this process


def _module(name: str) -> ModuleType | None:
    """ComfyUI's module of that name, or None outside ComfyUI."""
    if "folder_paths" not in sys.modules:  # ComfyUI itself imports it first; another `comfy` would be no host
        return None
    return importlib.import_module(name)


def folder(kind: FolderKind) -> Path:
    """ComfyUI's input, output or temp folder; outside ComfyUI a folder of that name in the current one."""
    paths = _module("folder_paths")
    place = Path(paths.get_directory_by_type(kind)) if paths else Path.cwd() / kind
    place.mkdir(parents=True, exist_ok=True)
    return place


def model_folders(name: WeightKind) -> tuple[Path, ...]:
    """The folders that hold weights of a kind: ComfyUI's own and those that the user added.

    Outside ComfyUI those of `models_folders`, as for the Python API and the command line.
    """
    paths = _module("folder_paths")
    if not paths:
        return models_folders(name)
    paths.add_model_folder_path(name, os.path.join(paths.models_dir, name))
    return tuple(Path(place) for place in paths.get_folder_paths(name))


def find_file(name: str, kind: FolderKind = "input") -> Path:
    """The file that a widget names, such as "clip.mp4" or "motion/nod.safetensors [output]".

    Raises:
        FileNotFoundError: there is no such file in that folder.
    """
    if not name:
        raise FileNotFoundError(f"No file is chosen; put one into ComfyUI's {kind} folder {folder(kind)} first.")
    for other in ("input", "output", "temp"):
        if name.endswith(f"[{other}]"):
            name, kind = name.removesuffix(f"[{other}]").rstrip(), other
    root = os.path.abspath(folder(kind))
    path = os.path.abspath(os.path.join(root, name))
    if os.path.commonpath((root, path)) != root or not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {name!r} in ComfyUI's {kind} folder {root}; put it there first.")
    return Path(path)


def file_exists(name: str | None) -> bool | str:
    """True, or the sentence that ComfyUI shows; linked or empty names are left to the run."""
    if not name:
        return True
    try:
        find_file(name)
    except FileNotFoundError as error:
        return str(error)
    return True


def fingerprint(name: str | None) -> str:
    """What changes whenever the file that a widget names changes; for ComfyUI's IS_CHANGED."""
    if not name:
        return ""
    state = find_file(name).stat()
    return f"{state.st_mtime_ns} {state.st_size}"


def list_files(kind: FolderKind, suffixes: tuple[str, ...]) -> list[str]:
    """Files with one of the suffixes in a folder and the folders directly in it, by the names that widgets show."""
    root = folder(kind)
    found = [path for pattern in ("*", "*/*") for path in root.glob(pattern) if path.suffix.lower() in suffixes]
    mark = "" if kind == "input" else f" [{kind}]"
    return sorted(path.relative_to(root).as_posix() + mark for path in found)


def model_files(name: WeightKind, subfolder: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files with one of the suffixes in a subfolder of the folders for models of a kind, by their names."""
    folders = (place / subfolder for place in reversed(model_folders(name)))
    found = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return {path.name: path for path in found if path.suffix.lower() in suffixes}


@dataclass(frozen=True)
class SavePlace:
    """Where a result goes.

    Attributes:
        path: the file to write; it does not exist yet.
        shown: the same place as ComfyUI's page asks for it.
    """

    path: Path
    shown: dict[str, str]


def save_place(
    prefix: str, suffix: str, kind: Literal["output", "temp"] = "output", size: tuple[int, int] = (0, 0)
) -> SavePlace:
    """The next free place "prefix_00001.mp4" in the output or temp folder.

    Args:
        prefix: name, with folders if wished; %date% and %date:yyyy-MM-dd_hhmmss% become the present day and time,
            %width%, %height%, %year% … are filled in by ComfyUI.
        suffix: the ending, such as ".mp4".
        kind: which folder.
        size: width and height of the pictures, pixels.

    Raises:
        ValueError: the prefix leads out of the folder.
    """
    root = os.path.abspath(folder(kind))
    prefix = _dated(prefix, datetime.now())
    place = os.path.abspath(os.path.join(root, prefix))
    if os.path.commonpath((root, place)) != root or not prefix.strip():
        raise ValueError(f"The name {prefix!r} leads out of the {kind} folder; give a plain name or subfolder.")
    paths = _module("folder_paths")
    if paths:
        directory, name, counter, subfolder, _ = paths.get_save_image_path(prefix, root, *size)
    else:
        directory, name = os.path.split(place)
        os.makedirs(directory, exist_ok=True)
        counter = _next_counter(Path(directory), name)
        subfolder = "" if directory == root else os.path.relpath(directory, root)
    file = f"{name}_{counter:05}_{suffix}"
    return SavePlace(Path(directory, file), {"filename": file, "subfolder": subfolder, "type": kind})


def _dated(prefix: str, now: datetime) -> str:
    """A name with its %date% and %date:…% filled in, in the letters that ComfyUI's own save nodes take."""

    def written(wish: re.Match[str]) -> str:
        layout = wish[1] or "yyyy-MM-dd"
        return re.sub("|".join(DATE_PARTS), lambda part: now.strftime(DATE_PARTS[part[0]]), layout)

    return re.sub(r"%date(?::([^%]*))?%", written, prefix)


def video_from_file(path: Path) -> Any:
    """What a VIDEO wire carries for a file; without ComfyUI's own value for it our `Video`."""
    from ..lp_core.media.video import read_video

    try:
        api = _module("comfy_api.latest")
    except ModuleNotFoundError:  # a host that knows no VIDEO wires
        api = None
    return api.InputImpl.VideoFromFile(str(path)) if api else read_video(path)


def _next_counter(directory: Path, name: str) -> int:
    counters = (path.stem[len(name) + 1 :].split("_")[0] for path in directory.glob(f"{name}_*"))
    return max((int(counter) for counter in counters if counter.isdigit()), default=0) + 1


def device() -> torch.device:
    """Where to compute: ComfyUI's choice, else CUDA, Apple's GPU or the CPU."""
    management = _module("comfy.model_management")
    return management.get_torch_device() if management else choose_device()


def managed(networks: nn.Module, device: torch.device) -> EnsureLoaded:
    """The `ModelPlacement` by ComfyUI, which makes room for networks before they work and unloads them for others.

    Stop ends whoever asks for them. Outside ComfyUI they are moved to their device for good.
    """
    management, patching = _module("comfy.model_management"), _module("comfy.model_patcher")
    if management is None or patching is None:
        return place_permanently(networks, device)
    held = nn.ModuleList([networks])  # ComfyUI writes to its `device`, which transformers' networks do not allow
    patcher = patching.ModelPatcher(held, load_device=device, offload_device=management.unet_offload_device())

    def ensure_loaded(working_bytes: int = 0) -> None:
        stop_if_asked()
        management.load_models_gpu([patcher], memory_required=working_bytes, force_full_load=True)
        networks.to(device)  # with --novram ComfyUI leaves out parts, which its own layers fetch one by one

    return ensure_loaded


def compute(precision: str = "auto", acceleration: str = "none") -> Compute:
    """ComfyUI's device and model management, with a precision and an acceleration."""
    return Compute(device(), precision, acceleration, managed)


def renderer(name: str, animals: bool = False, computing: Compute | None = None) -> Renderer:
    """The renderer of that name, with weights of ComfyUI's models folders; computes as `compute` says when None."""
    return choose_renderer(name, computing or compute(), model_folders("liveportrait"), animals)


def result_device() -> torch.device:
    """Where ComfyUI wants the pictures that nodes hand out."""
    management = _module("comfy.model_management")
    return management.intermediate_device() if management else torch.device("cpu")


def free_memory() -> int | None:
    """Bytes of main memory that are free, as ComfyUI counts them; None outside ComfyUI."""
    management = _module("comfy.model_management")
    return int(management.get_free_memory(torch.device("cpu"))) if management else None


def stop_if_asked() -> None:
    """Raise ComfyUI's own exception when Stop was pressed."""
    management = _module("comfy.model_management")
    if management:
        management.throw_exception_if_processing_interrupted()


def stoppable(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, as they are asked for; Stop ends them."""
    for item in items:
        stop_if_asked()
        yield item


class Progress:
    """The progress bar of the running node; outside ComfyUI one on the console.

    Attributes:
        total: steps to do.
        done: steps done.
    """

    def __init__(self, total: int, what: str = "frames") -> None:
        self.total = total
        self.done = 0
        utilities = _module("comfy.utils")
        self._host = utilities.ProgressBar(total) if utilities else None
        self._console = None if utilities else _console_bar(total, what)

    def step(self, count: int = 1, preview: Tensor | None = None) -> None:
        """Note `count` steps done, with a picture (H, W, 3) to show, and honour Stop."""
        stop_if_asked()
        self.done += count
        if self._host is not None:
            self._host.update_absolute(self.done, self.total, None if preview is None else _preview(preview))
        if self._console is not None:
            self._console.update(count)


def watched(batches: Iterable[Tensor], total: int) -> Iterator[Tensor]:
    """The same batches of frames (B, H, W, C), each noted on a progress bar with a picture; Stop ends them.

    Not for nodes that show a video, written or uploaded: ComfyUI's page takes the picture for the video.
    """
    progress = Progress(total)
    for batch in batches:
        progress.step(len(batch), batch[-1, ..., :3])
        yield batch


def counted(batches: Iterable[Tensor], total: int) -> Iterator[Tensor]:
    """The same batches of frames (B, H, W, C), each noted on a progress bar without a picture; Stop ends them."""
    progress = Progress(total)
    for batch in batches:
        progress.step(len(batch))
        yield batch


def _console_bar(total: int, what: str) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, unit=what, disable=None)  # None: silent unless the console is a person's


def _preview(picture: Tensor) -> tuple[str, Any, int]:
    """What ComfyUI's progress bar takes for a picture."""
    return ("JPEG", _pillow(picture), PREVIEW_SIDE)


def _pillow(picture: Tensor) -> Any:
    """A picture (H, W, 3) in 0…1 as Pillow has it."""
    from PIL import Image

    return Image.fromarray(as_bytes(picture).cpu().numpy())


def _server() -> Any:
    """ComfyUI's server, or None outside ComfyUI."""
    return getattr(getattr(_module("server"), "PromptServer", None), "instance", None)


def notice(summary: str, detail: str, severity: Literal["info", "warn"] = "info") -> None:
    """Show a sentence on ComfyUI's page, once in this process, as the event `talking_head.notice`."""
    running = _server()
    if running is None or detail in _noticed:
        return
    _noticed.add(detail)
    running.send_sync("talking_head.notice", {"severity": severity, "summary": summary, "detail": detail})


def show_frame(node: str, picture: Tensor) -> None:
    """Show a picture (H, W, 3) in a node at work, as the event `talking_head.frame`.

    It goes to the page that asked for the run; nothing is sent where a program did, or outside ComfyUI.
    """
    running = _server()
    page = getattr(running, "client_id", None)
    if page is not None:
        content = {"node": node, "picture": picture_address(limited(picture, PREVIEW_SIDE))}
        running.send_sync("talking_head.frame", content, page)


def picture_address(picture: Tensor) -> str:
    """A picture (H, W, 3) in 0…1 as a JPEG file in a data: address."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(as_bytes(picture))).decode("ascii")


class GoneError(Exception):
    """What the page asks for is not kept any more."""


def answer_posts(path: str, answer: Callable[[bytes], Mapping[str, object]]) -> None:
    """Let ComfyUI's server answer what its page posts to a path; nothing outside ComfyUI.

    Args:
        path: such as "/talking_head/expression".
        answer: from the body to what is sent back as JSON; runs beside the server's event loop, a few at a time.
            Its ValueError is answered by 400, its GoneError by 404, with their sentence.

    Only JSON is taken (else 415): a page of another site cannot post that without asking the server first, which
    does not allow it. What a browser marks as another site's request is refused as well (403).
    """
    running = _server()
    if running is None or any(getattr(route, "path", None) == path for route in running.routes):
        return
    from aiohttp import web

    free = asyncio.Semaphore(POSTS_AT_ONCE)

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return web.json_response({"error": "Another site's page asked."}, status=403)
        if request.content_type != "application/json":
            return web.json_response({"error": "Requests are JSON (Content-Type: application/json)."}, status=415)
        if free.locked():
            return web.json_response({"error": BUSY}, status=503)
        async with free:
            content, status = await _answered(request.content, answer)
            return web.json_response(content, status=status)

    running.routes.post(path)(handle)


def serve_pictures(path: str, pictures: Mapping[str, Path]) -> None:
    """Let ComfyUI's server send JPEG files; nothing outside ComfyUI.

    Args:
        path: with `{name}` for the file's name, such as "/talking_head/pictures/{name}.jpg".
        pictures: the files by name; other names are answered by 404.
    """
    running = _server()
    if running is None or any(getattr(route, "path", None) == path for route in running.routes):
        return
    from aiohttp import web

    async def handle(request: web.Request) -> web.StreamResponse:
        picture = pictures.get(request.match_info["name"])
        return web.FileResponse(picture) if picture else web.Response(status=404)

    running.routes.get(path)(handle)


async def _answered(
    stream: "StreamReader", answer: Callable[[bytes], Mapping[str, object]]
) -> tuple[Mapping[str, object], int]:
    """What goes back for a request's body, and the HTTP status."""
    body = b""
    async for part in stream.iter_any():
        body += part
        if len(body) > POST_BYTES:
            return {"error": f"At most {POST_BYTES} bytes are read."}, 413
    try:
        return await asyncio.to_thread(answer, body), 200
    except ValueError as error:
        return {"error": str(error)}, 400
    except GoneError as error:
        return {"error": str(error)}, 404


def save_picture(picture: Tensor, name: str) -> SavePlace:
    """A picture (H, W, 3) saved in the temporary folder, for somebody to look at.

    The name gets a part of its own, since browsers keep what an earlier session showed under the same name.
    """
    place = save_place(f"{name}_{uuid4().hex[:8]}", ".png", "temp")
    _pillow(picture).save(place.path)
    return place


def embedded_workflow(prompt: object, extra: Mapping[str, object] | None) -> dict[str, str]:
    """Texts that let ComfyUI open a file as the workflow that made it; none when the user switched that off.

    Args:
        prompt: the hidden input PROMPT.
        extra: the hidden input EXTRA_PNGINFO.
    """
    arguments = _module("comfy.cli_args")
    if arguments and arguments.args.disable_metadata:
        return {}
    parts = {"prompt": prompt, **(extra or {})}
    return {name: json.dumps(value) for name, value in parts.items() if value is not None}


def report_clashes(ours: Mapping[str, type]) -> None:
    """Say in the log, once for each, which of our node ids another pack has registered as well."""
    comfy_nodes = sys.modules.get("nodes")
    registered = getattr(comfy_nodes, "NODE_CLASS_MAPPINGS", {})
    for name, our_class in ours.items():
        other = registered.get(name)
        if other is None or other is our_class or name in _told:
            continue
        _told.add(name)
        _log.warning(
            "Two packs have a node called %s: %s and %s. ComfyUI uses the one imported last; disable one of them.",
            name, _origin(our_class), _origin(other),
        )  # fmt: skip


def _origin(node_class: type) -> str:
    """The pack that a node class comes from, as ComfyUI or Python names it."""
    return getattr(node_class, "RELATIVE_PYTHON_MODULE", node_class.__module__)
