"""How long the mesh renderer takes: process CPU time on one thread, medians, as JSON.

    python tests/benchmarks/mesh_speed.py [--save]

The astronaut's crop, 512 pixels a side and filled by the head, is the dearest picture of that size; a quarter of
the whole photograph is its head.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from figures import Figure, arguments, median_of, report
from safetensors.torch import load_file
from skimage import data

from talking_head.lp_core.faces.crop import CropOptions, crop_to_picture, cut
from talking_head.lp_core.faces.faces import Face
from talking_head.lp_core.mesh.drawing import in_square
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion.controls import NAMES, Controls, to_expression
from talking_head.lp_core.motion.retarget import relative_to
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.render.portrait import RenderOptions

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "mesh" / "astronaut_landmarks.safetensors"
BATCH = 8
REPEATS = 7


def talking(frames: int) -> MotionSequence:
    """Motion in which mouth, eyes, brows and head all move."""
    seeded = torch.Generator().manual_seed(3)
    amounts = torch.rand(frames, len(NAMES), generator=seeded) * 0.1
    amounts[:, NAMES.index("blink_left")] = amounts[:, NAMES.index("blink_right")] = torch.linspace(0, 1, frames)
    still = MotionSequence.still(frames, 25)
    rotation = torch.randn(frames, 3, generator=seeded) * 3
    expression = to_expression(Controls.unstack(amounts))
    return MotionSequence(expression, rotation, still.scale, still.translation, still.fps, still.rest)


def measured(title: str, picture: torch.Tensor, landmarks: torch.Tensor) -> list[Figure]:
    """Figures for one portrait."""
    renderer = MeshRenderer()
    face = Face(landmarks)
    portrait = renderer.portrait(picture, face)
    many, one = (relative_to(talking(frames), portrait.rest) for frames in (BATCH, 1))
    crop = RenderOptions(paste_back=False)
    prepared = median_of(lambda: renderer.portrait(picture, face).drawing.on_picture)
    batch = median_of(lambda: renderer.draw(portrait, many, RenderOptions()), REPEATS)
    single = median_of(lambda: renderer.draw(portrait, one, RenderOptions()), REPEATS)
    cropped = median_of(lambda: renderer.draw(portrait, many, crop), REPEATS)
    return [
        Figure(f"mesh renderer on one thread, batch {BATCH}, {title}", 1000 * batch / BATCH, "ms a frame", True),
        Figure(f"{title}: one frame alone", 1000 * single, "ms"),
        Figure(f"{title}: crop alone, batch {BATCH}", 1000 * cropped / BATCH, "ms a frame"),
        Figure(f"{title}: preparing the portrait", 1000 * prepared, "ms"),
    ]


def main() -> None:
    """Measure and print."""
    given = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    picture = torch.from_numpy(data.astronaut()).float() / 255
    landmarks = load_file(GOLDEN)["landmarks"]
    crop = cut(picture, crop_to_picture(landmarks, CropOptions()))
    of_crop = measured("the head filling 512×512", crop.image, in_square(landmarks, crop.to_picture))
    report(__file__, of_crop + measured("the head filling a quarter of it", picture, landmarks), given.save)


if __name__ == "__main__":
    main()
