import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import takewhile

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TOML = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")  # pytest brings the second one
PROJECT = TOML.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ACCELERATORS = {
    "GPU :: NVIDIA CUDA", "GPU :: AMD ROCm", "GPU :: Intel Arc", "NPU :: Huawei Ascend", "GPU :: Apple Metal",
}  # fmt: skip
LARGEST_ARCHIVE = 8_000_000  # bytes, before packing


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_gate_runs_the_readme_s_test_command():
    gate = (ROOT / ".ci" / "run").read_text()
    awk = re.search(r"awk '(.*?)' README\.md", gate, re.DOTALL)
    assert awk is not None
    command = subprocess.run(["awk", awk[1], str(ROOT / "README.md")], capture_output=True, text=True, check=True)
    expected = [block for block in blocks("sh") if "pytest" in block]
    assert command.stdout == expected[0]
    assert len(expected) == 1


def test_what_the_readme_imports_exists():
    (example,) = blocks("python")
    for statement in ast.parse(example).body:
        if isinstance(statement, ast.ImportFrom):
            module = import_module(str(statement.module))
            assert all(hasattr(module, name.name) for name in statement.names)


def test_requirements_are_lower_bounds_only():
    assert all(re.fullmatch(r"[a-z_-]+>=[0-9.]+", line) for line in requirements())
    assert PROJECT["project"]["dependencies"] == requirements()


def test_every_requirement_is_imported():
    modules = {"opencv-python": "cv2", "pillow": "PIL", "scikit-image": "skimage"}
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("apps", "lp_core", "diffpose", "nodes")
        for path in (ROOT / folder).rglob("*.py")
        if "training" not in path.parts
    )
    for line in requirements():
        module = modules.get(name := line.split(">=")[0], name)
        statement = rf'^ *(import|from) {module}\b|import_module\("{module}"\)'
        assert re.search(statement, sources, re.MULTILINE), f"nothing imports {module}, which {line} is for"


def requirements() -> list[str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_registry_takes_the_metadata():
    """The rules of docs.comfy.org/registry/specifications; comfy-cli leaves out what breaks them."""
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert re.fullmatch(r"[A-Za-z](?:[-_.]?[A-Za-z0-9])*", project["name"])
    assert "comfyui" not in project["name"].lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["license"].keys() in ({"file"}, {"text"})
    assert (ROOT / project["license"]["file"]).is_file()
    assert "dynamic" not in project
    assert project["description"]
    kinds = [name.split(" :: ", 1) for name in project["classifiers"]]
    assert {name for kind, name in kinds if kind == "Environment"} <= ACCELERATORS
    assert {name for kind, name in kinds if kind == "Operating System"} == {"OS Independent"}
    assert set(comfy) <= {"PublisherId", "DisplayName", "Icon", "Banner", "requires-comfyui", "includes", "web"}
    assert comfy["DisplayName"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    assert "web" not in comfy  # WEB_DIRECTORY names the folder already, and the registry's would serve it twice


def test_the_registry_s_security_rules_hold():
    """`comfy node validate` runs ruff with these; our own choice of rules must not leave one out."""
    chosen = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "S102,S307,E702", str(ROOT)]
    found = subprocess.run(chosen, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_the_registry_s_archive_holds_what_runs_and_no_more():
    """As `comfy node pack` makes it: tracked files but those that .comfyignore names."""
    tracked = ["git", "ls-files"]
    ignored = ["git", "ls-files", "-c", "-i", "--exclude-from=.comfyignore"]
    every, left_out = (
        set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines())
        for command in (tracked, ignored)
    )
    if not every:
        pytest.skip("not a git checkout")
    packed = every - left_out
    assert {name.split("/")[0] for name in left_out} == {
        ".ci", ".comfyignore", ".github", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff",
        "CONTRIBUTING.md", "docs", "examples", "findings", "mkdocs.yml", "tests", "web",
    }  # fmt: skip
    assert {name.split("/")[0] for name in packed} == {
        "LICENSE", "README.md", "__init__.py", "__main__.py", "apps", "diffpose", "example_workflows", "locales",
        "lp_core", "nodes", "py.typed", "pyproject.toml", "requirements.txt", "web", "workflows",
    }  # fmt: skip
    assert {name.split("/")[1] for name in packed if name.startswith("web/")} == {"js", "live"}
    assert sum((ROOT / name).stat().st_size for name in packed) < LARGEST_ARCHIVE


def test_every_package_folder_is_installed():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    folders = {
        path.parent
        for part in ("lp_core", "diffpose", "apps", "nodes")
        for path in (ROOT / part).rglob("__init__.py")
    }
    assert listed == {"talking_head", *(".".join(("talking_head", *f.relative_to(ROOT).parts)) for f in folders)}


def test_the_map_of_the_code_is_the_tree():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (chart,) = re.findall(r"^## Map of the code\n.*?^```\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    named = list(paths_in(chart))
    assert [path for path in named if not (ROOT / path).exists()] == []
    folders = {".".join(("talking_head", *path.strip("/").split("/"))) for path in named if path.endswith("/")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) - folders == {"talking_head"}


def paths_in(chart: str) -> Iterator[str]:
    """Paths from the root of the names that lines begin with; bare file names lie in the folder named last."""
    folder = ""
    for line in chart.splitlines():
        for name in takewhile(lambda word: word.endswith(("/", ".py")), line.split()):
            yield name if "/" in name else folder + name
            folder = name if name.endswith("/") else folder


def test_what_the_guides_name_exists():
    """Files and folders in backticks, in the tables of CONTRIBUTING and in README."""
    texts = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") + README
    named = set(re.findall(r"`((?:\.ci|apps|diffpose|docs|findings|lp_core|nodes|tests|web)/[\w./-]+)`", texts))
    assert len(named) > 10
    assert sorted(path for path in named if "NODE" not in path and not (ROOT / path).exists()) == []


def test_every_version_is_the_changelog_s():
    """The newest version of CHANGELOG is the package's and the citation's."""
    (newest, *_) = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert newest == cited == PROJECT["project"]["version"]


def test_the_oldest_packages_of_the_nightly_lane_are_the_lower_bounds():
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / ".ci" / "oldest.txt").read_text(), re.MULTILINE))
    for line in requirements():
        name, bound = line.replace("_", "-").split(">=")
        parts = locked[name].split(".")
        assert parts[: bound.count(".") + 1] == bound.split("."), (line, locked[name])


def test_every_net_in_the_pack_has_a_card():
    cards = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "models").glob("*.md"))
    nets = [net for part in ("lp_core", "diffpose") for net in (ROOT / part).rglob("*.safetensors")]
    assert nets
    assert [net.name for net in nets if f"`{net.relative_to(ROOT).as_posix()}`" not in cards] == []


def test_every_finding_is_listed():
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "findings" / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "findings").glob("*.sh"))


def test_nothing_large_is_kept_in_the_repository():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    if names == [""]:
        pytest.skip("not a git checkout")
    assert [name for name in names if name and (ROOT / name).stat().st_size > 4_000_000] == []


def test_the_clone_s_folder_can_be_run():
    shown = subprocess.run([sys.executable, str(ROOT), "--help"], capture_output=True, text=True, check=True)
    assert "animate" in shown.stdout
