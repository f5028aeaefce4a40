"""What dubbing changes of a real clip: nothing outside the mouth.

    python tests/benchmarks/dubbing_quality.py CLIP VOICE [--seconds 2] [--sheet FILE.png] [--save]

Changes are those of any value before encoding; the time is process CPU time.
"""

import sys
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from figures import Figure, arguments, report

from talking_head.diffpose.generator import MotionOptions, choose_generator
from talking_head.lp_core.choice import choose_renderer, extractor_for
from talking_head.lp_core.media.audio import Audio, load_audio
from talking_head.lp_core.media.video import read_video
from talking_head.lp_core.render.dubbing import clip_faces, dub, mouth_region

SHOWN = 6  # frames of the sheet


def main() -> None:
    """Dub the beginning of a clip, measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("voice", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--sheet", type=Path, default=None, help="before over after, as a picture")
    given = parser.parse_args()
    torch.set_num_threads(1)
    clip = read_video(given.clip)
    frames = torch.cat(list(clip.frames()))[: round(given.seconds * clip.fps)]
    voice = load_audio(given.voice)
    heard = Audio(voice.waveform[:, : int(len(frames) / clip.fps * voice.sample_rate)], voice.sample_rate)
    renderer = choose_renderer("mesh")
    faces, own = clip_faces(frames), extractor_for(renderer).extract(frames.split(16), clip.fps).motion
    lips = choose_generator("procedural").generate(heard, clip.fps, MotionOptions(lips_only=True))
    start = time.process_time()
    dubbed = torch.stack(list(dub(frames[: len(lips)], faces, own, lips, renderer)))
    spent = time.process_time() - start
    seen = [index for index in range(len(dubbed)) if faces[index] is not None]
    regions = torch.stack([mouth_region(faces[index].landmarks, *frames.shape[1:3]) for index in seen])
    change = (dubbed[seen] - frames[seen]).abs().amax(-1)
    height, width = frames.shape[1:3]
    figures = [
        Figure(
            f"dubbing a {width}×{height} clip, one thread, mesh renderer", spent / len(dubbed), "s a frame", True
        ),
        Figure("largest change outside the mouth", float(change[regions == 0].max()), "of white", True),
        Figure("mean change in the mouth's region", float(change[regions > 0].mean()), "of white"),
        Figure("the mouth's region", 100 * float((regions > 0).float().mean()), "% of the picture"),
        Figure("frames", len(dubbed), ""),
        Figure("frames without a face", len(dubbed) - len(seen), ""),
    ]
    report(__file__, figures, given.save)
    if given.sheet is not None:
        _sheet(frames[: len(dubbed)], dubbed).save(given.sheet)


def _sheet(before: Tensor, after: Tensor) -> Image.Image:
    chosen = torch.linspace(0, len(after) - 1, SHOWN).long()
    rows = [torch.cat(list(part[chosen]), 1) for part in (before, after)]
    return Image.fromarray((torch.cat(rows) * 255).round().byte().numpy())


if __name__ == "__main__":
    main()
