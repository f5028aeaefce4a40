"""The nodes for head poses, the filter and dubbing, run by themselves."""

import pytest
import torch
from test_nodes import motion_module, nodding, picture, run  # noqa: F401 (a fixture)

MotionSequence = motion_module.MotionSequence
TURNS = {
    "ReferencePose": {"reference": nodding(7)},
    "PoseKeyframes": {"keyframes": "0: 0, 0, 0\n0.3: 5, -20, 3 linear"},
    "SyntheticPose": {"degrees": 20.0, "jitter": 0.3},
}


def speaking(frames=12):
    still = MotionSequence.still(frames, 25)
    expression = still.expression.clone()
    expression[:, 19, 1] = 0.02 * torch.sin(torch.arange(frames) * 1.3)
    return MotionSequence(expression, still.rotation, still.scale, still.translation, 25, still.rest)


@pytest.mark.parametrize("node_id", TURNS)
def test_heads_turn_by_weight_and_lips_stay(node_id):
    motion = speaking()
    (full,) = run(node_id, motion=motion, **TURNS[node_id])
    (none,) = run(node_id, motion=motion, weight=0.0, **TURNS[node_id])
    assert len(full) == len(motion)
    assert full.rotation.abs().max() > 1
    torch.testing.assert_close(full.expression, motion.expression)
    torch.testing.assert_close(none.rotation, motion.rotation, atol=1e-4, rtol=0)
    assert not motion.rotation.any()


def test_a_random_start_is_by_the_seed():
    starts = {
        run("ReferencePose", motion=speaking(), reference=nodding(30), start="random", seed=seed)[0]
        .rotation[5]
        .tolist()[0]
        for seed in (1, 1, 2, 3)
    }
    assert len(starts) > 1
    assert len(starts) < 4


@pytest.mark.parametrize("text", ["", "now: 1, 2, 3", "1: a", "1: 0, 200, 0"])
def test_key_poses_that_cannot_be_read_are_said(text):
    with pytest.raises(ValueError, match=r"[Kk]ey ?(pose|frame)"):
        run("PoseKeyframes", motion=speaking(), keyframes=text)


def test_the_filter_changes_nothing_by_default_and_delays_when_asked():
    motion = speaking()
    torch.testing.assert_close(run("MotionFilter", motion=motion)[0].expression, motion.expression)
    (late,) = run("MotionFilter", motion=motion, delay_ms=80.0)
    torch.testing.assert_close(late.expression[2:], motion.expression[:-2], atol=1e-5, rtol=0)


def test_a_clip_is_dubbed_and_faceless_frames_are_told(picture):  # noqa: F811 (the fixture)
    small = picture[:256, 100:356]
    clip = torch.stack([small, torch.zeros_like(small), small])
    motion = speaking(4)
    motion.expression[:, 19, 1] = torch.tensor([0.0, 0.0, 0.0, 0.03])
    frames, fps, faceless = run("DubVideo", frames=clip, motion=motion, renderer="mesh", video="")
    assert frames.shape == (4, 256, 256, 3)
    assert (fps, faceless) == (25.0, "1")
    assert torch.equal(frames[1], clip[1])
    changed = (frames[3] != clip[2]).any(-1)
    assert 0.005 < changed.float().mean() < 0.2
    assert not changed[:120].any()
