"""The names that `import talking_head` gives, and that type checkers see the same ones."""

import ast
import subprocess
import sys
from importlib import import_module

import pytest
from conftest import ROOT
from test_packaging import PROJECT

import talking_head

TREE = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
MODULES = [import_module(f"talking_head.{name}") for name in ("apps.animation", "diffpose", "lp_core")]
PUBLIC = {name for module in MODULES for name in module.__all__}
WANTED = {
    "animate", "Animation", "Portrait", "Audio", "MotionSequence", "Style", "choose_generator", "choose_renderer",
    "LiveSession", "MotionOptions", "RenderOptions", "VideoOptions",
}  # fmt: skip


def seen_by_type_checkers() -> set[str]:
    """The names that are imported or declared for type checkers alone."""
    (block,) = (
        node for node in TREE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {ast.unparse(node.target) for node in block.body if isinstance(node, ast.AnnAssign)}


def test_the_api_is_what_the_modules_make_public():
    comfyui = {"NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"}
    assert set(talking_head.__all__) == PUBLIC | comfyui | {"__version__"}
    assert WANTED <= PUBLIC
    assert len(talking_head.__all__) == len(set(talking_head.__all__))


def test_no_name_is_public_in_two_modules():
    assert sum(len(module.__all__) for module in MODULES) == len(PUBLIC)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_exist(module):
    for name in module.__all__:
        assert getattr(talking_head, name) is getattr(module, name)


def test_type_checkers_see_every_name():
    assert seen_by_type_checkers() == PUBLIC | {"__version__"}


def test_names_are_listed_before_they_are_used():
    assert set(talking_head.__all__) <= set(dir(talking_head))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'animated'"):
        _ = talking_head.animated  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(talking_head, "comfy_entrypoint")  # which ComfyUI looks for


def test_the_version_is_the_project_s():
    assert talking_head.__version__ == PROJECT["project"]["version"]


def test_names_are_found_under_comfyui_s_name_of_the_pack():
    name = str(ROOT).replace(".", "_x_")
    script = f"""
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location({name!r}, {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}])
module = module_from_spec(spec)
sys.modules[{name!r}] = module
spec.loader.exec_module(module)
assert {name!r} + ".apps.animation" not in sys.modules
print(module.animate.__module__, module.__version__)
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.split() == [f"{name}.apps.animation", PROJECT["project"]["version"]]


def test_types_are_installed():
    data = PROJECT["tool"]["setuptools"]["package-data"]["talking_head"]
    assert {"py.typed", "pyproject.toml"} <= set(data)
    assert (ROOT / "py.typed").is_file()
