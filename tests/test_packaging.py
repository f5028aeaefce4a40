import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


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
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    requirements = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z_-]+>=[0-9.]+", line) for line in requirements)


def test_every_package_folder_is_installed():
    listed = set(
        re.findall(r'^    "(talking_head[a-z_.]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )
    folders = {
        path.parent for part in ("lp_core", "diffpose", "nodes") for path in (ROOT / part).rglob("__init__.py")
    }
    assert listed == {"talking_head", *(".".join(("talking_head", *f.relative_to(ROOT).parts)) for f in folders)}


def test_nothing_large_is_kept_in_the_repository():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    if names == [""]:
        pytest.skip("not a git checkout")
    assert [name for name in names if name and (ROOT / name).stat().st_size > 4_000_000] == []


def test_the_clone_s_folder_can_be_run():
    shown = subprocess.run([sys.executable, str(ROOT), "--help"], capture_output=True, text=True, check=True)
    assert "animate" in shown.stdout
