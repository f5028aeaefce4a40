"""How long the light driver and what belongs to it take, on one thread, as JSON.

    python tests/benchmarks/talker_speed.py

Networks of the published sizes with synthetic weights; process CPU time, medians. `_factor` is seconds of work for
a second of sound: below 1 is faster than real time. `_ms` is milliseconds of work for a frame or picture.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from talker_goldens import filled, waveform

from talking_head.diffpose.manifold import SpeechBank, project
from talking_head.diffpose.talker.apc import Apc, speech_columns
from talking_head.diffpose.talker.driver import Talker, TalkerStream
from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.head_pose import HeadPoseNetwork, sample_poses
from talking_head.diffpose.talker.mapping import MappingNetwork
from talking_head.diffpose.talker.reconstruction import FaceReconstruction

SECONDS = 8
SOUND = waveform(SECONDS * 16_000)
HOP = 640 * 5  # samples pushed at once: 200 ms
BANK = 20_000  # features


def median_cpu(action: Callable[[], object], repeats: int = 3) -> float:
    """Median CPU seconds of an action, after one call to warm up."""
    action()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def streamed(driver: Talker) -> None:
    """The sound in pieces of HOP."""
    stream = TalkerStream(driver)
    for piece in SOUND.split(HOP):
        stream.push(piece)
    stream.finish()


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    driver = Talker(filled(ExpressionNetwork, "audio2exp"), filled(MappingNetwork, "mappingnet"))
    apc, head = filled(Apc, "apc"), filled(HeadPoseNetwork, "audio2headpose")
    face = filled(FaceReconstruction, "face_3drecon")
    pairs, noise = torch.randn(75, 1024), torch.randn(60, 12)
    bank, features = SpeechBank(torch.randn(BANK, 512), "apc"), torch.randn(50, 512)
    with torch.no_grad():
        measured = {
            "lips_factor": median_cpu(lambda: driver.lip_deltas(SOUND)) / SECONDS,
            "lips_streamed_factor": median_cpu(lambda: streamed(driver)) / SECONDS,
            "latency_ms": 1000 * float(driver.options.latency),
            "apc_factor": median_cpu(lambda: apc(speech_columns(SOUND))) / SECONDS,
            "head_pose_ms": 1000 * median_cpu(lambda: sample_poses(head, pairs, noise, 15)) / 60,
            "projection_ms": 1000 * median_cpu(lambda: project(features, bank)) / 50,
            "portrait_coefficients_ms": 1000 * median_cpu(lambda: face(torch.rand(1, 3, 224, 224))),
        }
    about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
    print(json.dumps(about | {name: round(value, 3) for name, value in measured.items()}, indent=1))


if __name__ == "__main__":
    main()
