"""The texts of all nodes as ComfyUI's page takes them from `locales`; the English ones are the nodes' own.

    python tests/node_texts.py

writes locales/en/nodeDefs.json anew and says which texts a translation lacks, or has for nothing. The page asks for
nodeDefs.json (nodes), settings.json, commands.json and main.json (categories) of the language that it is set to.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conftest import ROOT
from host import load_as_comfyui

FOLDER = ROOT / "locales"
ENGLISH, TRANSLATIONS = "en", ("zh",)


def node_texts(pack: Any) -> dict[str, dict[str, Any]]:
    """Name, description, inputs and outputs of every node, in the form of nodeDefs.json."""
    return {
        name: {
            "display_name": pack.NODE_DISPLAY_NAME_MAPPINGS[name],
            "description": node.DESCRIPTION,
            "inputs": {key: {"name": key, "tooltip": tooltip} for key, tooltip in _inputs(node)},
            "outputs": {
                str(slot): {"name": output, "tooltip": tooltip}
                for slot, (output, tooltip) in enumerate(zip(node.RETURN_NAMES, node.OUTPUT_TOOLTIPS, strict=True))
            },
        }
        for name, node in pack.NODE_CLASS_MAPPINGS.items()
    }


def _inputs(node: Any) -> Iterator[tuple[str, str]]:
    described = node.INPUT_TYPES()
    for section in ("required", "optional"):
        for name, (_, options) in described.get(section, {}).items():
            yield name, options["tooltip"]


def read(language: str, file: str) -> dict[str, Any]:
    """A file of a language."""
    return json.loads((FOLDER / language / f"{file}.json").read_text(encoding="utf-8"))


def keys(texts: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The ways to all texts in a file."""
    if isinstance(texts, str):
        return {path}
    return {found for key, part in texts.items() for found in keys(part, (*path, key))}


def write(path: Path, texts: dict[str, Any]) -> None:
    """Save texts as a file of a language."""
    path.write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Write the English texts, and compare the translations with them."""
    english = node_texts(load_as_comfyui())
    write(FOLDER / ENGLISH / "nodeDefs.json", english)
    for language in TRANSLATIONS:
        translated = keys(read(language, "nodeDefs"))
        for word, paths in (("lacks", keys(english) - translated), ("has for nothing", translated - keys(english))):
            sys.stdout.writelines(f"{language} {word} {'.'.join(path)}\n" for path in sorted(paths))


if __name__ == "__main__":
    main()
