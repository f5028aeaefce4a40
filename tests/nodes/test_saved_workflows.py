"""What users' saved workflows lean on: ids, names, order and types of every node's inputs and outputs.

`saved/schemas.json` holds the nodes as they were at commit e8ad812, and `saved/workflows/` that commit's workflow
files. Widgets are saved by position, so an input may be added at the end only.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from host import ONLY_IN_THE_PAGE, Host, inputs_of, is_link, is_widget, load_as_comfyui

SAVED = ROOT / "tests" / "saved"
WORKFLOWS = sorted((SAVED / "workflows").glob("*.json"))
PACK = load_as_comfyui()


def schema_of(node_class: Any) -> dict[str, Any]:
    """The parts of a node that saved files name, as JSON."""
    types = node_class.INPUT_TYPES()
    return {
        "inputs": {
            section: [[name, kind_of(spec[0])] for name, spec in types.get(section, {}).items()]
            for section in ("required", "optional")
        },
        "after widgets": [name for name, (_, options) in inputs_of(node_class).items() if seeded(options)],
        "outputs": [list(pair) for pair in zip(node_class.RETURN_TYPES, node_class.RETURN_NAMES, strict=True)],
        "output node": bool(getattr(node_class, "OUTPUT_NODE", False)),
    }


def kind_of(kind: object) -> str:
    """The type of an input; a list of choices is ComfyUI's COMBO."""
    return "COMBO" if isinstance(kind, list) else str(kind)


def seeded(options: dict) -> bool:
    """Whether the page puts a widget of its own, control_after_generate, behind an input's."""
    return bool(options.get("control_after_generate"))


def present_schemas() -> dict[str, Any]:
    """The schemas of all nodes of the pack, by id."""
    return {name: schema_of(node) for name, node in PACK.NODE_CLASS_MAPPINGS.items()}


def saved_schemas() -> dict[str, Any]:
    """The schemas of commit e8ad812, by id."""
    return json.loads((SAVED / "schemas.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with Host(tmp_path_factory.mktemp("comfyui"), PACK) as host:
        yield host


@pytest.mark.parametrize("node", saved_schemas())
def test_a_node_keeps_what_saved_files_name(host, node):
    was, now = saved_schemas()[node], present_schemas()[node]
    for section, inputs in was["inputs"].items():
        assert now["inputs"][section][: len(inputs)] == inputs
    if len(now["inputs"]["required"]) > len(was["inputs"]["required"]):
        added = now["inputs"]["required"][len(was["inputs"]["required"]) :]
        assert not [name for name, kind in added if kind in {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}], (
            "a required widget would push the optional ones' saved values along"
        )
    assert now["after widgets"][: len(was["after widgets"])] == was["after widgets"]
    assert now["outputs"][: len(was["outputs"])] == was["outputs"]
    assert now["output node"] == was["output node"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_widgets_of_a_saved_workflow_mean_what_they_meant(host, path: Path):
    """Read by position, every value is one that its input takes; a shift would mix types and choices."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    prompt = host.prompt_of(workflow)
    assert len(prompt) == len([node for node in workflow["nodes"] if node["type"] not in ONLY_IN_THE_PAGE])
    for node in prompt.values():
        if node["class_type"] not in PACK.NODE_CLASS_MAPPINGS:
            continue
        for name, (kind, options) in inputs_of(PACK.NODE_CLASS_MAPPINGS[node["class_type"]]).items():
            value = node["inputs"].get(name)
            if is_widget(kind, options) and not is_link(value):
                assert is_taken(value, kind, options), (node["class_type"], name)


def is_taken(value: object, kind: object, options: dict) -> bool:
    """Whether an input of this type takes the value; choices of files depend on the folders and are not judged."""
    if isinstance(kind, list) or kind == "COMBO":
        choices = kind if isinstance(kind, list) else options.get("options", [])
        is_file = any(key.endswith("_upload") for key in options) or "remote" in options or not choices
        return isinstance(value, str) and (is_file or value in choices)
    if kind == "BOOLEAN":
        return isinstance(value, bool)
    if kind in ("INT", "FLOAT"):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and options.get("min", value) <= value <= options.get("max", value)
    return isinstance(value, str)
