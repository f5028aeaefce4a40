"""How fast 1080p H.264 is read through the media door beside plain PyAV, and how much memory that takes.

    python tests/benchmarks/media_speed.py

All read the same clip, in turn, in one run; medians of the rounds' ratios of CPU time are reported. Plain
PyAV decodes to RGB arrays of bytes. The door gives the same bytes, and the float batches that networks take,
of which writing four times the memory alone takes nearly as long as decoding. It reads the file's times
first. Bytes are to be at least 0.9 of plain PyAV's speed.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from figures import Figure, arguments, report

from talking_head.lp_core.media.video import read_video

WIDTH, HEIGHT, FPS = 1920, 1080, 25


def write_clip(path: Path, frames: int) -> None:
    """A clip with a picture that moves, as detailed as a filmed one."""
    noise = (
        np.random.default_rng(0)
        .normal(128, 40, (HEIGHT // 8, WIDTH // 8 + frames, 3))
        .clip(0, 255)
        .astype(np.uint8)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "fast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            picture = noise[:, index : index + WIDTH // 8]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="BICUBIC")))
        container.mux(stream.encode(None))


def plainly(path: Path) -> int:
    """Decode with PyAV alone."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
            count += 1
    return count


def as_bytes(path: Path) -> int:
    """Decode through the door to bytes."""
    return sum(1 for _ in read_video(path).pictures())


def as_floats(path: Path) -> int:
    """Decode through the door to float batches."""
    return sum(map(len, read_video(path).frames()))


def cpu_seconds(read: Callable[[Path], int], path: Path, frames: int) -> float:
    """CPU seconds of one reading."""
    before = time.process_time()
    if read(path) != frames:
        raise AssertionError(f"{read.__name__} gave another number of frames than {frames}.")
    return time.process_time() - before


def compared(path: Path, frames: int, rounds: int) -> list[Figure]:
    """How fast each way through the door is."""
    readers = (plainly, as_bytes, as_floats)
    for read in readers:
        read(path)
    seconds = np.array([[cpu_seconds(read, path, frames) for read in readers] for _ in range(rounds)])
    as_fast = np.median(seconds[:, :1] / seconds[:, 1:], 0)
    ways = ("bytes", "float frames")
    ratios = [
        Figure(f"1080p H.264 read to {way}, of plain PyAV's speed to RGB", float(ratio), "times", shown=True)
        for way, ratio in zip(ways, as_fast, strict=True)
    ]
    each = 1000 * np.median(seconds, 0) / frames
    return ratios + [
        Figure(f"1080p H.264 read {way}", float(ms), "ms CPU a frame")
        for way, ms in zip(("by plain PyAV", "to bytes", "to float frames"), each, strict=True)
    ]


def peak_mb(path: Path) -> float:
    """The most memory that this process takes while it reads a clip (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    as_floats(path)
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    """Report the ratios of the speeds and the growth of the memory."""
    parser = arguments("How fast clips are read beside plain PyAV.")
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, long = Path(folder, "clip.mp4"), Path(folder, "long.mp4")
        write_clip(clip, given.frames)
        write_clip(long, 3 * given.frames)
        figures = compared(clip, given.frames, given.rounds)
        once, thrice = peak_mb(clip), peak_mb(long)
    grown = Figure(
        "1080p H.264: memory that a clip three times as long takes more", thrice - once, "MB", shown=True
    )
    report(__file__, [*figures, grown], given.save)


if __name__ == "__main__":
    main()
