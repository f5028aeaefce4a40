import pytest
import torch
from liveportrait_goldens import golden
from scipy.spatial import ConvexHull

from talking_head.lp_core.motion.keypoints import (
    REGIONS,
    angle_degrees,
    hull_volume,
    place,
    region_values,
    rotation_matrix,
    spread_ratio,
    transform,
)


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


def test_angles_from_bins_are_the_originals():
    close(angle_degrees(golden("math")["pose_logits"]), golden("math")["pose_degrees"], 1e-4)


def test_a_certain_bin_is_its_angle():
    logits = torch.full((66,), -1e4).scatter(0, torch.tensor([40]), 1e4)
    assert angle_degrees(logits).item() == pytest.approx(3 * 40 - 97.5)


def test_rotations_are_the_originals():
    close(rotation_matrix(golden("math")["euler_deg"]), golden("math")["euler_R"], 5e-7)


def test_placed_keypoints_are_the_originals():
    """Every one of the batch has keypoints of its own."""
    stored = golden("math")
    rotation = torch.cat([stored[f"tk_{angle}"] for angle in ("pitch", "yaw", "roll")], 1)
    for index in range(6):
        one = slice(index, index + 1)
        values = (stored["tk_exp"][one], rotation[one], stored["tk_scale"][one], stored["tk_t"][one])
        close(transform(stored["tk_kp"][index], *values), stored["tk_out"][one], 5e-7)


def test_placing_by_matrices_is_placing_by_degrees():
    keypoints, expression, rotation = torch.randn(21, 3), torch.randn(4, 21, 3), torch.randn(4, 3) * 20
    scale, translation = torch.rand(4, 1) + 1, torch.randn(4, 3)
    by_matrices = place(keypoints, expression, rotation_matrix(rotation), scale, translation)
    assert torch.equal(by_matrices, transform(keypoints, expression, rotation, scale, translation))


def test_spread_ratios_are_the_originals():
    stored = golden("math")
    ratios = [spread_ratio(*pair) for pair in zip(stored["mm_source"], stored["mm_driving"], strict=True)]
    close(torch.tensor(ratios, dtype=torch.float64), stored["mm_out"], 1e-6)


def test_hull_volumes_scale_with_the_cube():
    points = torch.randn(21, 3)
    assert hull_volume(points) == pytest.approx(ConvexHull(points.numpy()).volume)
    assert hull_volume(points * 2) == pytest.approx(8 * hull_volume(points), rel=1e-5)


def test_regions_name_their_keypoints():
    assert int(region_values(("lips", "eyes")).sum()) == 3 * (6 + 5)
    assert region_values(("all",)).all()
    assert not region_values(("pose",)).any()
    assert torch.equal(region_values(REGIONS), region_values(("expression",)))
