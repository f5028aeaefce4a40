"""Make the demo clip and the workflows' thumbnails again, after a change of what frames look like.

    python tests/benchmarks/demo_pictures.py

Writes workflows/demo_clip.mp4 (the demo portrait with another seed and livelier head, cropped),
talking_portrait.jpg, video_driven_portrait.jpg and expression_editing.jpg.
Everything is drawn from the demo portrait and voice.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from conftest import ROOT

from talking_head.__main__ import DEMO_PORTRAIT, DEMO_VOICE
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
from talking_head.lp_core.expression import Expression, expressed
from talking_head.lp_core.mesh.extractor import LandmarkExtractor
from talking_head.lp_core.motion import MotionSequence
from talking_head.lp_core.portrait import Portrait, RenderOptions

FOLDER = ROOT / "workflows"
CLIP = FOLDER / "demo_clip.mp4"
CLIP_SEED, CLIP_HEAD = 3, 1.6
TALKING_SEED = 0
SIDE = 240  # pixels of a small picture
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


def small(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """Square pictures (N, H, W, 3) area-averaged to a side."""
    return F.interpolate(pictures.movedim(-1, 1), size=(side, side), mode="area").movedim(1, -1)


def row(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (N, H, W, 3) side by side."""
    return torch.cat(list(pictures), 1)


def telling_frames(motion: MotionSequence, count: int) -> list[int]:
    """In each of `count` stretches the frame whose mouth is widest open, and at last one of a closed eye."""
    controls = from_expression(motion.expression - motion.rest.expression)
    stretch = len(motion) // count
    starts = range(0, stretch * count, stretch)
    widest = [start + int(controls.jaw[start : start + stretch].argmax()) for start in starts]
    widest[-1] = int(controls.blink_left.argmax())
    return widest


def drawn(portrait: Portrait, motion: MotionSequence, frames: list[int], paste_back: bool) -> torch.Tensor:
    """The given frames of a motion."""
    options = RenderOptions(paste_back=paste_back)
    return torch.cat([batch for index in frames for batch in render(portrait, motion[index : index + 1], options)])


def save(picture: torch.Tensor, name: str) -> None:
    """Keep a picture (H, W, 3) in the workflows folder."""
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(FOLDER / name, quality=88, optimize=True)
    print(f"{FOLDER / name}: {pixels.shape[1]}×{pixels.shape[0]}")


def main() -> None:
    """Draw the clip and the thumbnails."""
    picture, voice = load_picture(DEMO_PORTRAIT), load_audio(DEMO_VOICE)
    portrait = choose_renderer("mesh").portrait(picture, find_faces(picture)[0])
    generator = choose_generator("procedural")

    lively = generator.generate(voice, 25, MotionOptions(head=CLIP_HEAD), CLIP_SEED)
    write_video(CLIP, render(portrait, lively, RenderOptions(paste_back=False)), lively.fps, voice)

    speaking = generator.generate(voice, 25, MotionOptions(), TALKING_SEED)
    frames = small(drawn(portrait, speaking, telling_frames(speaking, 6), paste_back=False), SIDE)
    source = small(picture[None], 2 * SIDE)[0]
    save(torch.cat([source, torch.cat([row(frames[:3]), row(frames[3:])])], 1), "talking_portrait.jpg")

    amounts = torch.stack([expression.amounts() for expression in EXPRESSIONS])
    posing = expressed(MotionSequence.still(len(EXPRESSIONS), 25), amounts)
    edited = small(drawn(portrait, posing, list(range(len(posing))), paste_back=False), SIDE)
    save(torch.cat([row(edited[:4]), row(edited[4:])]), "expression_editing.jpg")

    clip = read_video(CLIP)
    followed = LandmarkExtractor().extract(clip.frames(), clip.fps).motion
    chosen = telling_frames(followed, 4)
    driving = torch.cat(list(clip.frames()))[chosen]
    driven = drawn(portrait, followed, chosen, paste_back=True)
    save(torch.cat([row(small(driving, SIDE)), row(small(driven, SIDE))]), "video_driven_portrait.jpg")


if __name__ == "__main__":
    main()
