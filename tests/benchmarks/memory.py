"""The most memory that long videos take: `talking-head animate` with its built-in parts, a minute and an hour.

    python tests/benchmarks/memory.py [--minutes 1 60] [--side 256] [--save]

Everything is in it: reading the voice, its motion, drawing the demo portrait, encoding, muxing. Peak resident
memory of the whole process, torch included; an hour at 256×256 takes some ten minutes on an idle core.
"""

import os
import subprocess
import sys
import time
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest
from figures import Figure, arguments, report
from PIL import Image

from talking_head.lp_core.media.audio import load_audio

WORKFLOWS = conftest.ROOT / "workflows"


def speak_for(seconds: float, path: Path) -> None:
    """The demo voice, repeated, as a file of 16 bits."""
    voice = load_audio(WORKFLOWS / "demo_speech.wav")
    samples = (voice.waveform[0] * 32767).short().numpy()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(voice.sample_rate)
        left = round(seconds * voice.sample_rate)
        while left > 0:
            file.writeframes(samples[:left].tobytes())
            left -= len(samples)


def peak_of(command: list[str]) -> tuple[float, float]:
    """Megabytes that a command had resident at most, and seconds that it took."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed.")
    return usage.ru_maxrss / 1024, time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 60])
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    figures = []
    with TemporaryDirectory() as folder:
        portrait, voice, video = (Path(folder, name) for name in ("portrait.png", "voice.wav", "out.mp4"))
        Image.open(WORKFLOWS / "demo_portrait.jpg").resize((given.side, given.side)).save(portrait)
        for minutes in given.minutes:
            speak_for(60 * minutes, voice)
            options = ["--quiet", "--renderer", "mesh", "--motion", "procedural"]
            files = ["animate", str(portrait), str(voice), "-o", str(video)]
            memory, seconds = peak_of([sys.executable, str(conftest.ROOT), *files, *options])
            title = f"{minutes:g} min of {given.side}×{given.side} video"
            figures += [
                Figure(f"{title}, voice to mp4: peak memory, torch included", memory, "MB", True),
                Figure(f"{title}: wall time", seconds, "s"),
            ]
    report(__file__, figures, given.save)


if __name__ == "__main__":
    main()
