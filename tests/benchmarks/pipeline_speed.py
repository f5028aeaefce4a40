"""How fast the main job runs with its built-in parts: import, preparation, motion, and the whole way to the mp4.

    python tests/benchmarks/pipeline_speed.py [--threads 1] [--save]

Medians of three runs; the whole way is drawing 512×512 frames of the demo portrait with paste-back and encoding
them with the sound. Wall time needs an idle machine; CPU time is told beside it.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest
from figures import Figure, arguments, median_of, peak_megabytes, report
from torch import Tensor

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
from talking_head.lp_core.compute.compute import ON_CPU

ROOT = conftest.ROOT
ENCODED = 64  # frames that are kept to be encoded without drawing them
IMPORT_TIMER = """
import importlib.util, sys, time, numpy, torch
start = time.perf_counter()
spec = importlib.util.spec_from_file_location("pack", {init!r}, submodule_search_locations=[{root!r}])
module = importlib.util.module_from_spec(spec); sys.modules["pack"] = module; spec.loader.exec_module(module)
print(time.perf_counter() - start)
"""


def import_seconds() -> float:
    """Median seconds to import the pack in a new process that has torch and numpy."""
    code = IMPORT_TIMER.format(init=str(ROOT / "__init__.py"), root=str(ROOT))
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    return median(float(run.stdout) for run in runs)


def measure() -> list[Figure]:
    """Measure everything on this machine."""
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")
    voice = load_audio(ROOT / "workflows" / "demo_speech.wav")
    renderer, generator = choose_renderer("mesh", ON_CPU), choose_generator("procedural")

    def prepare() -> Portrait:
        return renderer.portrait(picture, find_faces(picture)[0])

    def generate() -> MotionSequence:
        return generator.generate(voice, 25)

    def first_frame() -> Tensor:
        return next(render(prepare(), generate()))

    portrait, motion = prepare(), generate()
    frames, seconds = len(motion), float(voice.duration)
    with TemporaryDirectory() as folder:
        path = Path(folder, "out.mp4")

        def whole() -> int:
            return write_video(path, render(portrait, motion), motion.fps, voice)

        in_all, wall = median_of(whole), median_of(whole, clock=time.perf_counter)
        memory = peak_megabytes()
        some = list(render(portrait, motion[:ENCODED]))
        encoding = median_of(lambda: write_video(path, some, motion.fps, voice))
    drawing = median_of(lambda: [None for _ in render(portrait, motion)])
    making, latency = median_of(generate), median_of(first_frame, clock=time.perf_counter)
    preparing = median_of(prepare, clock=time.perf_counter)
    return [
        Figure("512×512 drawn, pasted back and encoded with the sound", frames / wall, "frames/s", True),
        Figure("the same: work", 1000 * in_all / frames, "ms CPU a frame", True),
        Figure("the same: real-time factor", wall / seconds, "s for a second of video", True),
        Figure("drawing and pasting back alone", 1000 * drawing / frames, "ms CPU a frame", True),
        Figure("encoding alone", 1000 * encoding / ENCODED, "ms CPU a frame", True),
        Figure("motion from the voice", 1000 * making / frames, "ms CPU a frame", True),
        Figure("finding the face and preparing the portrait", preparing, "s", True),
        Figure("from picture and voice to the first frames", latency, "s", True),
        Figure("importing the pack beyond torch", import_seconds(), "s", True),
        Figure("peak memory of all that, torch included", memory, "MB", True),
    ]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    report(__file__, measure(), given.save)


if __name__ == "__main__":
    main()
