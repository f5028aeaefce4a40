from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from talking_head.lp_core.media.rates import frame_count, frame_rate
from talking_head.lp_core.motion.keypoints import rotation_degrees, rotation_matrix, transform
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence, join

ANGLES = st.tuples(*[st.floats(-80, 80)] * 3)


def moving(frames: int, fps: float = 25) -> MotionSequence:
    return MotionSequence(
        expression=torch.randn(frames, 21, 3) * 0.01,
        rotation=torch.randn(frames, 3) * 10,
        scale=1 + torch.rand(frames, 1) * 0.1,
        translation=torch.randn(frames, 3) * 0.1,
        fps=frame_rate(fps),
        rest=MotionFrame(torch.randn(21, 3) * 0.01, torch.randn(3), torch.ones(1), torch.zeros(3)),
    )


def assert_same(first: MotionSequence, second: MotionSequence, **tolerance):
    for name in MotionFrame.SHAPES:
        torch.testing.assert_close(getattr(first, name), getattr(second, name), **tolerance)


@pytest.mark.parametrize(
    ("given_rate", "exact"),
    [
        (25, Fraction(25)),
        (1.0, Fraction(1)),
        (5.0, Fraction(5)),
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (Fraction(25, 2), Fraction(25, 2)),
    ],
)
def test_frame_rates_are_exact(given_rate, exact):
    assert frame_rate(given_rate) == exact


@pytest.mark.parametrize("bad", [0, -1, 1000, float("nan"), float("inf"), "fast", None])
def test_bad_frame_rates_are_refused(bad):
    with pytest.raises(ValueError, match="frame rate"):
        frame_rate(bad)


@given(
    st.integers(1, 10**8), st.sampled_from([8000, 16000, 44100, 96000]), st.sampled_from([23.976, 25, 29.97, 30])
)
def test_frames_cover_the_sound_and_no_more(samples, sample_rate, fps):
    rate = frame_rate(fps)
    frames = frame_count(samples, sample_rate, rate)
    assert (frames - 1) / rate < Fraction(samples, sample_rate) <= frames / rate


@given(ANGLES)
def test_rotation_matrix_agrees_with_scipy(angles):
    expected = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().T
    torch.testing.assert_close(
        rotation_matrix(torch.tensor(angles, dtype=torch.float64)), torch.from_numpy(expected), atol=1e-12, rtol=0
    )


@given(ANGLES)
def test_degrees_come_back(angles):
    degrees = torch.tensor(angles, dtype=torch.float64)
    torch.testing.assert_close(rotation_degrees(rotation_matrix(degrees)), degrees, atol=1e-9, rtol=0)


def test_positive_yaw_turns_the_nose_to_the_left():
    nose = torch.tensor([0.0, 0.0, -1.0])
    torch.testing.assert_close(nose @ rotation_matrix(torch.tensor([0.0, 90.0, 0.0])), torch.tensor([-1.0, 0, 0]))


def test_depth_translation_moves_nothing():
    keypoints, motion = torch.randn(21, 3), moving(2)
    deeper = motion.translation + torch.tensor([0.0, 0.0, 5.0])
    placed = [
        transform(keypoints, motion.expression, motion.rotation, motion.scale, translation)
        for translation in (motion.translation, deeper)
    ]
    torch.testing.assert_close(*placed)


def test_a_keypoint_displacement_folds_into_the_expression():
    keypoints, motion, moved = torch.randn(21, 3), moving(3), torch.randn(3, 21, 3)
    pose = (motion.rotation, motion.scale, motion.translation)
    direct = transform(keypoints, motion.expression, *pose) + moved
    folded = transform(keypoints, motion.expression + moved / motion.scale[:, :, None], *pose)
    torch.testing.assert_close(folded, direct)


def test_saved_motion_comes_back(tmp_path):
    motion = moving(7, 29.97)
    motion.save(tmp_path / "motion.safetensors")
    loaded = MotionSequence.load(tmp_path / "motion.safetensors")
    assert_same(loaded, motion, atol=0, rtol=0)
    assert loaded.fps == Fraction(30000, 1001)
    torch.testing.assert_close(loaded.rest.expression, motion.rest.expression, atol=0, rtol=0)


def test_damaged_and_foreign_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    whole = tmp_path / "motion.safetensors"
    moving(3).save(whole)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-40])
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    for path in (cut, foreign, tmp_path / "missing.safetensors"):
        with pytest.raises(ValueError, match=path.name):
            MotionSequence.load(path)


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "motion.safetensors"
    moving(3).save(path)
    before = path.read_bytes()

    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        moving(4).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        moving(2).save(tmp_path / "nowhere" / "motion.safetensors")


def test_resampling_to_the_own_rate_changes_nothing():
    motion = moving(9)
    assert motion.resampled(25) is motion


def test_resampling_keeps_the_frames_that_both_rates_share():
    motion = moving(11)
    assert_same(motion.resampled(50)[::2], motion, atol=2e-5, rtol=1e-5)


def test_resampled_rotation_takes_the_shortest_arc():
    motion = MotionSequence.still(2, 1)
    motion = MotionSequence(
        motion.expression,
        torch.tensor([[0.0, 40.0, 0.0], [0.0, -40.0, 0.0]]),
        motion.scale,
        motion.translation,
        motion.fps,
        motion.rest,
    )
    torch.testing.assert_close(motion.resampled(4).rotation[:5, 1], torch.tensor([40.0, 20, 0, -20, -40]))


@given(st.sampled_from([12.5, 23.976, 29.97, 60]), st.integers(1, 40))
def test_resampling_keeps_the_duration(fps, frames):
    motion = MotionSequence.still(frames, 25)
    resampled = motion.resampled(fps)
    assert resampled.duration - 1 / resampled.fps < motion.duration <= resampled.duration


def test_pieces_join_to_the_whole():
    motion = moving(10)
    assert_same(join([motion[:3], motion[3:4], motion[4:]]), motion, atol=0, rtol=0)


def test_motions_of_different_rests_do_not_join():
    with pytest.raises(ValueError, match="rest frames"):
        join([moving(2), moving(2)])


def test_wrong_shapes_and_values_are_refused():
    still = MotionSequence.still(4, 25)
    with pytest.raises(ValueError, match=r"rotation.*\(4, 3\)"):
        MotionSequence(still.expression, torch.zeros(3, 3), still.scale, still.translation, still.fps, still.rest)
    with pytest.raises(ValueError, match="finite"):
        MotionSequence(
            still.expression * float("nan"), still.rotation, still.scale, still.translation, still.fps, still.rest
        )
    with pytest.raises(ValueError, match="at least one frame"):
        still[4:]
