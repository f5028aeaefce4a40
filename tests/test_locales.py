"""Every text of the nodes exists in every language, once."""

import re

import pytest
from conftest import ROOT
from host import load_as_comfyui

import locales

ENGLISH = locales.node_texts(load_as_comfyui())
FILES = ("nodeDefs", "settings", "commands", "main")
CHINESE = re.compile("[\u4e00-\u9fff]")
NUMBER = re.compile(r"\d+(?:\.\d+)?")

translated = pytest.mark.parametrize("language", locales.TRANSLATIONS)


def text(texts, path):
    for key in path:
        texts = texts[key]
    return texts


def test_the_english_texts_are_the_nodes_own():
    """When this fails: python tests/locales.py."""
    assert locales.read("en", "nodeDefs") == ENGLISH


@translated
@pytest.mark.parametrize("file", FILES)
def test_translations_are_whole_and_no_more(language, file):
    assert locales.keys(locales.read(language, file)) == locales.keys(locales.read("en", file))


@translated
def test_translations_are_translated(language):
    texts = locales.read(language, "nodeDefs")
    for path in locales.keys(ENGLISH):
        said, english = text(texts, path), text(ENGLISH, path)
        assert CHINESE.search(said), f"{'.'.join(path)} is not Chinese: {said}"
        if path[-1] in ("tooltip", "description"):
            assert said.endswith("。"), f"{'.'.join(path)} is no sentence: {said}"
            assert set(NUMBER.findall(english)) == set(NUMBER.findall(said)), f"{'.'.join(path)}: other numbers"


@pytest.mark.parametrize("language", ["en", *locales.TRANSLATIONS])
def test_no_text_has_signs_that_the_page_reads_as_commands(language):
    """vue-i18n fills in what stands in braces, links after @ and takes | for the plural."""
    for file in FILES:
        for path in locales.keys(locales.read(language, file)):
            assert not set("{}@|") & set(text(locales.read(language, file), path)), path


def test_settings_and_commands_are_those_of_the_page():
    """Of all scripts; hidden settings have no text."""
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "web" / "js").glob("*.js"))
    constants = dict(re.findall(r'const (\w+) = "(TalkingHead\.\w+)";', scripts))
    entry = r'\{\s*id: (?:"([\w.]+)"|(\w+)),\s*(name|label): "([^"]*)"(?:,\s*tooltip: "([^"]*)")?'
    found = {"settings": {}, "commands": {}}
    for given, constant, kind, name, tooltip in re.findall(entry, scripts):
        key = (given or constants[constant]).replace(".", "_")
        if kind == "label":
            found["commands"][key] = {"label": name}
        elif tooltip:
            found["settings"][key] = {"name": name, "tooltip": tooltip}
    assert found["settings"]
    assert found == {file: locales.read("en", file) for file in ("settings", "commands")}
