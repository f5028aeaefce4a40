"""How long the mesh renderer takes: process CPU time on one thread, medians, as JSON.

    python tests/benchmarks/mesh_speed.py

`crop_512` is the astronaut's crop, 512 pixels a side and filled by the head: the dearest picture of that size.
`astronaut_512` is the whole photograph, whose head fills a quarter of it.
"""

import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from safetensors.torch import load_file
from skimage import data

from talking_head.lp_core.controls import NAMES, Controls, to_expression
from talking_head.lp_core.crop import CropOptions, crop_to_picture, cut
from talking_head.lp_core.face import Face
from talking_head.lp_core.mesh.drawing import in_square
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion import MotionSequence
from talking_head.lp_core.portrait import RenderOptions
from talking_head.lp_core.retarget import relative_to

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


def median_cpu(action, repeats: int = REPEATS) -> float:
    """Median CPU milliseconds of an action, after one call to warm up."""
    action()
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        spent.append((time.process_time() - start) * 1e3)
    return statistics.median(spent)


def measured(picture: torch.Tensor, landmarks: torch.Tensor) -> dict[str, float]:
    """Figures for one portrait."""
    renderer = MeshRenderer()
    face = Face(landmarks)
    portrait = renderer.portrait(picture, face)
    many, one = (relative_to(talking(frames), portrait.rest) for frames in (BATCH, 1))
    return {
        "prepare_ms": median_cpu(lambda: renderer.portrait(picture, face).drawing.on_picture, 3),
        f"frame_ms_batch_{BATCH}": median_cpu(lambda: renderer.draw(portrait, many, RenderOptions())) / BATCH,
        "frame_ms_batch_1": median_cpu(lambda: renderer.draw(portrait, one, RenderOptions())),
        f"crop_frame_ms_batch_{BATCH}": median_cpu(
            lambda: renderer.draw(portrait, many, RenderOptions(paste_back=False))
        )
        / BATCH,
    }


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    picture = torch.from_numpy(data.astronaut()).float() / 255
    landmarks = load_file(GOLDEN)["landmarks"]
    crop = cut(picture, crop_to_picture(landmarks, CropOptions()))
    figures = {
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
        "crop_512": measured(crop.image, in_square(landmarks, crop.to_picture)),
        "astronaut_512": measured(picture, landmarks),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
