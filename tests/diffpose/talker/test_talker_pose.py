from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from talker_goldens import assert_near, golden
from test_motion import assert_same, moving

from talking_head.diffpose.pose_sources import (
    EASINGS,
    Keyframe,
    cached_motion,
    keyframe_pose,
    reference_pose,
)
from talking_head.diffpose.talker.synthetic_pose import (
    Sway,
    SyntheticPoseOptions,
    draw_sway,
    speaking,
    sway_degrees,
    synthetic_pose,
)
from talking_head.lp_core.motion.keypoints import rotation_matrix
from talking_head.lp_core.motion.retarget import relative_to
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.motion.smoothers import kalman
from talking_head.lp_core.render.dubbing import ping_pong


def talking(frames, fps=25):
    expression = torch.zeros(frames, 21, 3)
    expression[:, 19, 1] = 0.02 * torch.sin(torch.arange(frames) * 1.1)
    return replace(MotionSequence.still(frames, fps), expression=expression)


@pytest.mark.parametrize("case", ["0", "1", "2"])
def test_synthetic_pose_equals_the_original(case):
    stored = {
        name.removeprefix(f"{case}."): value
        for name, value in golden("lpt_synth_pose").items()
        if name.startswith(f"{case}.")
    }
    options = SyntheticPoseOptions(threshold=stored["threshold"].item(), whole_seconds=True)
    weight = speaking(stored["lips"][:, 4:6], options)
    assert_near(weight, stored["weight"], 1e-5)
    sway = Sway(stored["degree"], stored["frequency"], stored["noise"])
    degrees = stored["source_pose_deg"] + sway_degrees(sway, weight, 25.0, options)
    assert_near(degrees, torch.stack([stored["pitch"], stored["yaw"], stored["roll"]], 1), 1e-4)
    matrices = rotation_matrix(degrees)
    assert_near(matrices, stored["R"], 1e-5)
    assert_near(kalman(matrices), stored["R_smooth"], 1e-5)


def test_lips_that_never_move_still_the_head():
    """Pitfall 5: the original divides by the lips' range, which is zero."""
    assert not speaking(torch.ones(30, 2, 3), SyntheticPoseOptions()).any()
    assert not synthetic_pose(MotionSequence.still(30, 25)).rotation.any()


def test_short_clips_sway_too():
    """Pitfall 6: the original's clock stands still in the first second."""
    sway, weight = draw_sway(20, 1, SyntheticPoseOptions()), torch.ones(20)
    no_jitter = SyntheticPoseOptions(jitter=0.0)
    assert sway_degrees(sway, weight, 25.0, no_jitter).abs().max() > 0.3
    assert not sway_degrees(sway, weight, 25.0, replace(no_jitter, whole_seconds=True)).any()


@given(st.integers(0, 50))
def test_the_head_stays_within_its_amplitude_and_repeats_by_seed(seed):
    pose = synthetic_pose(talking(100), seed)
    assert pose.rotation.abs().max() <= 3.0
    assert torch.equal(pose.rotation, synthetic_pose(talking(100), seed).rotation)
    assert not torch.equal(pose.rotation, synthetic_pose(talking(100), seed + 1).rotation)


def test_a_longer_clip_begins_like_a_shorter_one_without_jitter():
    options = SyntheticPoseOptions(jitter=0.0)
    short, long = synthetic_pose(talking(80), 3, options), synthetic_pose(talking(200), 3, options)
    assert_near(long.rotation[:70], short.rotation[:70], 1e-4)


def test_ping_pong_equals_appending_the_reversed_clip():
    """As the original lengthens a list: the last N of it, reversed, are appended until it is long enough."""
    listed = list(range(4))
    while len(listed) < 30:
        listed += listed[-4:][::-1]
    assert ping_pong(4, 30).tolist() == listed[:30]
    assert ping_pong(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("start", [0, 3, "random"])
@pytest.mark.parametrize("length", [1, 5, 40])
def test_a_reference_lasts_as_long_as_wanted(length, start):
    """Pitfall 7: the original cannot draw a start in a clip no longer than the sound."""
    clip = moving(length)
    if start == 3 and length == 1:
        with pytest.raises(ValueError, match="starts at frame 3 of 1"):
            reference_pose(clip, 25, start)
        return
    pose = reference_pose(clip, 25, start, seed=2)
    assert len(pose) == 25
    own = moving(1).frame(0)
    # Relative: the portrait begins in its own pose; absolute rotations would jump away from it.
    assert_near(relative_to(pose, own).rotation[0], own.rotation, 1e-3)


def test_an_absolute_reference_takes_the_clips_angles():
    clip, own = moving(30), moving(1).frame(0)
    placed = relative_to(reference_pose(clip, 30, absolute_for=own), own)
    assert_near(rotation_matrix(placed.rotation), rotation_matrix(clip.rotation), 1e-4)
    assert_near(placed.scale[0], own.scale, 1e-5)
    assert_near(placed.translation[0], own.translation, 1e-5)
    assert_near(placed.expression[0], own.expression, 1e-6)


def test_motion_is_kept_by_what_the_file_holds(tmp_path):
    """Pitfall 7: the original keeps it by the file's name, and two files of one name are taken for each other."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    one, other, reads = moving(3), moving(3), []

    def read(motion):
        reads.append(motion)
        return motion

    for _ in range(2):
        assert_same(cached_motion(first, tmp_path, "25", lambda: read(one)), one, atol=0, rtol=0)
        assert_same(cached_motion(second, tmp_path, "25", lambda: read(other)), other, atol=0, rtol=0)
    assert len(reads) == 2
    cached_motion(first, tmp_path, "30", lambda: read(one))
    assert len(reads) == 3
    for kept in tmp_path.glob("*.safetensors"):
        kept.write_bytes(b"damaged")
    assert_same(cached_motion(first, tmp_path, "25", lambda: read(one)), one, atol=0, rtol=0)


@pytest.mark.parametrize("easing", EASINGS)
def test_key_poses_are_met_and_held(easing):
    keys = [Keyframe(0.4, yaw=-10, easing=easing), Keyframe(1.2, yaw=20, pitch=5, easing=easing)]
    yaw = keyframe_pose(keys, 50, 25).rotation[:, 1]
    assert_near(yaw[:11], torch.full((11,), -10.0), 1e-5)
    assert_near(yaw[30:], torch.full((20,), 20.0), 1e-5)
    assert (yaw.diff() >= 0).all()


def test_easings_differ_half_way():
    half = {
        easing: keyframe_pose([Keyframe(0, easing=easing), Keyframe(2, yaw=8)], 51, 25).rotation[25, 1].item()
        for easing in EASINGS
    }
    assert half == pytest.approx({"linear": 4, "smooth": 4, "ease in": 2, "ease out": 6, "hold": 0}, abs=1e-4)


@pytest.mark.parametrize("wrong", [[], [Keyframe(1), Keyframe(1, yaw=3)]])
def test_key_poses_need_times_of_their_own(wrong):
    with pytest.raises(ValueError, match="each at a time of its own"):
        keyframe_pose(wrong, 5, 25)
