"""How long the light driver and what belongs to it take, on one thread, as JSON.

    python tests/benchmarks/talker_speed.py [--save]

Networks of the published sizes with synthetic weights; process CPU time, medians. Below 1 second of work for a
second of sound is faster than real time.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from figures import Figure, arguments, median_of, report
from talker_goldens import filled, waveform

from talking_head.diffpose.speech.manifold import SpeechBank, project
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


def streamed(driver: Talker) -> None:
    """The sound in pieces of HOP."""
    stream = TalkerStream(driver)
    for piece in SOUND.split(HOP):
        stream.push(piece)
    stream.finish()


def main() -> None:
    """Measure and print."""
    given = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    driver = Talker(filled(ExpressionNetwork, "audio2exp"), filled(MappingNetwork, "mappingnet"))
    apc, head = filled(Apc, "apc"), filled(HeadPoseNetwork, "audio2headpose")
    face = filled(FaceReconstruction, "face_3drecon")
    pairs, noise = torch.randn(75, 1024), torch.randn(60, 12)
    bank, features = SpeechBank(torch.randn(BANK, 512), "apc"), torch.randn(50, 512)
    with torch.no_grad():
        lips = median_of(lambda: driver.lip_deltas(SOUND)) / SECONDS
        in_pieces = median_of(lambda: streamed(driver)) / SECONDS
        heard = median_of(lambda: apc(speech_columns(SOUND))) / SECONDS
        posed = median_of(lambda: sample_poses(head, pairs, noise, 15)) / 60
        projected = median_of(lambda: project(features, bank)) / 50
        read = median_of(lambda: face(torch.rand(1, 3, 224, 224)))
    factor = "s of work for a second of sound"
    figures = [
        Figure("`talker`'s lips on one thread (synthetic weights of the published sizes)", lips, factor, True),
        Figure("the same as a stream", in_pieces, factor, True),
        Figure("latency of that stream", 1000 * float(driver.options.latency), "ms", True),
        Figure("hearing by APC", heard, factor),
        Figure("learned head pose", 1000 * posed, "ms a frame"),
        Figure("projection onto a speaker", 1000 * projected, "ms a frame"),
        Figure("coefficients of a portrait", 1000 * read, "ms"),
    ]
    report(__file__, figures, given.save)


if __name__ == "__main__":
    main()
