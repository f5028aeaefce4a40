"""A small stand-in for ComfyUI's loader and executor, for tests.

It is not ComfyUI and shares no code with it: it restates the part of the contract that classic (V1) nodes rely on.
A test that passes here says that our nodes keep that contract as restated. Left out: V3 nodes, list mapping, lazy
inputs, node expansion, models that are loaded in part.
"""

import hashlib
import importlib.util
import json
import math
import os
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import core_diffusion
import torch
from aiohttp import web
from conftest import ROOT
from run_messages import RunMessages

WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
CASTS: dict[str, Callable] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
ONLY_IN_THE_PAGE = ("Note", "MarkdownNote", "Reroute", "PrimitiveNode")


class InterruptedRunError(Exception):
    """What ComfyUI raises in the running node when Stop was pressed."""


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        status: "success", "rejected", "error" or "interrupted".
        executed: ids of the nodes that ran.
        cached: ids of the nodes whose earlier result was taken.
        shown: what each node showed on the page, by id.
        values: outputs of each node, by id.
        errors: sentences, by id of the node.
    """

    status: str = "success"
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    shown: dict[str, dict] = field(default_factory=dict)
    values: dict[str, tuple] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def load_as_comfyui(root: Path = ROOT) -> types.ModuleType:
    """The pack imported as ComfyUI's loader does: under its own path, with nothing of it on sys.path."""
    name = str(root).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(
        name, root / "__init__.py", submodule_search_locations=[str(root)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Host:
    """A ComfyUI that is not one: folders, modules that packs import, and an executor with a cache.

    Use it as a context manager: inside, `folder_paths`, `comfy.*` and `nodes` can be imported.
    """

    def __init__(self, base: Path, pack: types.ModuleType | None = None) -> None:
        self.folders = {kind: base / kind for kind in ("input", "output", "temp", "models")}
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self.routes = web.RouteTableDef()  # what packs let the server answer
        self.interrupted = threading.Event()
        self.free_memory = 2**40  # bytes
        self.memory = ModelMemory()
        self.model_folders: dict[str, list[str]] = {}  # as extra_model_paths.yaml has filled them before packs come
        self.running = ""  # id of the node at work
        self.progress: list[tuple[int, int, Any]] = []
        self.sent: list[tuple[str, dict]] = []  # events of packs for the page
        # Hears what the page is told: an event, its content, and which page is meant, None for all.
        self.tell: Callable[[str | int, Any, str | None], None] = lambda _event, _content, _client: None
        self.takes_metadata: Callable[[str | None], bool] = lambda _client: (
            False
        )  # with previews; whether a page can
        self.server = types.SimpleNamespace(send_sync=self.send, routes=self.routes, client_id=None)
        self.messages = self._messages_of("")
        self.arguments = types.SimpleNamespace(disable_metadata=False)
        self.classes: dict[str, Any] = {node.__name__: node for node in CORE_NODES}
        self.titles: dict[str, str] = {}
        if pack is not None:
            self.add(pack)
        self._results: dict[tuple, tuple[tuple, dict | None]] = {}
        self._objects: dict[tuple[str, str], Any] = {}
        self._hidden: dict[str, types.ModuleType | None] = {}

    def add(self, pack: types.ModuleType) -> None:
        """Take a pack's nodes in, as ComfyUI does when it has imported the pack."""
        self.classes.update(pack.NODE_CLASS_MAPPINGS)
        self.titles.update(pack.NODE_DISPLAY_NAME_MAPPINGS)

    # ------------------------------------------------------------------ the modules that packs import

    def __enter__(self) -> "Host":
        modules = _fake_modules(self)
        self._hidden = {name: sys.modules.get(name) for name in modules}
        sys.modules.update(modules)
        return self

    def __exit__(self, *_: object) -> None:
        for name, hidden in self._hidden.items():
            if hidden is None:
                del sys.modules[name]
            else:
                sys.modules[name] = hidden

    def add_model_folder(self, name: str, path: str) -> None:
        """What `add_model_folder_path` does: folders of the same name stay before it."""
        folders = self.model_folders.setdefault(name, [])
        if path not in folders:
            folders.append(path)

    def stop_when_asked(self) -> None:
        """What `throw_exception_if_processing_interrupted` does."""
        if self.interrupted.is_set():
            self.interrupted.clear()
            raise InterruptedRunError

    def send(self, event: str, content: dict, sid: str | None = None) -> None:
        """What the server's `send_sync` does, which takes JSON only; `sid` names a page, None means all."""
        self.sent.append((event, json.loads(json.dumps(content))))
        self.tell(*self.sent[-1], sid)

    def _messages_of(self, prompt_id: str) -> RunMessages:
        client = self.server.client_id
        return RunMessages(
            lambda event, content: self.tell(event, content, client), prompt_id, self.takes_metadata(client)
        )

    # ------------------------------------------------------------------ descriptions and prompts

    def object_info(self) -> dict[str, dict]:
        """What the page is told about every node; must be JSON."""
        described = {
            name: {
                "input": node.INPUT_TYPES(),
                "output": list(node.RETURN_TYPES),
                "output_name": list(getattr(node, "RETURN_NAMES", node.RETURN_TYPES)),
                "output_is_list": [False] * len(node.RETURN_TYPES),
                "output_tooltips": list(getattr(node, "OUTPUT_TOOLTIPS", [])),
                "name": name,
                "display_name": self.titles.get(name, name),
                "description": getattr(node, "DESCRIPTION", ""),
                "python_module": self.module_of(name),
                "category": node.CATEGORY,
                "output_node": getattr(node, "OUTPUT_NODE", False),
                "has_intermediate_output": getattr(node, "HAS_INTERMEDIATE_OUTPUT", False),
                "search_aliases": list(getattr(node, "SEARCH_ALIASES", [])),
            }
            for name, node in self.classes.items()
        }
        return json.loads(json.dumps(described))

    def module_of(self, name: str) -> str:
        """Where a node comes from, as the page is told."""
        return "nodes" if self.classes[name] in CORE_NODES else "custom_nodes.talking_head"

    def prompt_of(self, workflow: dict) -> dict[str, dict]:
        """The API-format prompt of a workflow in the frontend's own format, for plain widgets."""
        links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
        nodes = [node for node in workflow["nodes"] if node["type"] not in ONLY_IN_THE_PAGE]
        assert all(node.get("mode", 0) == 0 for node in nodes), "muted and bypassed nodes are not restated"
        return {
            str(node["id"]): {"class_type": node["type"], "inputs": self._inputs_of(node, links)} for node in nodes
        }

    def _inputs_of(self, node: dict, links: dict[int, list]) -> dict[str, Any]:
        linked = {slot["name"]: links[slot["link"]] for slot in node.get("inputs", []) if slot.get("link")}
        values = iter(node.get("widgets_values") or [])
        defaults = defaults_of(self.classes[node["type"]])
        inputs: dict[str, Any] = {}
        for name, (kind, options) in inputs_of(self.classes[node["type"]]).items():
            if is_widget(kind, options):
                # The page leaves widgets at their defaults that were appended after a workflow was saved.
                inputs[name] = next(values, defaults.get(name))
                if options.get("control_after_generate"):
                    next(values, None)
        return inputs | linked

    # ------------------------------------------------------------------ validation

    def validate(self, prompt: dict[str, dict]) -> dict[str, str]:
        """Sentences about what is wrong, by node id; nothing runs unless there are none."""
        unknown = {i: f"no node {node['class_type']}" for i, node in prompt.items() if not self._class(node)}
        if unknown:
            return unknown
        if not any(self._is_end(node) for node in prompt.values()):
            return {"": "Prompt has no outputs"}
        faults = {i: "; ".join(self._faults(node, prompt)) for i, node in prompt.items()}
        return {i: fault for i, fault in faults.items() if fault}

    def _class(self, node: dict) -> Any:
        return self.classes.get(node["class_type"])

    def _faults(self, node: dict, prompt: dict[str, dict]) -> list[str]:
        node_class, given = self._class(node), node["inputs"]
        own = getattr(node_class, "VALIDATE_INPUTS", None)
        judged = _argument_names(own) if own else set()
        faults = []
        for name, (kind, options) in inputs_of(node_class).items():
            if name in given:
                faults += self._fault(name, kind, options, given, prompt, name in judged)
            elif name in node_class.INPUT_TYPES()["required"]:
                faults.append(f"required input {name} is missing")
        if own and not faults:
            verdict = own(
                **{name: None if is_link(given[name]) else given[name] for name in judged if name in given}
            )
            faults += [] if verdict is True else [str(verdict)]
        return faults

    def _fault(self, name, kind, options, given, prompt, judged) -> list[str]:
        value = given[name]
        if is_link(value):
            source = self._class(prompt[value[0]]).RETURN_TYPES[value[1]]
            wanted = "COMBO" if isinstance(kind, list) else kind
            return [] if source in wanted.split(",") else [f"{name} takes {wanted}, not {source}"]
        if isinstance(kind, str) and kind in CASTS:
            value = given[name] = CASTS[kind](value)
        if judged:
            return []
        if isinstance(kind, list) and value not in kind:
            return [f"{name}: {value!r} is not in the list"]
        if kind in ("INT", "FLOAT") and not options.get("min", -math.inf) <= value <= options.get("max", math.inf):
            return [f"{name}: {value} is out of range"]
        return []

    # ------------------------------------------------------------------ execution

    def run(
        self,
        prompt: dict[str, dict],
        extra_pnginfo: dict | None = None,
        prompt_id: str = "",
        client: str | None = None,
    ) -> Outcome:
        """Validate and run a prompt under inference mode, taking unchanged nodes from the cache.

        `client` is the page that asks for it; other programs may give none.
        """
        errors = self.validate(prompt)
        if errors:
            return Outcome("rejected", errors=errors)
        outcome = Outcome()
        prompt = {i: node | {"inputs": self._known(node)} for i, node in prompt.items()}
        signatures = {i: self._signature(i, prompt) for i in prompt}
        self._results = {key: value for key, value in self._results.items() if key in signatures.values()}
        outcome.cached = [i for i in prompt if signatures[i] in self._results]
        self.interrupted.clear()
        self.running, self.server.client_id = "", client
        self.messages = self._messages_of(prompt_id)
        self.messages.begin(outcome.cached)
        ends = [i for i, node in prompt.items() if self._is_end(node)]
        try:
            with torch.inference_mode():
                for end in ends:
                    self._need(end, prompt, signatures, outcome, extra_pnginfo)
            self._show_again(prompt, signatures, outcome)
        except InterruptedRunError:
            outcome.status = "interrupted"
        except Exception as error:
            outcome.status = "error"
            outcome.errors[self.running] = str(error)
        self._tell_end(prompt, outcome)
        return outcome

    def _known(self, node: dict) -> dict[str, Any]:
        """The inputs of a node in a prompt that it has; the page sends players of sound and video as well."""
        known = inputs_of(self._class(node))
        return {name: value for name, value in node["inputs"].items() if name in known}

    def _show_again(self, prompt: dict[str, dict], signatures: dict[str, tuple], outcome: Outcome) -> None:
        """Nodes in mid-graph that were taken from the cache and ask for it show their result again."""
        for i in outcome.cached:
            _, shown = self._results[signatures[i]]
            is_asked = getattr(self._class(prompt[i]), "HAS_INTERMEDIATE_OUTPUT", False)
            if i not in outcome.shown and is_asked:
                self._show(i, shown, outcome)

    def _show(self, i: str, shown: dict | None, outcome: Outcome) -> None:
        if shown:
            outcome.shown[i] = shown
        self.messages.show(i, shown)

    def _tell_end(self, prompt: dict[str, dict], outcome: Outcome) -> None:
        details: dict[str, Any] = {}
        if outcome.status != "success":
            details = {"node_id": self.running, "node_type": prompt[self.running]["class_type"]}
            details["executed"] = outcome.executed
        if outcome.status == "error":
            details |= {"exception_message": outcome.errors[self.running], "exception_type": "Error"}
            details |= {"traceback": [], "current_inputs": {}, "current_outputs": []}
        self.messages.end(outcome.status, details)

    def _need(self, i, prompt, signatures, outcome, extra) -> tuple:
        """The values of a node, which runs if it has not; of kept ones the page hears at the ends only."""
        if i in outcome.values:
            return outcome.values[i]
        is_kept = signatures[i] in self._results
        if not is_kept:
            given = {
                name: self._need(value[0], prompt, signatures, outcome, extra)[value[1]]
                if is_link(value)
                else value
                for name, value in prompt[i]["inputs"].items()
            }
            self._results[signatures[i]] = self._execute(i, prompt, given, extra)
            outcome.executed.append(i)
        outcome.values[i], shown = self._results[signatures[i]]
        if not is_kept or self._is_end(prompt[i]):
            if shown or is_kept:
                self._show(i, shown, outcome)
            self.messages.leave(i)
        return outcome.values[i]

    def _is_end(self, node: dict) -> bool:
        return getattr(self._class(node), "OUTPUT_NODE", False)

    def _execute(self, i, prompt, given, extra) -> tuple[tuple, dict | None]:
        node_class = self._class(prompt[i])
        hidden = {"PROMPT": prompt, "EXTRA_PNGINFO": extra, "UNIQUE_ID": i}
        wanted = node_class.INPUT_TYPES().get("hidden", {})
        node = self._objects.setdefault((i, node_class.__name__), node_class())
        self.running = i
        self.messages.enter(i)
        self.stop_when_asked()
        result = getattr(node, node_class.FUNCTION)(
            **given, **{name: hidden[kind] for name, kind in wanted.items()}
        )
        shown = result.get("ui") if isinstance(result, dict) else None
        values = result.get("result", ()) if isinstance(result, dict) else result
        assert isinstance(values, tuple), f"{node_class.__name__} must give a tuple"
        assert len(values) == len(node_class.RETURN_TYPES), f"{node_class.__name__} gives {len(values)} outputs"
        return values, json.loads(json.dumps(shown))  # what is no JSON kills ComfyUI's server

    def _signature(self, i: str, prompt: dict[str, dict]) -> tuple:
        """What decides whether an earlier result holds: class, inputs, IS_CHANGED, and those of all ancestors."""
        node = prompt[i]
        node_class, given = self._class(node), node["inputs"]
        changed = getattr(node_class, "IS_CHANGED", None)
        mark = changed(**{n: None if is_link(v) else v for n, v in given.items()}) if changed else None
        parts = [
            (name, (self._signature(value[0], prompt), value[1]) if is_link(value) else repr(value))
            for name, value in sorted(given.items())
        ]
        return (node["class_type"], mark, tuple(parts))


def is_link(value: object) -> bool:
    """Whether an input's value in a prompt is a link to another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def inputs_of(node_class: Any) -> dict[str, tuple[Any, dict]]:
    """Type and options of every input, by name, in the order of the node."""
    types_ = node_class.INPUT_TYPES()
    return {
        name: (spec[0], spec[1] if len(spec) > 1 else {})
        for section in ("required", "optional")
        for name, spec in types_.get(section, {}).items()
    }


def defaults_of(node_class: Any) -> dict[str, Any]:
    """The values that a fresh node's widgets show, by name."""
    return {
        name: options["default"] for name, (_, options) in inputs_of(node_class).items() if "default" in options
    }


def is_widget(kind: Any, options: dict) -> bool:
    """Whether the page draws an input as a widget, whose value is saved by position."""
    return (isinstance(kind, list) or kind in WIDGET_TYPES) and not options.get("forceInput")


def _argument_names(method: Any) -> set[str]:
    code = method.__func__.__code__
    return set(code.co_varnames[1 : code.co_argcount])


def _fake_modules(host: Host) -> dict[str, types.ModuleType]:
    """The modules of ComfyUI that packs import, as far as ours does."""

    class ProgressBar:
        def __init__(self, total: int) -> None:
            self.total = total

        def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
            host.stop_when_asked()
            host.progress.append((value, total or self.total, preview))
            host.messages.progress(host.running, value, total or self.total, preview)

    cpu = torch.device("cpu")
    folders = {kind: str(path) for kind, path in host.folders.items()}
    contents: dict[str, dict[str, Any]] = {
        "folder_paths": {
            "models_dir": folders["models"],
            "get_directory_by_type": folders.get,
            "get_save_image_path": _save_image_path,
            "add_model_folder_path": host.add_model_folder,
            "get_folder_paths": host.model_folders.__getitem__,
        },
        "comfy": {},
        "comfy.utils": {"ProgressBar": ProgressBar},
        "comfy.cli_args": {"args": host.arguments},
        "comfy.model_management": {
            "throw_exception_if_processing_interrupted": host.stop_when_asked,
            "get_torch_device": lambda: cpu,
            "intermediate_device": lambda: cpu,
            "get_free_memory": lambda _device: host.free_memory,
            "unet_offload_device": lambda: host.memory.offload_device,
            "load_models_gpu": host.memory.load,
            "unload_all_models": host.memory.unload_all,
        },
        "comfy.model_patcher": {"ModelPatcher": ModelPatcher},
        "nodes": {"NODE_CLASS_MAPPINGS": host.classes},
        "comfy_api": {},
        "comfy_api.latest": {"InputImpl": types.SimpleNamespace(VideoFromFile=VideoFromFile)},
        "server": {"PromptServer": types.SimpleNamespace(instance=host.server)},
    }
    modules = {name: types.ModuleType(name) for name in contents}
    for name, module in modules.items():
        module.__dict__.update(contents[name])
    return modules


class ModelPatcher:
    """Core's care of a model. Where core keeps an unloaded one on the CPU, whose weights could still be used there
    by mistake, this one has it on "meta": who forgets to load it gets an error."""

    def __init__(self, model: torch.nn.Module, load_device: torch.device, offload_device: torch.device) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        self.model_size = sum(tensor.nbytes for tensor in model.state_dict().values())
        self._kept: list[tuple[dict, str, Any]] = []
        self.detach()

    @property
    def name(self) -> str:
        return " ".join(type(part).__name__ for part in self.model.children()) or type(self.model).__name__

    @property
    def loaded(self) -> bool:
        return not self._kept

    def detach(self) -> None:
        """Unload the model."""
        tables = [table for m in self.model.modules() for table in (m._parameters, m._buffers)]
        self.model.device = self.offload_device  # an attribute of core's own; not every class of module allows it
        self._kept = [(table, key, value) for table in tables for key, value in table.items() if value is not None]
        for table, key, value in self._kept:
            shadow = value.to(self.offload_device)
            is_parameter = isinstance(value, torch.nn.Parameter)
            table[key] = torch.nn.Parameter(shadow, requires_grad=False) if is_parameter else shadow

    def attach(self) -> None:
        for table, key, value in self._kept:
            table[key] = value
        self.model.device = self.load_device
        self._kept = []


class ModelMemory:
    """Core's memory for models, which makes room by unloading those that were used longest ago.

    Attributes:
        size: bytes that models and their work may take.
        loads: the models that were loaded, in order, and "" for every time that something was unloaded.
    """

    def __init__(self) -> None:
        self.size = 2**40
        self.offload_device = torch.device("meta")
        self.loaded: list[ModelPatcher] = []
        self.loads: list[str] = []

    def load(self, models: list[ModelPatcher], memory_required: float = 0, force_full_load: bool = False) -> None:
        """What `load_models_gpu` does."""
        assert force_full_load, "plain torch layers cannot be loaded in part"
        self.loaded = [model for model in self.loaded if model not in models]
        needed = memory_required + sum(model.model_size for model in models)
        while self.loaded and needed + sum(model.model_size for model in self.loaded) > self.size:
            self.loaded.pop(0).detach()
            self.loads.append("")
        for model in models:
            if not model.loaded:
                model.attach()
                self.loads.append(model.name)
        self.loaded += models

    def unload_all(self) -> None:
        """What `unload_all_models` does, and ComfyUI's button for it."""
        while self.loaded:
            self.loaded.pop().detach()


class VideoFromFile:
    """Core's value on VIDEO wires, as far as classic nodes use it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def get_components(self) -> Any:
        """Frames, sound and rate, all decoded."""
        from talking_head.lp_core.media.video import read_video

        video = read_video(self.path)
        sound = video.audio()
        audio = None if sound is None else {"waveform": sound.waveform[None], "sample_rate": sound.sample_rate}
        return types.SimpleNamespace(images=torch.cat(list(video.frames())), audio=audio, frame_rate=video.fps)


def _save_image_path(prefix: str, folder: str, width: int = 0, height: int = 0) -> tuple[str, str, int, str, str]:
    filled = os.path.normpath(prefix.replace("%width%", str(width)).replace("%height%", str(height)))
    subfolder, name = os.path.split(filled)
    place = Path(folder, subfolder)
    place.mkdir(parents=True, exist_ok=True)
    counters = [int(path.stem[len(name) + 1 :].split("_")[0]) for path in place.glob(f"{name}_*_*")]
    return str(place), name, max(counters, default=0) + 1, subfolder, filled


def _input_file(name: str) -> Path:
    return Path(sys.modules["folder_paths"].get_directory_by_type("input"), name)


def _input_files(*suffixes: str) -> list[str]:
    folder = Path(sys.modules["folder_paths"].get_directory_by_type("input"))
    return sorted(path.name for path in folder.iterdir() if path.suffix in suffixes)


def _is_there(name: str) -> bool | str:
    return _input_file(name).is_file() or f"Invalid file: {name}"


def _hash(name: str) -> str:
    return hashlib.sha256(_input_file(name).read_bytes()).hexdigest()


class LoadImage:
    """Core's picture loader: IMAGE, and MASK of 64×64 zeros for a picture without transparency."""

    CATEGORY, FUNCTION, RETURN_TYPES = "core", "load", ("IMAGE", "MASK")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": (_input_files(".png", ".jpg"), {"image_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, image):
        return _is_there(image)

    @classmethod
    def IS_CHANGED(cls, image):
        return _hash(image)

    def load(self, image):
        import numpy as np
        from PIL import Image

        with Image.open(_input_file(image)) as picture:
            pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
        return torch.from_numpy(pixels)[None], torch.zeros(1, 64, 64)


class LoadAudio:
    """Core's sound loader: AUDIO with the file's own rate and channels."""

    CATEGORY, FUNCTION, RETURN_TYPES = "core", "load", ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"audio": (_input_files(".wav", ".mp3"), {"audio_upload": True})}}

    @classmethod
    def IS_CHANGED(cls, audio):
        return _hash(audio)

    @classmethod
    def VALIDATE_INPUTS(cls, audio):
        return _is_there(audio)

    def load(self, audio):
        import av

        with av.open(str(_input_file(audio))) as container:
            stream = container.streams.audio[0]
            to_float = av.AudioResampler(format="fltp")
            blocks = [b.to_ndarray() for frame in container.decode(stream) for b in to_float.resample(frame)]
            waveform = torch.cat([torch.from_numpy(block) for block in blocks], 1)
            return ({"waveform": waveform[None], "sample_rate": stream.rate},)


class PreviewImage:
    """A node that takes pictures and shows none: an end for prompts in tests."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "core", "show", (), True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    def show(self, images):
        return {"ui": {"images": [{"shape": list(images.shape)}]}}


CORE_NODES = (LoadImage, LoadAudio, PreviewImage, *core_diffusion.NODES)
