"""Writes README's table of numbers from the saved results of the benchmarks.

    python tests/benchmarks/table.py

Each benchmark keeps its figures in results/ when it is run with `--save`.
"""

from pathlib import Path

from figures import RESULTS, Figure, Result

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- numbers: tests/benchmarks/table.py -->", "<!-- end of numbers -->"


def table(results: list[Result]) -> str:
    """Markdown: for every machine a heading and a table of the figures that are shown."""
    machines = dict.fromkeys(result.machine for result in results)
    return "\n".join(_of_machine(name, [one for one in results if one.machine == name]) for name in machines)


def _of_machine(machine: str, results: list[Result]) -> str:
    lines = [
        f"| {figure.name} | {measured(figure)} | `{result.benchmark}.py` |"
        for result in results
        for figure in result.figures
        if figure.shown
    ]
    return "\n".join([f"{machine}:", "", "| what | measured | by |", "|---|---|---|", *lines, ""])


def measured(figure: Figure) -> str:
    """A figure's value and unit, with three digits that matter."""
    digits = f"{figure.value:.3g}" if abs(figure.value) < 1000 else f"{figure.value:,.0f}".replace(",", " ")
    return f"{digits} {figure.unit}".strip()


def saved() -> list[Result]:
    """All saved results, by name."""
    return [Result.load(path) for path in sorted(RESULTS.glob("*.json"))]


def rewritten(readme: str, results: list[Result]) -> str:
    """README's text with the table between its markers made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"README has no table between {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n{table(results)}{END}{after}"


def main() -> None:
    """Rewrite README's table."""
    README.write_text(rewritten(README.read_text(encoding="utf-8"), saved()), encoding="utf-8")


if __name__ == "__main__":
    main()
