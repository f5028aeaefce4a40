"""Make the demo clip, the picture of two people and the workflows' thumbnails again, after frames look different.

    python tests/benchmarks/demo_pictures.py [WORKFLOW …]

Without names the clip is made first: the demo portrait with another seed and livelier head, cropped. A thumbnail
shows frames of the video that its workflow makes of the bundled inputs, run in the stand-in for ComfyUI. Two show
no result: `expression_editing` shows more expressions than its workflow has, and `liveportrait_with_diffusion`,
whose networks are not part of the pack, curves of motion in place of frames.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "nodes"))
from host import Host, load_as_comfyui
from test_workflows import DEMO_FOLDER, WORKFLOWS, name_of, needs_networks, read, shipped_inputs, video_of

from talking_head.apps.cli.demo import DEMO_PORTRAIT, DEMO_VOICE
from talking_head.diffpose import MotionOptions, choose_generator
from talking_head.lp_core import (
    choose_renderer,
    find_faces,
    from_expression,
    load_audio,
    load_picture,
    read_video,
    render,
    write_video,
)
from talking_head.lp_core.motion.expression import Expression, expressed
from talking_head.lp_core.motion.plot import plot
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.render.portrait import RenderOptions

CLIP, PAIR = DEMO_FOLDER / "demo_clip.mp4", DEMO_FOLDER / "demo_pair.jpg"
CLIP_SEED, CLIP_HEAD = 3, 1.6
SIDE = 240  # pixels of a small picture
FACE_ROWS, FACE_COLUMNS = slice(10, 270), slice(95, 355)  # of the demo portrait
EXPRESSIONS = (
    Expression(),
    Expression(smile=0.8, eyebrow=8, rotate_yaw=12, rotate_roll=5),
    Expression(wink=20, smile=0.6, rotate_roll=-6),
    Expression(aaa=60, eyebrow=14, blink=4),
    Expression(eyebrow=-8, left_lid=0.3, right_lid=0.3, rotate_yaw=-12),
    Expression(pupil_x=12, pupil_y=8, woo=6),
    Expression(blink=-18, rotate_pitch=10),
    Expression(jaw=0.15, jaw_sideways=0.12, pupil_x=-12, eyebrow=10),
)


@dataclass(frozen=True)
class Run:
    """What a workflow made of the bundled inputs.

    Attributes:
        frames: (T, H, W, 3) of its video.
        motions: those on its wires, in the order they were made.
    """

    frames: torch.Tensor
    motions: list[MotionSequence]


def run_of(path: Path) -> Run:
    """A workflow's run on the whole bundled inputs."""
    workflow, pack = read(path), load_as_comfyui()
    with tempfile.TemporaryDirectory() as base, Host(Path(base), pack) as host:
        for name in shipped_inputs(workflow):
            (host.folders["input"] / name).write_bytes((DEMO_FOLDER / name).read_bytes())
        outcome = host.run(host.prompt_of(workflow))
        assert outcome.status == "success", outcome.errors
        values = [value for node in outcome.executed for value in outcome.values[node]]
        motions = [value for value in values if type(value).__name__ == "MotionSequence"]
        return Run(torch.cat(list(video_of(host, outcome).frames())), motions)


def small(pictures: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """Pictures (N, H, W, 3) area-averaged to a height."""
    height, width = pictures.shape[1:3]
    size = (side, side * width // height)
    return F.interpolate(pictures.movedim(-1, 1), size=size, mode="area").movedim(1, -1)


def rows(pictures: torch.Tensor, count: int) -> torch.Tensor:
    """Pictures (N, H, W, 3) in rows of `count`."""
    return torch.cat([torch.cat(list(row), 1) for row in pictures.split(count)])


def telling(motion: MotionSequence, count: int) -> list[int]:
    """In each of `count` stretches the frame whose mouth is widest open, and at last one of a closed eye."""
    controls = from_expression(motion.expression - motion.rest.expression)
    stretch = len(motion) // count
    starts = range(0, stretch * count, stretch)
    widest = [start + int(controls.jaw[start : start + stretch].argmax()) for start in starts]
    widest[-1] = int(controls.blink_left.argmax())
    return widest


def faces(frames: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """The face in frames (N, 512, 512, 3) of the demo portrait, small."""
    return small(frames[:, FACE_ROWS, FACE_COLUMNS], side)


def source_and_frames(run: Run) -> torch.Tensor:
    """The picture, and six frames."""
    source = small(load_picture(DEMO_PORTRAIT)[None], 2 * SIDE)[0]
    return torch.cat([source, rows(faces(run.frames[telling(run.motions[-1], 6)]), 3)], 1)


def clip_and_frames(run: Run) -> torch.Tensor:
    """Four frames of the clip, and those of the video at the same moments."""
    moments = telling(run.motions[-1], 4)
    clip = torch.cat(list(read_video(CLIP).frames()))[moments]
    return rows(torch.cat([small(clip), faces(run.frames[moments])]), 4)


def clip_and_dubbed(run: Run) -> torch.Tensor:
    """Four frames of the clip, and the same ones dubbed."""
    moments = telling(run.motions[-1], 4)
    clip = torch.cat(list(read_video(CLIP).frames()))[moments]
    return rows(small(torch.cat([clip, run.frames[moments]])), 4)


def through_time(run: Run) -> torch.Tensor:
    """Eight frames at equal distances."""
    return rows(faces(run.frames[torch.linspace(0, len(run.frames) - 1, 10).long()[1:-1]]), 4)


def film(run: Run) -> torch.Tensor:
    """Many frames at equal distances."""
    moments = torch.linspace(0, len(run.frames) - 1, 32).long()
    return rows(faces(run.frames[moments], SIDE // 2), 8)


def by_turns(run: Run) -> torch.Tensor:
    """Two moments of the first voice, and two of the second."""
    first, second = (telling(motion, 8) for motion in run.motions)
    frames = run.frames[[first[0], first[2], second[5], second[6]]]
    return rows(small(frames[:, FACE_ROWS, FACE_COLUMNS.start : -FACE_COLUMNS.start], 3 * SIDE // 4), 2)


def out_of_noise(run: Run) -> torch.Tensor:
    """A portrait coming out of noise, as a diffusion model makes it, and four frames."""
    portrait = faces(load_picture(DEMO_PORTRAIT)[None])
    noise = 0.5 + 0.35 * torch.randn(4, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(0))
    shares = torch.tensor([0.0, 0.45, 0.8, 1.0]).view(4, 1, 1, 1)
    return rows(torch.cat([noise.lerp(portrait, shares), faces(run.frames[telling(run.motions[-1], 4)])]), 4)


THUMBNAILS: dict[str, Callable[[Run], torch.Tensor]] = {
    "talking_portrait": source_and_frames,
    "video_driven_portrait": clip_and_frames,
    "reference_head_pose": clip_and_frames,
    "style_from_clip": clip_and_frames,
    "dub_video": clip_and_dubbed,
    "pose_keyframes": through_time,
    "long_speech": film,
    "several_speakers": by_turns,
    "portrait_from_diffusion": out_of_noise,
}


def expressions() -> torch.Tensor:
    """The portrait with the EXPRESSIONS."""
    picture = load_picture(DEMO_PORTRAIT)
    portrait = choose_renderer("mesh").portrait(picture, find_faces(picture)[0])
    amounts = torch.stack([expression.amounts() for expression in EXPRESSIONS])
    posing = expressed(MotionSequence.still(len(EXPRESSIONS), 25), amounts)
    return rows(small(torch.cat(list(render(portrait, posing, RenderOptions(paste_back=False))))), 4)


def curves() -> torch.Tensor:
    """The demo portrait beside what the demo voice moves."""
    voice = load_audio(DEMO_VOICE)
    motion = choose_generator("procedural").generate(voice, 25)
    source = small(load_picture(DEMO_PORTRAIT)[None], 2 * SIDE)[0]
    return torch.cat([source, plot(motion, voice, 3 * SIDE, 2 * SIDE)], 1)


def save(picture: torch.Tensor, path: Path) -> None:
    """Keep a picture (H, W, 3)."""
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(path, quality=88, optimize=True)
    print(f"{path}: {pixels.shape[1]}×{pixels.shape[0]}")


def make_clip() -> None:
    """Draw the demo clip, and put the portrait beside its mirror image."""
    picture, voice = load_picture(DEMO_PORTRAIT), load_audio(DEMO_VOICE)
    portrait = choose_renderer("mesh").portrait(picture, find_faces(picture)[0])
    lively = choose_generator("procedural").generate(voice, 25, MotionOptions(head=CLIP_HEAD), CLIP_SEED)
    write_video(CLIP, render(portrait, lively, RenderOptions(paste_back=False)), lively.fps, voice)
    save(torch.cat([picture, picture.flip(1)], 1), PAIR)


def main() -> None:
    """Make all, or the thumbnails that are named."""
    if not sys.argv[1:]:
        make_clip()
    for path in WORKFLOWS:
        name = name_of(path)
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        if name == "expression_editing":
            picture = expressions()
        elif needs_networks(read(path)):
            picture = curves()
        else:
            picture = THUMBNAILS[name](run_of(path))
        save(picture, path.with_suffix(".jpg"))


if __name__ == "__main__":
    main()
