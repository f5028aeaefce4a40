"""The example workflows as prompts for ComfyUI's API, in `workflows/api`.

    PYTHONPATH=tests python tests/api_prompts.py

writes them as the page's *Export (API)* does; a test holds them to the workflows that they are made from.
"""

import json
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from conftest import ROOT
from host import Host, load_as_comfyui

API_FOLDER = ROOT / "workflows" / "api"


def file_of(path: Path) -> Path:
    """Where the prompt of a workflow file is kept."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    return API_FOLDER / f"{workflow['extra']['talking_head']['template']}.json"


def prompt_of(path: Path, pack: ModuleType) -> dict[str, Any]:
    """A workflow file's prompt by the pack's nodes, each with its title."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as base, Host(Path(base), pack) as host:
        prompt = host.prompt_of(workflow)
        titles = {str(node["id"]): node.get("title") for node in workflow["nodes"]}
        shown = {name: titles[name] or host.titles.get(node["class_type"], "") for name, node in prompt.items()}
    return {
        name: {"inputs": node["inputs"], "class_type": node["class_type"], "_meta": {"title": shown[name]}}
        for name, node in prompt.items()
    }


def main() -> None:
    """Write all."""
    API_FOLDER.mkdir(exist_ok=True)
    pack = load_as_comfyui()
    for path in sorted((ROOT / "example_workflows").glob("*.json")):
        text = json.dumps(prompt_of(path, pack), indent=2, ensure_ascii=False)
        file_of(path).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
