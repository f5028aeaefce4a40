"""How fast the main job runs with its built-in parts: import, preparation, motion, and the whole way to the mp4.

    python tests/benchmarks/pipeline_speed.py [--threads 2] [--json FILE]

Seconds are medians of three runs; the whole way is drawing 512×512 frames of the demo portrait with paste-back and
encoding them with the sound. Wall time needs an idle machine; CPU time is told beside it.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest

from talking_head.diffpose import choose_generator
from talking_head.lp_core import (
    MotionSequence,
    Portrait,
    choose_renderer,
    find_faces,
    load_audio,
    load_picture,
    render,
    write_video,
)
from talking_head.lp_core.prefetch import prefetch

ROOT = conftest.ROOT
RUNS = 3
IMPORT_TIMER = """
import importlib.util, sys, time, numpy, torch
start = time.perf_counter()
spec = importlib.util.spec_from_file_location("pack", {init!r}, submodule_search_locations=[{root!r}])
module = importlib.util.module_from_spec(spec); sys.modules["pack"] = module; spec.loader.exec_module(module)
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Speed:
    """What was measured; seconds unless named otherwise."""

    machine: str
    torch: str
    threads: int
    import_beyond_torch: float
    preparation: float
    motion_of_the_demo_voice: float
    frames_per_second: float
    cpu_ms_per_frame: float


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of a piece of work, after a first run that is not counted."""
    work()
    spans = []
    for _ in range(RUNS):
        start = clock()
        work()
        spans.append(clock() - start)
    return median(spans)


def import_seconds() -> float:
    """Median seconds to import the pack in a new process that has torch and numpy."""
    code = IMPORT_TIMER.format(init=str(ROOT / "__init__.py"), root=str(ROOT))
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    return median(float(run.stdout) for run in runs)


def measure() -> Speed:
    """Measure everything on this machine."""
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")
    voice = load_audio(ROOT / "workflows" / "demo_speech.wav")
    renderer, generator = choose_renderer("mesh", "cpu"), choose_generator("procedural")

    def prepare() -> Portrait:
        return renderer.portrait(picture, find_faces(picture)[0])

    def generate() -> MotionSequence:
        return generator.generate(voice, 25)

    portrait, motion = prepare(), generate()
    with tempfile.TemporaryDirectory() as folder:

        def whole() -> int:
            return write_video(Path(folder, "out.mp4"), prefetch(render(portrait, motion)), motion.fps, voice)

        seconds, cpu = timed(whole), timed(whole, time.process_time)
    return Speed(
        machine=f"{platform.machine()}, {platform.processor() or 'processor not named'}",
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        import_beyond_torch=import_seconds(),
        preparation=timed(prepare),
        motion_of_the_demo_voice=timed(generate),
        frames_per_second=len(motion) / seconds,
        cpu_ms_per_frame=1000 * cpu / len(motion),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result = json.dumps(asdict(measure()), indent=1)
    print(result)
    if given.json:
        given.json.write_text(result)


if __name__ == "__main__":
    main()
