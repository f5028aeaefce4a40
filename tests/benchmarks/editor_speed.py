"""How fast the expression editor's portrait answers, without the network: from the request's bytes to the reply's.

    python tests/benchmarks/editor_speed.py [--save]

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
from figures import Figure, arguments, report

from talking_head.lp_core.faces.search import find_faces
from talking_head.lp_core.media.picture import load_picture
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion.expression import RANGES
from talking_head.lp_core.motion.sequence import MotionSequence
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


def dragged(gallery: Gallery, preview: str, what: str, names: tuple[str, ...]) -> list[Figure]:
    """Figures of one drag."""
    wall, cpu = [], []
    for step in range(STEPS):
        start, begun = time.perf_counter(), time.process_time()
        gallery.answer(request(preview, names, (step + 1) / STEPS))
        wall.append(1000 * (time.perf_counter() - start))
        cpu.append(1000 * (time.process_time() - begun))
    return [
        Figure(f"a drag of {what} in the expression editor, from request to reply", statistics.median(wall), "ms"),
        Figure(f"a drag of {what}, at most", max(wall), "ms"),
        Figure(
            f"a drag of {what} in the expression editor", statistics.median(cpu), "ms CPU", what == "everything"
        ),
    ]


def main() -> None:
    """Measure and print."""
    given = arguments(__doc__).parse_args()
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")
    portrait = MeshRenderer().portrait(picture, find_faces(picture)[0])
    gallery = Gallery()
    preview = gallery.publish(portrait, MotionSequence.still(1, 25))
    begun = time.process_time()
    gallery.answer(request(preview, (), 0))
    first = 1000 * (time.process_time() - begun)
    figures = [Figure("the editor's first picture of a portrait", first, "ms CPU", True)]
    for what, names in DRAGS.items():
        figures += dragged(gallery, preview, what, names)
    report(__file__, figures, given.save)


if __name__ == "__main__":
    main()
