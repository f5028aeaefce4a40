from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import savgol_filter
from talker_goldens import assert_near, golden
from test_motion import assert_same, moving

from talking_head.lp_core.motion.keypoints import LIPS, rotation_matrix
from talking_head.lp_core.motion.motion_filter import (
    SMOOTHINGS,
    FilterOptions,
    filter_motion,
    overshoot,
    scale_pose,
    uncross_lips,
)
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.motion.smoothers import gaussian, kalman, savitzky_golay


def opening(motion):
    delta = motion.expression - motion.rest.expression
    return delta[:, 19, 1] - delta[:, 20, 1]


def test_kalman_equals_the_original():
    stored = golden("lpt_controls")
    assert_near(kalman(stored["kalman.in"]), stored["kalman.out"], 1e-6)
    assert_near(kalman(stored["kalman.in"], observation=1e-5), stored["kalman.out_r1e-5"], 1e-6)


def test_kalman_is_the_best_estimate_of_a_random_walk():
    """The smoother solves the least-squares problem whose normal equations are written out here."""
    count, process, observation = 12, 1e-2, 3e-2
    values = torch.randn(count, dtype=torch.float64)
    steps = np.diff(np.eye(count), axis=0)
    start = np.zeros((count, count))
    start[0, 0] = 1.0  # the prior: the first value with variance 1
    system = np.eye(count) / observation + steps.T @ steps / process + start
    wanted = np.linalg.solve(system, values.numpy() / observation + start[:, 0] * values[0].item())
    assert_near(kalman(values, process, observation), torch.from_numpy(wanted), 1e-9)


def test_the_other_smoothers_are_scipys():
    values = torch.randn(30, 2, dtype=torch.float64)
    assert_near(gaussian(values, 2.0), torch.from_numpy(gaussian_filter1d(values.numpy(), 2.0, axis=0)), 1e-6)
    assert_near(savitzky_golay(values), torch.from_numpy(savgol_filter(values.numpy(), 13, 2, axis=0)), 1e-6)


def test_the_head_follows_as_joyvasa_lets_it():
    """By 0.01 of the way in each frame, written out; faces are left alone."""
    motion = moving(30)
    followed = filter_motion(motion, FilterOptions(smoothing="exponential", width=100 / float(motion.fps)))
    for name in ("rotation", "scale", "translation"):
        values = getattr(motion, name)
        expected = [values[0]]
        for value in values[1:]:
            expected.append(0.01 * value + 0.99 * expected[-1])
        assert_near(getattr(followed, name), torch.stack(expected), 1e-4)
    assert_near(followed.expression, motion.expression, 1e-7)


def test_a_head_that_turns_past_180_degrees_follows_the_short_way():
    turn = torch.tensor([[0.0, angle, 0.0] for angle in (178.0, 179.0, -180.0, -179.0, -178.0)])
    motion = replace(MotionSequence.still(5, 25), rotation=turn)
    followed = filter_motion(motion, FilterOptions(smoothing="exponential", width=0.08)).rotation[:, 1]
    assert ((followed >= 178) & (followed <= 182)).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 12])
def test_short_clips_are_smoothed_over_what_they_have(frames):
    """Pitfall 6: the original asks scipy for a window longer than the clip, or not longer than its degree."""
    values = torch.randn(frames, 3)
    assert savitzky_golay(values).shape == values.shape
    parabola = torch.arange(frames).float()[:, None] ** 2
    assert_near(savitzky_golay(parabola), parabola, 1e-4)


@pytest.mark.parametrize("smoothing", SMOOTHINGS[1:])
def test_smoothed_rotations_are_rotations(smoothing):
    """Pitfall 8: the original smooths the entries of the matrices, which leaves no rotations."""
    motion = moving(40)
    turned = rotation_matrix(motion.rotation)
    smoothed = filter_motion(motion, FilterOptions(smoothing=smoothing, width=0.2, observation=1e-4))
    again = rotation_matrix(smoothed.rotation)
    assert_near(again @ again.mT, torch.eye(3).expand(40, 3, 3), 1e-5)
    entries = kalman(turned, observation=1e-4)
    assert (entries @ entries.mT - torch.eye(3)).abs().max() > 1e-3
    assert again.diff(dim=0).abs().mean() < 0.8 * turned.diff(dim=0).abs().mean()


def test_the_neutral_filter_changes_nothing():
    motion = moving(12)
    assert_same(filter_motion(motion, FilterOptions()), motion, atol=1e-6, rtol=0)


def test_the_filter_never_touches_its_input():
    motion = moving(12)
    before = [getattr(motion, name).clone() for name in MotionFrame.SHAPES]
    options = FilterOptions(
        smoothing="gaussian", lip_gain=(2, 2, 2), overshoot=0.5, pose_gain=(0, 1, 2), uncross=True, delay=0.1
    )
    filter_motion(motion, options)
    assert all(torch.equal(old, getattr(motion, n)) for old, n in zip(before, MotionFrame.SHAPES, strict=True))


def test_lip_gain_is_by_axis_and_for_the_lips_alone():
    motion = moving(5)
    gained = filter_motion(motion, FilterOptions(lip_gain=(1.0, 2.0, 0.5)))
    delta, scaled = motion.expression - motion.rest.expression, gained.expression - motion.rest.expression
    others = [keypoint for keypoint in range(21) if keypoint not in LIPS]
    assert_near(scaled[:, list(LIPS)], delta[:, list(LIPS)] * torch.tensor([1.0, 2.0, 0.5]), 1e-6)
    assert_near(scaled[:, others], delta[:, others], 1e-7)


def test_pose_gain_is_by_axis():
    turned = replace(MotionSequence.still(1, 25), rotation=torch.tensor([[5.0, -8.0, 3.0]]))
    assert_near(scale_pose(turned, (0.0, 1.0, 2.0)).rotation, torch.tensor([[0.0, -8.0, 6.0]]), 1e-4)


def test_overshoot_equals_the_original():
    stored = golden("lsp_post")
    assert_near(overshoot(stored["pts"][:, 46:64], 0.5), stored["amp_delta"][:, 46:64], 1e-6)


def test_lips_never_cross_and_open_ones_stay():
    motion = moving(60)
    uncrossed = uncross_lips(motion, closed=-0.005)
    before, after = opening(motion), opening(uncrossed)
    assert before.min() < -0.01
    assert after.min() >= -0.005 - 1e-6
    assert torch.equal(uncrossed.expression[before >= -0.005], motion.expression[before >= -0.005])
    middle = lambda moved: moved.expression[:, [19, 20], 1].mean(1)  # noqa: E731
    assert_near(middle(uncrossed), middle(motion), 1e-7)


def test_lips_are_uncrossed_after_the_gains():
    """Pitfall 18: a gain after uncrossing would cross them again."""
    motion = moving(60)
    filtered = filter_motion(motion, FilterOptions(lower_lip_gain=(1.0, 3.0, 1.0), uncross=True))
    assert opening(filtered).min() >= -1e-6


@pytest.mark.parametrize(
    "wrong", [{"smoothing": "mean"}, {"width": -1}, {"observation": 0}, {"pose_gain": (9, 0, 0)}]
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        FilterOptions(**wrong)
