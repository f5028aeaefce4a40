"""Who may import what, read from the source; and that importing the pack loads little and changes nothing."""

import ast
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from conftest import ROOT

LAYERS = {
    "lp_core": {"lp_core"},
    "diffpose": {"lp_core", "diffpose"},
    "apps": {"lp_core", "diffpose", "apps"},
    "nodes": {"lp_core", "diffpose", "nodes"},
}
ROOMS = (  # from the roof down: each imports only those after it
    "apps.cli",
    "apps.animation",
    "apps.live",
    "diffpose.training",
    "diffpose.live",
    "diffpose.pose_sources",
    "diffpose.generator",
    "diffpose.encoders",
    "diffpose.convert",
    "diffpose.difflivehead",
    "diffpose.ditto",
    "diffpose.talker",
    "diffpose.diffusion",
    "diffpose.procedural",
    "diffpose.motion_generator",
    "diffpose.steering",
    "diffpose.expression_keys",
    "diffpose.keyframes",
    "diffpose.speech",
    "diffpose.container",
    "diffpose.transformer",
    "lp_core.choice",
    "lp_core.live",
    "lp_core.liveportrait",
    "lp_core.mesh",
    "lp_core.render",
    "lp_core.weights",
    "lp_core.faces",
    "lp_core.motion",
    "lp_core.media",
    "lp_core.compute",
    "lp_core.options",
    "lp_core.once",
)
HOST_MODULES = {"folder_paths", "comfy", "comfy_api", "server", "execution", "nodes"}
HEAVY = {"cv2", "librosa", "transformers", "skimage", "scipy", "kornia", "mediapipe", "av", "PIL", "tqdm"}
NEEDED_AT_ONCE = {"torch", "numpy", "safetensors"}
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every import statement in a file with the module it names, relative ones from the root: ".lp_core.motion"."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node, node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            assert len(package) >= node.level - 1, f"{path} imports from above the pack"
            below = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node, "." + ".".join([*base, name])) for name in below)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_each_layer_imports_only_those_below(path):
    layer = path.relative_to(ROOT).parts[0]
    for node, module in imports(path):
        first = module.lstrip(".").split(".")[0]
        if module.startswith("."):
            assert first in LAYERS[layer], f"{name_of(path)}:{node.lineno}: {layer} imports {first}"
        else:
            assert first not in {*LAYERS, "talking_head"}, f"{name_of(path)}:{node.lineno}"


def room_of(parts: Iterable[str]) -> str:
    """The folder or module of a floor that a module stands in, such as "lp_core.media" or "diffpose.live"."""
    return ".".join(list(parts)[:2])


def arrows() -> dict[str, set[str]]:
    """The other rooms that the modules of each room import; the floors' own __init__ re-export and are left out."""
    rooms: dict[str, set[str]] = {}
    for path in (path for path in MODULES if path.parts[-1] != "__init__.py" and "nodes" not in path.parts):
        parts = path.relative_to(ROOT).with_suffix("").parts
        named = {room_of(module.split(".")[1:]) for _, module in imports(path) if module.startswith(".")}
        rooms.setdefault(room_of(parts), set()).update(named - {room_of(parts)})
    return rooms


def test_every_room_imports_only_those_below_it():
    position = {room: index for index, room in enumerate(ROOMS)}
    found = arrows()
    assert set(found) | set().union(*found.values()) <= set(ROOMS), "a new room needs its place in ROOMS"
    up = {
        f"{room} → {named}" for room, below in found.items() for named in below if position[named] <= position[room]
    }
    assert not up


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_host_module_knows_comfyui(path):
    if name_of(path) == "nodes/host.py":
        return
    named = {module.split(".")[0] for _, module in imports(path) if not module.startswith(".")}
    assert not named & HOST_MODULES, f"{name_of(path)} imports {named & HOST_MODULES}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_training_is_imported_by_nobody_else(path):
    if "training" in path.parts:
        return
    assert not [module for _, module in imports(path) if module.startswith(".diffpose.training")]


@pytest.mark.parametrize("path", [*MODULES, ROOT / "__init__.py"], ids=name_of)
def test_heavy_packages_are_imported_where_they_are_used(path):
    if "training" in path.parts:
        return
    at_once = [node for node in tree_of(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in at_once:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        found = {name.split(".")[0] for name in names if not getattr(node, "level", 0)} & HEAVY
        assert not found, f"{name_of(path)}:{node.lineno} imports {found} with the pack"


@pytest.mark.parametrize("path", [*MODULES, ROOT / "__init__.py", ROOT / "__main__.py"], ids=name_of)
def test_nothing_touches_the_search_path(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and node.attr == "path":
            assert not (isinstance(node.value, ast.Name) and node.value.id == "sys"), name_of(path)


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What importing the pack as ComfyUI does, from elsewhere, brought with it."""
    script = f"""
        import importlib.util, json, logging, sys, threading
        import numpy, torch
        before, path = set(sys.modules), list(sys.path)
        handlers, random = list(logging.root.handlers), torch.random.get_rng_state()
        name = {str(ROOT).replace(".", "_x_")!r}
        spec = importlib.util.spec_from_file_location(
            name, {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
        )
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        print(json.dumps({{
            "modules": sorted(set(sys.modules) - before),
            "path kept": sys.path == path,
            "threads": threading.active_count(),
            "log kept": logging.root.handlers == handlers,
            "seed kept": torch.equal(torch.random.get_rng_state(), random),
            "nodes": sorted(module.NODE_CLASS_MAPPINGS),
        }}))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_pack_loads_from_anywhere_under_comfyuis_name(imported):
    assert "LivePortraitRender" in imported["nodes"]


def test_importing_loads_nothing_heavy(imported):
    assert not {module.split(".")[0] for module in imported["modules"]} & HEAVY


def test_importing_loads_no_other_package_than_it_needs_at_once(imported):
    loaded = {module.split(".")[0] for module in imported["modules"]}
    assert loaded & set(packages_distributions()) <= NEEDED_AT_ONCE


def test_importing_has_no_side_effects(imported):
    assert imported["path kept"]
    assert imported["log kept"]
    assert imported["seed kept"]
    assert imported["threads"] == 1
