"""The pages of the site are true: names exist, files and modules that they name too, options are the program's."""

import ast
import re
import subprocess
import sys
from functools import cache
from importlib import import_module

import option_tables
import pytest
from conftest import ROOT

import talking_head

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GLOSSARY = re.findall(r"^\| (.+?) \| (.+?) \| `(.+?)` \|$", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
WORDS = {
    "WarpingDecoder", "SourceFeatures", "SpeechFeatures", "StreamingFeatures", "CopyStream", "Outbox",
    "ModelPlacement", "EnsureLoaded", "FaceBox", "Context", "Style", "rest frame", "driver", "crop", "expression",
    "21 implicit keypoints", "stitching", "retargeting", "viseme", "look-ahead", "hop", "window",
}  # fmt: skip


def name_of(path) -> str:
    return path.relative_to(DOCS).as_posix()


def blocks(page, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_glossary_has_the_words_of_the_house():
    assert {word.strip("`") for word, _, _ in GLOSSARY} >= WORDS


@pytest.mark.parametrize(("word", "module"), [(word, module) for word, _, module in GLOSSARY])
def test_a_word_of_the_glossary_lives_in_its_module(word, module):
    found = import_module(f"talking_head.{module}")
    if word.startswith("`"):
        value = getattr(found, word.strip("`"))
        assert getattr(value, "__module__", found.__name__) in (found.__name__, "typing", "collections.abc")


def test_names_of_the_glossary_s_meanings_exist():
    named = {name for _, meaning, _ in GLOSSARY for name in re.findall(r"`([A-Z]\w+)`", meaning)}
    assert named <= {word.strip("`") for word, _, _ in GLOSSARY} | {"MotionFrame"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "api"], ids=name_of)
def test_what_the_api_pages_show_exists(page):
    for module, name in re.findall(r"^::: (talking_head[\w.]+)\.(\w+)$", page.read_text("utf-8"), re.MULTILINE):
        assert import_module(module).__dict__[name].__module__ == module


def test_the_page_of_options_is_made_from_their_fields():
    """When this fails: python tests/option_tables.py."""
    assert option_tables.PAGE.read_text(encoding="utf-8") == option_tables.page()


def test_the_api_pages_show_every_public_name():
    shown = " ".join(page.read_text(encoding="utf-8") for page in PAGES if page.parent.name == "api")
    api = set(talking_head.__all__) - {"__version__"} - {name for name in talking_head.__all__ if name.isupper()}
    assert {name for name in api if not re.search(rf"\b{name}\b", shown)} == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_python_examples_import_exists(page):
    for block in blocks(page, "python"):
        for statement in ast.walk(ast.parse(block)):
            if isinstance(statement, ast.ImportFrom):
                module = import_module(str(statement.module))
                assert all(hasattr(module, alias.name) for alias in statement.names)


@cache
def help_of(*command: str) -> str:
    """What the command line prints about itself, or about one of its commands."""
    shown = [sys.executable, str(ROOT), *command, "--help"]
    return subprocess.run(shown, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_and_commands_are_the_program_s(page):
    text = page.read_text(encoding="utf-8")
    used = set(re.findall(r"(?:^|/|`)talking-head (\w+)", text, re.MULTILINE))
    assert [command for command in used if not re.search(rf"\b{command}\b", help_of())] == []
    helps = " ".join(help_of(command) for command in sorted(used))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert [option for option in named if not re.search(rf"(?<![\w-]){option}(?![\w-])", helps)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_templates_and_examples_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`(?:examples/)?(\w+\.py)`", text):
        assert (ROOT / "examples" / name).is_file()
    if page.name == "comfyui.md":
        named = re.findall(r"^\| (\d\d .*?) \|", text, re.MULTILINE)
        assert named == sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))


def test_every_node_has_a_page_for_the_site():
    pages = {page.stem for page in (ROOT / "web" / "js" / "docs").glob("*.md")}
    assert pages == set(talking_head.NODE_CLASS_MAPPINGS)
