"""Hooks of mkdocs: pages and sources that the site is built from and that lie elsewhere in the repository."""

import shutil
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
HELP = ROOT / "web" / "js" / "docs"  # <Node>.md and its picture <Node>.webp
SOURCES = ROOT / "build" / "api" / "talking_head"  # where mkdocs.yml has mkdocstrings look
FLOORS = ("apps", "diffpose", "lp_core")


def on_startup(**_: object) -> None:
    """Copies the sources to a folder with the name that they are imported by; a clone may be called anything."""
    shutil.rmtree(SOURCES, ignore_errors=True)
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, SOURCES / floor, ignore=_no_sources)
    (SOURCES / "__init__.py").write_text('"""Talking Head."""\n', encoding="utf-8")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The configuration with a page for each node in its navigation."""
    (nodes,) = (entry for entry in config.nav or () if "Nodes" in entry)
    nodes["Nodes"] = [f"nodes/{page.name}" for page in sorted(HELP.glob("*.md"))]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of docs/ and the help pages of the nodes with their pictures."""
    for source in sorted([*HELP.glob("*.md"), *HELP.glob("*.webp")]):
        files.append(File.generated(config, f"nodes/{source.name}", abs_src_path=str(source)))
    return files


def _no_sources(folder: str, names: list[str]) -> list[str]:
    """The names in a folder that are neither Python modules nor folders of them."""
    return [name for name in names if not (name.endswith(".py") or (Path(folder) / name / "__init__.py").is_file())]
