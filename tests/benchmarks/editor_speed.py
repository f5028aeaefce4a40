"""How fast the expression editor's portrait answers, without the network: from the request's bytes to the reply's.

    python tests/benchmarks/editor_speed.py

Prints milliseconds of wall time and of CPU time for each of several drags, on one thread, and what the first
picture of a portrait takes, which prepares it.
"""

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from conftest import ROOT  # sets one thread

from talking_head.lp_core.expression import RANGES
from talking_head.lp_core.face import find_faces
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion import MotionSequence
from talking_head.lp_core.picture import load_picture
from talking_head.nodes.preview import Gallery

DRAGS = {
    "the head": ("rotate_yaw", "rotate_pitch"),
    "pupils": ("pupil_x", "pupil_y"),
    "lips": ("aaa", "jaw_sideways"),
    "mouth corners": ("smile", "eee"),
    "brows": ("eyebrow",),
    "everything": tuple(RANGES),
}
STEPS = 30


def request(preview: str, names: tuple[str, ...], share: float) -> bytes:
    """A request with sliders at a share of their range above zero."""
    amounts = {name: share * RANGES[name].highest for name in names}
    return json.dumps({"preview": preview, "amounts": amounts}).encode()


def main() -> None:
    """Measure and print."""
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")
    portrait = MeshRenderer().portrait(picture, find_faces(picture)[0])
    gallery = Gallery()
    preview = gallery.publish(portrait, MotionSequence.still(1, 25))
    begun = time.process_time()
    gallery.answer(request(preview, (), 0))
    print(f"first picture, which prepares the portrait: {1000 * (time.process_time() - begun):.0f} ms CPU")
    for what, names in DRAGS.items():
        wall, cpu = [], []
        for step in range(STEPS):
            start, begun = time.perf_counter(), time.process_time()
            gallery.answer(request(preview, names, (step + 1) / STEPS))
            wall.append(1000 * (time.perf_counter() - start))
            cpu.append(1000 * (time.process_time() - begun))
        print(
            f"{what:14s} {statistics.median(wall):5.1f} ms median, {max(wall):5.1f} ms at most; "
            f"{statistics.median(cpu):5.1f} ms CPU"
        )


if __name__ == "__main__":
    main()
