"""Every text of the nodes exists in every language, once."""

import importlib
import re

import node_texts
import pytest
from conftest import ROOT
from diffpose_goldens import write_small_diffusion
from host import Host, load_as_comfyui
from liveportrait_goldens import write_small_weights

from talking_head.lp_core.motion.plot import motion_curves
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.nodes import host, preview

ENGLISH = node_texts.node_texts(load_as_comfyui())
FILES = ("nodeDefs", "settings", "commands", "main")
CHINESE = re.compile("[\u4e00-\u9fff]")
NAMES = {"mesh", "liveportrait", "procedural", "diffusion", "talker", "ditto", "MIT", "Apache-2.0", "VoxCeleb2"}
NUMBER = re.compile(r"\d+(?:\.\d+)?")
QUOTED = re.compile("`([^`]+)`")
PICTURE = re.compile(r"!\[[^\]]+\]\((.*?)\)")
HELP = ROOT / "web" / "js" / "docs"
SUFFIX = "（Talking Head）"  # of names that other packs have too; a page's title goes without

translated = pytest.mark.parametrize("language", node_texts.TRANSLATIONS)
every_node = pytest.mark.parametrize("node_id", ENGLISH)


def text(texts, path):
    for key in path:
        texts = texts[key]
    return texts


def test_the_english_texts_are_the_nodes_own():
    """When this fails: python tests/node_texts.py."""
    assert node_texts.read("en", "nodeDefs") == ENGLISH


@translated
@pytest.mark.parametrize("file", FILES)
def test_translations_are_whole_and_no_more(language, file):
    assert node_texts.keys(node_texts.read(language, file)) == node_texts.keys(node_texts.read("en", file))


@translated
def test_translations_are_translated(language):
    texts = node_texts.read(language, "nodeDefs")
    for path in node_texts.keys(ENGLISH):
        said, english = text(texts, path), text(ENGLISH, path)
        assert CHINESE.search(said), f"{'.'.join(path)} is not Chinese: {said}"
        if path[-1] in ("tooltip", "description"):
            assert said.endswith("。"), f"{'.'.join(path)} is no sentence: {said}"
            assert set(NUMBER.findall(english)) == set(NUMBER.findall(said)), f"{'.'.join(path)}: other numbers"


def help_lines(path):
    """The headings, paragraphs, list entries, table rows and pictures of a help page, a line each."""
    page = path.read_text(encoding="utf-8")
    joined = re.sub(r"\n(?!\n|#|\* |\||!\[)\s*", " ", page)
    return [line.strip() for line in joined.splitlines() if line.strip()]


def untranslated(line):
    """What a line has in every language: its mark, the names in back quotes, the numbers beside them, pictures."""
    mark = re.findall(r"^(?:#+ |\* |\||!)", line)
    numbers = NUMBER.findall(QUOTED.sub("", line))
    return mark, set(QUOTED.findall(line)), sorted(numbers), PICTURE.findall(line)


def without(words, line):
    for word in words:
        line = line.replace(word, "")
    return line


def labels(language, node_id):
    """The names of a node's inputs and outputs."""
    texts = node_texts.read(language, "nodeDefs")[node_id]
    return [slot["name"] for kind in ("inputs", "outputs") for slot in texts[kind].values()]


@translated
def test_every_node_and_no_other_has_a_translated_help_page(language):
    """Where ComfyUI looks first; pictures are found beside the English pages whatever the language."""
    assert {page.parent.name for page in HELP.glob(f"*/{language}.md")} == set(ENGLISH)
    assert {page.stem for page in HELP.glob("*/*")} == set(node_texts.TRANSLATIONS)


@translated
@every_node
def test_a_translated_help_page_says_what_the_english_one_says(language, node_id):
    """Line by line: the same headings, entries, names, numbers and picture."""
    page = help_lines(HELP / node_id / f"{language}.md")
    english = help_lines(HELP / f"{node_id}.md")
    known = labels(language, node_id)  # some have numbers, which the English page gives in back quotes
    assert [untranslated(without(known, line)) for line in page] == [untranslated(line) for line in english]


@translated
@every_node
def test_a_translated_help_page_gives_the_labels_that_the_node_shows(language, node_id):
    page = (HELP / node_id / f"{language}.md").read_text(encoding="utf-8")
    assert not [label for label in labels(language, node_id) if label not in page]


@translated
@every_node
def test_a_help_page_is_translated(language, node_id):
    title, *lines = help_lines(HELP / node_id / f"{language}.md")
    name = node_texts.read(language, "nodeDefs")[node_id]["display_name"]
    assert title == f"# {name.removesuffix(SUFFIX)}"
    for line in lines:
        assert CHINESE.search(line) or not re.search("[A-Za-z]", line), f"not Chinese: {line}"
        assert not re.search("[a-z]{2,} [a-z]{2,}", QUOTED.sub("", line)), f"still English: {line}"


@pytest.mark.parametrize("language", ["en", *node_texts.TRANSLATIONS])
def test_no_text_has_signs_that_the_page_reads_as_commands(language):
    """vue-i18n fills in what stands in braces, links after @ and takes | for the plural."""
    for file in FILES:
        for path in node_texts.keys(node_texts.read(language, file)):
            assert not set("{}@|") & set(text(node_texts.read(language, file), path)), path


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
    assert found == {file: node_texts.read("en", file) for file in ("settings", "commands")}


def test_categories_of_settings_are_those_of_the_page():
    """The settings page shows the first two of each setting: its tab and its heading."""
    script = (ROOT / "web" / "js" / "appearance.js").read_text(encoding="utf-8")
    found = {name for pair in re.findall(r'category: \["([^"]+)", "([^"]+)"', script) for name in pair}
    assert found == set(node_texts.read("en", "main")["settingsCategories"])


def words_of(script, table):
    """The words that the page says of a table in a script: the keys of objects, or whatever else is in quotes."""
    (body,) = re.findall(rf"const {table} = [\[{{](.*?)[\]}}];", script, re.DOTALL)
    return set(re.findall(r"^  (\w+): \{", body, re.MULTILINE) or re.findall('"([^"]+)"', body))


def test_the_scripts_own_sentences_have_chinese_ones():
    """Those that are given to `say`, what the server answers and tables that are shown by name; and no more."""
    files = [*(ROOT / "web" / "js").glob("*.js"), *(ROOT / "web" / "js").glob("*.mjs")]
    scripts = {path.name: path.read_text(encoding="utf-8") for path in files}
    words = scripts.pop("words.mjs").partition("const CHINESE_PARTS")[0]
    known = dict(re.findall(r'^  "(.+?)":\s+"(.+)",$', words, re.MULTILINE))
    said = {sentence for text in scripts.values() for sentence in re.findall(r'\bsay\(\s*"(.+?)",?\s*\)', text)}
    for name, table in (("pad", "CALLED"), ("presets", "OURS"), ("timeline", "EASINGS")):
        said |= words_of(scripts[f"expression_{name}.mjs"], table)
    curves = motion_curves(MotionSequence.still(1, 25))
    said |= {"saved", "built in", preview.GONE, host.BUSY}
    said |= {word for curve in curves for word in (curve.panel, curve.name)}
    assert said == set(known)
    assert all(CHINESE.search(chinese) for chinese in known.values())


def test_notices_have_chinese_parts(tmp_path, monkeypatch):
    """Nothing English is left of what the server says of renderers, generators and licences but names."""
    pack = load_as_comfyui()
    page = importlib.import_module(f"{pack.__name__}.nodes.page")
    told = []
    monkeypatch.setattr(page.host, "notice", lambda *sentences: told.extend(sentences))
    with Host(tmp_path, pack) as host:
        for name in ("auto", "liveportrait"):
            page.tell_renderer(name)
        for name in ("auto", "diffusion", "talker", "ditto"):
            page.tell_generator(name)
        write_small_weights(host.folders["models"] / "liveportrait")
        write_small_diffusion(host.folders["models"] / "diffpose")
        page.tell_renderer("auto")
        page.tell_generator("auto")
    words = (ROOT / "web" / "js" / "words.mjs").read_text(encoding="utf-8").partition("const CHINESE_PARTS")[2]
    parts = re.findall(r'\[/(.+?)/g, "(.+?)"\]', words)
    for text in told:
        for part, chinese in parts:
            text = re.sub(part, chinese.replace("$1", r"\1"), text)
        left = set(re.findall(r"[A-Za-z][\w/.-]*", text)) - NAMES
        assert all("/" in word for word in left), f"still English: {left} in {text}"
