"""README's table of numbers is what the benchmarks saved, and it is made the way it says."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import figures
import table
from figures import Figure, Result

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_shows_what_the_benchmarks_saved():
    assert table.rewritten(README, table.saved()) == README, "run tests/benchmarks/table.py"


def test_every_saved_result_is_of_a_benchmark_and_shows_something():
    assert table.saved()
    for result in table.saved():
        assert (ROOT / "tests" / "benchmarks" / f"{result.benchmark}.py").exists()
        assert any(figure.shown for figure in result.figures), result.benchmark


def test_every_benchmark_reports_its_figures():
    for script in (ROOT / "tests" / "benchmarks").glob("*_speed.py"):
        assert "report(__file__" in script.read_text(encoding="utf-8"), script.name


def test_results_are_kept_and_shown_by_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "RESULTS", tmp_path)
    shown = [Figure("a drag", 13.26, "ms", shown=True), Figure("hidden", 1.0, "s")]
    figures.report("tests/benchmarks/editor_speed.py", shown, save=True)
    kept = Result.load(tmp_path / "editor_speed.json")
    assert kept == Result("editor_speed", figures.machine(), tuple(shown))
    assert '"a drag"' in capsys.readouterr().out
    elsewhere = Result("gpu", "a card", (Figure("a frame", 12345.6, "ns", shown=True),))
    text = table.rewritten(f"# head\n{table.BEGIN}\nold\n{table.END}\ntail\n", [kept, elsewhere])
    assert text.startswith("# head\n")
    assert text.endswith("\ntail\n")
    assert "| a drag | 13.3 ms | `editor_speed.py` |" in text
    assert "| a frame | 12 346 ns | `gpu.py` |" in text
    assert "old" not in text
    assert "hidden" not in text
    assert text.count("| what | measured | by |") == 2
    assert table.rewritten(text, [kept, elsewhere]) == text


def test_a_readme_without_the_table_is_told():
    with pytest.raises(ValueError, match="README has no table"):
        table.rewritten("# head", [])
