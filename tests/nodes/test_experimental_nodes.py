"""The experimental nodes: drawing from several pictures of a person, and shoulders that follow the head."""

from dataclasses import replace

import pytest
import torch
from test_nodes import NODES, host, motion_module, nodding, picture, run, small_portrait  # noqa: F401 (fixtures)


def swaying(frames=3):
    still = motion_module.MotionSequence.still(frames, 25)
    way = torch.linspace(0, 0.08, frames)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    return replace(still, translation=way)


def test_they_are_marked():
    assert {name for name, node in NODES.items() if getattr(node, "EXPERIMENTAL", False)} >= {
        "BodySway", "ReferenceSetRender", "SadTalkerPose",
    }  # fmt: skip


def test_shoulders_follow_by_their_share(small_portrait):  # noqa: F811 (the fixture)
    frames = small_portrait.picture.expand(3, -1, -1, -1)
    (still,) = run("BodySway", frames=frames, portrait=small_portrait, motion=swaying(), share=0.0)
    assert torch.equal(still, frames)
    (half,) = run("BodySway", frames=frames, portrait=small_portrait, motion=swaying(), share=0.5)
    changed = (half != frames).any(-1)
    chin = int(small_portrait.landmarks[152, 1])
    assert not changed[:, :chin].any()
    assert changed[2, chin:].float().mean() > 0.2
    (whole,) = run("BodySway", frames=frames, portrait=small_portrait, motion=swaying(), share=1.0)
    assert (whole - frames)[2].abs().mean() > (half - frames)[2].abs().mean()


def test_shoulders_need_the_whole_picture(small_portrait):  # noqa: F811 (the fixture)
    with pytest.raises(ValueError, match=r"frames are 64×64 pixels .* 256×256: render with paste_back on"):
        run("BodySway", frames=torch.rand(3, 64, 64, 3), portrait=small_portrait, motion=swaying())


def test_a_person_is_drawn_from_several_frames(picture):  # noqa: F811 (the fixture)
    """One of three frames has no face and is not kept; the mirrored face looks the other way."""
    small = picture[:256, 100:356]
    clip = torch.stack([small, torch.zeros_like(small), small.flip(1)])
    drawn, fps, sources = run("ReferenceSetRender", frames=clip, motion=nodding(3), renderer="mesh", hysteresis=0.0)
    assert drawn.shape == (3, 512, 512, 3)
    assert fps == 25.0
    assert set(sources.split(", ")) <= {"0", "2"}
    assert (drawn[0] - drawn[2]).abs().mean() > 0.005
