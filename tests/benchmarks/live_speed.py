"""How well the live pipeline keeps up in real time: the built-in parts, with page and file.

    python tests/benchmarks/live_speed.py [--seconds 120] [--save]

The bundled voice is spoken over and over at its own pace while the bundled portrait, 512×512, speaks along.
"""

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from conftest import ROOT  # sets one thread
from figures import Figure, arguments, report

from talking_head.apps.live.viewer import Viewer
from talking_head.diffpose.procedural.stream import ProceduralStream
from talking_head.lp_core.faces.search import find_faces
from talking_head.lp_core.live.recording import Recording
from talking_head.lp_core.live.session import LiveFrame, LiveHead, LiveSession, measured_latency, picture_bytes
from talking_head.lp_core.live.voices import PIECE, at_its_pace
from talking_head.lp_core.media.audio import ArrivingAudio, load_audio
from talking_head.lp_core.media.picture import load_picture
from talking_head.lp_core.mesh.renderer import MeshRenderer

FPS = 25


class Offsets:
    """An audience that keeps how late each frame was; None for those that were dropped."""

    def __init__(self) -> None:
        self.seconds: list[float | None] = []

    def sound(self, samples: object) -> None:
        """See live.Audience."""

    def frame(self, frame: LiveFrame) -> None:
        """See live.Audience."""
        self.seconds.append(None if frame.picture is None else frame.offset)

    def end(self) -> None:
        """See live.Audience."""


async def watch(url: str) -> None:
    """A page that takes everything."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url.replace("/?", "/live?")) as page:
        async for _ in page:
            pass


def main() -> None:
    """Speak, and print the figures."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    voice = load_audio(ROOT / "workflows" / "demo_speech.wav")
    rate, pieces = voice.sample_rate, round(given.seconds / PIECE)
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")
    portrait = MeshRenderer("cpu").portrait(picture, find_faces(picture)[0])
    stream, offsets = ProceduralStream(FPS), Offsets()
    latency = measured_latency(portrait, ProceduralStream(FPS))
    head = LiveHead(portrait, stream, ArrivingAudio(rate), latency)
    still, schedule = picture_bytes(portrait.picture), head.schedule
    spoken = voice.waveform.repeat(1, round(given.seconds / float(voice.duration)) + 1)
    with tempfile.TemporaryDirectory() as folder, Viewer(still, schedule, rate) as viewer:
        threading.Thread(target=asyncio.run, args=[watch(viewer.url)], daemon=True).start()
        viewer.wait_until_watched()
        begun, start = time.process_time(), time.perf_counter()
        recording = Recording(Path(folder) / "live.mp4", still, schedule.fps, rate)
        with LiveSession(head, [offsets, viewer, recording]) as session:
            for piece in islice(at_its_pace(spoken, rate), pieces):
                session.push(piece)
            session.finish()
        busy, wall = time.process_time() - begun, time.perf_counter() - start
    shown = [1000 * late for late in offsets.seconds if late is not None]
    figures = [
        Figure("live, 512×512, page and file: frames shown", len(shown) / given.seconds, "of 25 a second", True),
        Figure("live: from a sound's arrival until its frame is due", 1000 * latency, "ms", True),
        Figure("live: a frame is ready before it is due, median", -statistics.median(shown), "ms"),
        Figure("live: the slowest frame that was shown, behind its moment", max(shown), "ms", True),
        Figure("live: frames dropped", 100 * (1 - len(shown) / len(offsets.seconds)), "%"),
        Figure("live: CPU in use", 100 * busy / wall, "% of one core", True),
    ]
    report(__file__, figures, given.save)


if __name__ == "__main__":
    main()
