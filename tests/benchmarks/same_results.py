"""Whether two checkouts give the same results, bit by bit: what a refactoring must leave alone.

    python tests/benchmarks/same_results.py OTHER_CHECKOUT [THIS_CHECKOUT]

Each checkout is measured in a process of its own, with one thread and fixed seeds: videos and motion that its
command line writes, outputs and files of the nodes in every shipped workflow, and what the networks give in the
tests that hold them against the originals. Modules may move in between; only the command line, ids of nodes,
workflows and names in `tests` are relied on. Prints a line for each result; exits with 1 if one differs or is lost.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hashes import content, feed, hashed
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

ROOT = Path(__file__).resolve().parents[2]
MEASURED = "measured.json"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
RANDOM = re.compile("_[0-9a-f]{8}_")  # in names of temporary files
SIDE = "256"  # pixels of what the command line draws
DUBBED_SECONDS = 0.4  # dubbing takes the longest
GOLDEN_FILES = ("nets", "liveportrait", "denoiser", "samplers", "ditto", "talker_networks", "difflivehead", "crop")
# Without those that take the longest: workflows run warping and decoder, and other tests Ditto's network.
SLOW = ("plain_form", "a_frame", "warping_network_equals", "decoder_equals", "sampling_golden")
GOLDEN_TESTS = " and not ".join(("(golden or original)", *SLOW))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("this", type=Path, nargs="?", default=ROOT, help="the checkout that was changed")
    parser.add_argument(
        "--measure", action="store_true", help=f"write {MEASURED} of OTHER into this folder, no more"
    )
    given = parser.parse_args()
    if given.measure:
        Path(MEASURED).write_text(json.dumps(dict(measure(given.other))), encoding="utf-8")
    else:
        sys.exit(compare(measure_apart(given.other), measure_apart(given.this)))


def compare(other: Mapping[str, str], this: Mapping[str, str]) -> int:
    """1 if a result of the other checkout differs in this one or is lost, else 0; prints a line for each."""
    verdicts = {name: verdict(other.get(name), this.get(name)) for name in {**other, **this}}
    for name, said in verdicts.items():
        print(f"{name:<110} {said}")
    counts = {said: list(verdicts.values()).count(said) for said in ("same", "DIFFERS", "LOST", "new")}
    print(", ".join(f"{count} {said}" for said, count in counts.items()))
    return int(counts["DIFFERS"] + counts["LOST"] > 0 or not counts["same"])


def verdict(other: str | None, this: str | None) -> str:
    """What is said about a result, given its hash in both checkouts, None where there is none."""
    if other is None:
        return "new"
    if this is None:
        return "LOST"
    return "same" if other == this else "DIFFERS"


def measure_apart(checkout: Path) -> dict[str, str]:
    """What `measure` gives, in a process of its own, which loads the modules of no other checkout."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(checkout.resolve()), "--measure"]
        subprocess.run(command, cwd=folder, env=os.environ | ONE_THREAD, stdout=sys.stderr, check=True)
        return json.loads((Path(folder) / MEASURED).read_text(encoding="utf-8"))


def measure(checkout: Path) -> Iterator[tuple[str, str]]:
    """Name and hash of every result of a checkout; writes into the current folder."""
    torch.set_num_threads(1)
    sys.path[:1] = [str(checkout / "tests"), str(checkout / "tests" / "nodes")]  # in place of this script's folder
    yield from of_command_line(checkout)
    yield from of_golden_tests(checkout)
    yield from of_workflows()


# ---------------------------------------------------------------------------------------------------- command line


def of_command_line(checkout: Path) -> Iterator[tuple[str, str]]:
    """Videos and motion of `demo`, `drive` and `dub`."""
    shipped = checkout / "workflows"
    shorten(shipped / "demo_answer.wav", Path("answer.wav"))
    draw = ["--max-side", SIDE, "--save-motion"]
    call(checkout, "demo", *draw, "demo.safetensors")
    call(checkout, "drive", str(shipped / "demo_portrait.jpg"), "demo.mp4", *draw, "drive.safetensors")
    call(checkout, "dub", "demo.mp4", "answer.wav")
    for name in ("demo.mp4", "demo.safetensors", "drive.mp4", "drive.safetensors", "dub.mp4"):
        yield f"command line: {name}", hashed(content(Path(name)))


def call(checkout: Path, command: str, *words: str) -> None:
    """Run a command of a checkout, with no weights but its own; it writes a video of the command's name."""
    output = ["-o", f"{command}.mp4", "--quiet", "--models", "no models"]
    subprocess.run([sys.executable, str(checkout), command, *words, *output], check=True)


def shorten(sound: Path, target: Path) -> None:
    import soundfile

    samples, rate = soundfile.read(sound)
    soundfile.write(target, samples[: round(DUBBED_SECONDS * rate)], rate)


# ------------------------------------------------------------------------------------------------------- workflows


def of_workflows() -> Iterator[tuple[str, str]]:
    """Outputs of every node, and files, of each shipped workflow on the short inputs that its test gives it."""
    import test_workflows as tests

    for path in tests.WORKFLOWS:
        torch.manual_seed(0)
        workflow = tests.read(path)
        name = workflow["extra"].get("talking_head", {}).get("template", path.stem)  # older files are called so
        with tests.Host(Path.cwd() / name, tests.PACK) as host:
            tests.prepare(workflow, host, tests.seconds_of(workflow))
            prompt = host.prompt_of(workflow)
            outcome = host.run(prompt)
        if outcome.errors:
            raise RuntimeError(f"The workflow {name} failed: {outcome.errors}")
        for node, values in outcome.values.items():
            yield f"{name}: {node} {prompt[node]['class_type']}", hashed(values)
        written = [file for kind in ("output", "temp") for file in host.folders[kind].rglob("*.*")]
        named = sorted((RANDOM.sub("_", file.name), hashed(content(file))) for file in written)
        yield from ((f"{path.stem}: {place} {name}", digest) for place, (name, digest) in enumerate(named))


# --------------------------------------------------------------------------------------------------------- goldens


def of_golden_tests(checkout: Path) -> Iterator[tuple[str, str]]:
    """What networks give, and what is compared, in the tests that hold them against the originals."""
    recorder = Recorder()
    files = [str(next((checkout / "tests").rglob(f"test_{name}.py"))) for name in GOLDEN_FILES]
    options = ["-p", "no:cacheprovider", "--continue-on-collection-errors", "-k", GOLDEN_TESTS]
    handles = register_module_forward_pre_hook(recorder.enter), register_module_forward_hook(recorder.leave)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.testing, "assert_close", recorder.recording(torch.testing.assert_close))
        pytest.main([*options, *files], plugins=[recorder])
    for handle in handles:
        handle.remove()
    yield from recorder.hashes.items()


class Recorder:
    """A plugin of pytest that keeps a hash for each test that passes; one that fails is missing."""

    def __init__(self) -> None:
        self.hashes: dict[str, str] = {}
        self._seen = hashlib.sha256()
        self._depth = 0  # of networks in networks

    def enter(self, *_: object) -> None:
        self._depth += 1

    def leave(self, _network: object, _inputs: object, output: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            feed(self._seen, output)

    def recording(self, compare: Callable[..., None]) -> Callable[..., None]:
        def compared(found: object, *others: object, **options: object) -> None:
            feed(self._seen, found)
            compare(found, *others, **options)

        return compared

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        for names in {item.module.__name__: vars(item.module) for item in items if item.module}.values():
            if "assert_close" in names:
                names["assert_close"] = self.recording(names["assert_close"])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        self._seen, self._depth = hashlib.sha256(), 0
        result = yield
        self.hashes[f"{item.path.stem}: {item.name}"] = self._seen.hexdigest()
        return result


if __name__ == "__main__":
    main()
