from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from liveportrait_goldens import golden
from scipy.spatial.transform import Rotation
from test_motion import assert_same, moving

from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.landmarks import Face
from talking_head.lp_core.faces.layouts import eye_ratios, lip_ratio
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion.controls import Controls, from_expression, to_expression
from talking_head.lp_core.motion.keypoints import (
    EYES,
    LIPS,
    REGIONS,
    expressive,
    nearest_rotation,
    neutral_expression,
    region_values,
    rotation_degrees,
    rotation_matrix,
)
from talking_head.lp_core.motion.retarget import (
    hold,
    measured_from,
    measured_from_neutral,
    nearest_to_rest,
    relative_to,
    smoothed,
    transfer,
    transfer_to_clip,
)
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.motion.smoothers import kalman
from talking_head.lp_core.render.openings import displaced, open_eyes_to, open_lips_to
from talking_head.lp_core.render.portrait import Portrait


def rest_frame() -> MotionFrame:
    return MotionFrame(torch.randn(21, 3) * 0.01, torch.randn(3) * 5, torch.tensor([1.3]), torch.randn(3) * 0.1)


def frames_of(rest: MotionFrame, count: int) -> MotionSequence:
    values = {name: getattr(rest, name).expand(count, *shape) for name, shape in MotionFrame.SHAPES.items()}
    return MotionSequence(**values, fps=Fraction(25), rest=rest)


@lru_cache
def mesh_portrait() -> Portrait:
    picture = torch.rand(80, 80, 3, generator=torch.Generator().manual_seed(1))
    return MeshRenderer().portrait(picture, Face(face_model().mean * 20 + 40.0))


@pytest.mark.parametrize("regions", [(region,) for region in REGIONS] + [("lips", "pose")])
def test_a_driver_at_rest_leaves_the_portrait_at_rest(regions):
    driver, rest = rest_frame(), rest_frame()
    own = transfer(frames_of(driver, 3), rest, regions=regions)
    assert_same(own, frames_of(rest, 3), atol=1e-5, rtol=1e-5)


def test_relative_transfer_is_idempotent():
    own = relative_to(moving(4), rest_frame())
    assert_same(relative_to(own, own.rest), own, atol=1e-5, rtol=1e-5)


@given(st.sets(st.sampled_from(["lips", "eyes", "brows", "pose"]), min_size=1), st.booleans())
def test_regions_combine(regions, relative):
    motion, rest = moving(3), rest_frame()
    together = transfer(motion, rest, relative, tuple(regions))
    for region in ("lips", "eyes", "brows"):
        source = transfer(motion, rest, relative, (region,)) if region in regions else frames_of(rest, 3)
        chosen = region_values((region,))
        assert torch.equal(together.expression[:, chosen], source.expression[:, chosen])
    alone = transfer(motion, rest, relative, ("pose",)) if "pose" in regions else frames_of(rest, 3)
    assert torch.equal(together.rotation, alone.rotation)
    assert torch.equal(together.translation, alone.translation)
    assert torch.equal(together.scale, rest.scale.expand(3, 1))


def test_expression_and_pose_are_all_but_for_the_scale():
    motion, rest = moving(3), rest_frame()
    whole, both = transfer(motion, rest), transfer(motion, rest, regions=("expression", "pose"))
    assert_same(replace(whole, scale=both.scale), both, atol=0, rtol=0)


def test_absolute_transfer_keeps_who_it_is():
    motion, rest = moving(3), rest_frame()
    kept, taken = (transfer(motion, rest, relative=False, keep_identity=keep) for keep in (True, False))
    assert torch.equal(kept.expression, torch.where(expressive(), motion.expression, rest.expression))
    assert torch.equal(taken.expression, motion.expression)
    assert torch.equal(kept.rest.rotation, motion.rest.rotation)
    assert torch.equal(kept.scale, rest.scale.expand(3, 1))


def test_what_tells_whose_face_it_is_is_not_expressive():
    assert int(expressive().sum()) == 3 * 13 + 6
    assert not expressive()[[0, 7, 10]].any()


def test_the_neutral_face_has_a_closed_calm_mouth():
    controls = from_expression(neutral_expression()[None])
    assert controls.jaw.item() < 0
    assert neutral_expression()[19, 1].item() == pytest.approx(-0.0150906)


# A clip that is driven.


def test_a_still_driver_leaves_a_clip_as_it_is():
    clip = moving(6)
    still = frames_of(rest_frame(), 9)
    own = transfer_to_clip(still, clip, observation_variance=0)
    assert_same(own, clip, atol=2e-5, rtol=1e-5)


def test_a_clip_keeps_its_time_base():
    driver, clip = moving(10, 50), moving(30, 25)
    own = transfer_to_clip(driver, clip, observation_variance=0)
    assert own.fps == 25
    assert len(own) == 5
    every_second = relative_to(driver[::2], replace(clip, rest=clip.rest)[:5])
    torch.testing.assert_close(own.rotation, every_second.rotation, atol=1e-3, rtol=0)
    torch.testing.assert_close(own.expression[:, LIPS], every_second.expression[:, LIPS], atol=1e-6, rtol=0)


def test_one_driving_frame_holds_for_the_whole_clip():
    clip = moving(7)
    own = transfer_to_clip(measured_from_neutral(moving(1)), clip)
    assert len(own) == 7
    torch.testing.assert_close(own.translation, clip.translation)


def test_regions_of_a_clip_take_their_keypoints_and_no_place():
    clip, driver = moving(4), moving(4)
    own = transfer_to_clip(driver, clip, regions=("eyes",), observation_variance=0)
    others = [index for index in range(21) if index not in EYES]
    assert torch.equal(own.expression[:, others], clip.expression[:, others])
    assert not torch.equal(own.expression[:, EYES], clip.expression[:, EYES])
    assert torch.equal(own.rotation, clip.rotation)


# Smoothing.


@pytest.mark.parametrize("variance", ["3e-07", "3e-06", "0.0001"])
def test_smoothing_is_the_originals(variance):
    stored = golden("math")
    for name, shape in (("exp", (-1, 21, 3)), ("R", (-1, 3, 3))):
        actual = kalman(stored[f"kal_{name}_in"].reshape(shape), observation=float(variance))
        torch.testing.assert_close(actual, stored[f"kal_{name}_out_{variance}"], atol=1e-7, rtol=0)


@pytest.mark.parametrize("variance", ["3e-07", "0.0001"])
def test_smoothed_rotations_are_the_nearest_to_the_originals_matrices(variance):
    stored = golden("math")
    still = MotionSequence.still(30, 25)
    motion = replace(still, rotation=rotation_degrees(stored["kal_R_in"].double()).float())
    expected = nearest_rotation(stored[f"kal_R_out_{variance}"].double())
    actual = rotation_matrix(smoothed(motion, float(variance)).rotation.double())
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=0)


def test_a_single_frame_is_smoothed_to_itself():
    motion = moving(1)
    assert_same(smoothed(motion, 1e-4), motion, atol=1e-5, rtol=1e-5)


def random_rotations(count):
    """Matrices (count, 3, 3), spread evenly."""
    return torch.from_numpy(Rotation.from_quat(torch.randn(count, 4).numpy()).as_matrix())


def test_nearest_rotations_agree_with_scipy_and_are_never_mirrored():
    matrices = torch.randn(50, 3, 3, dtype=torch.float64)
    actual = nearest_rotation(matrices)
    torch.testing.assert_close(torch.det(actual), torch.ones(50, dtype=torch.float64))
    turned = random_rotations(50)
    torch.testing.assert_close(nearest_rotation(turned), turned)
    others = random_rotations(50)
    assert ((matrices - actual).norm(dim=(1, 2)) <= (matrices - others).norm(dim=(1, 2)) + 1e-9).all()


# The neutral frame.


def test_motion_is_measured_from_the_frame_one_likes():
    motion = measured_from(moving(5), 3)
    torch.testing.assert_close(motion.relative_rotation()[3], torch.eye(3), atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="5 frames"):
        measured_from(motion, 5)


@pytest.mark.parametrize("calm", [0, 13, 29])
def test_the_calmest_frame_is_found(calm):
    """Speech, blinks and nods everywhere but in one frame."""
    time = torch.arange(30.0)
    controls = Controls.still(
        30,
        jaw=0.1 + 0.1 * torch.sin(time * 1.3).abs(),
        blink_left=0.8 * (time % 4 == 1),
        blink_right=0.8 * (time % 4 == 1),
    )
    at_rest = torch.arange(30) == calm
    expression = torch.where(at_rest[:, None, None], 0.0, to_expression(controls)) + torch.randn(21, 3) * 0.02
    rotation = torch.where(at_rest[:, None], 0.0, torch.stack([torch.sin(time), torch.cos(time), 0 * time], -1) * 4)
    motion = replace(MotionSequence.still(30, 25), expression=expression, rotation=rotation)
    assert nearest_to_rest(motion) == calm


def test_a_driving_picture_gives_its_pose():
    motion = moving(1)
    own = transfer(measured_from_neutral(motion), MotionFrame.neutral())
    torch.testing.assert_close(own.rotation, motion.rotation, atol=1e-4, rtol=0)
    assert torch.equal(own.scale, torch.ones(1, 1))


# Openings.


def test_holding_stills_regions_and_no_others():
    motion = moving(4)
    held = hold(motion, ("lips",))
    assert torch.equal(held.expression[:, LIPS], motion.rest.expression[list(LIPS)].expand(4, 6, 3))
    assert torch.equal(held.rotation, motion.rotation)
    assert_same(hold(motion, ("all",)), frames_of(motion.rest, 4), atol=0, rtol=0)


def test_displacements_arrive_in_full():
    portrait = mesh_portrait()
    motion, moved = moving(3), torch.randn(3, 21, 3)
    before, after = (transfer(one, portrait.rest) for one in (motion, displaced(motion, portrait, moved)))
    torch.testing.assert_close((after.expression - before.expression) * before.scale[:, :, None], moved)


@given(st.floats(0, 0.8))
def test_lips_of_a_mesh_portrait_open_as_far_as_asked(ratio):
    portrait = mesh_portrait()
    own = transfer(open_lips_to(MotionSequence.still(2, 25), portrait, ratio), portrait.rest)
    jaw = from_expression(own.expression - portrait.rest.expression).jaw
    landmarks = portrait.landmarks
    width = (landmarks[61, :2] - landmarks[291, :2]).norm() / (landmarks[33] - landmarks[263]).norm()
    torch.testing.assert_close(jaw, (ratio - lip_ratio(landmarks)) * width.expand(2), atol=1e-3, rtol=0)


def test_closed_eyes_of_a_mesh_portrait_are_closed():
    portrait = mesh_portrait()
    own_left, own_right = eye_ratios(portrait.landmarks)
    still = MotionSequence.still(2, 25)
    controls = from_expression(open_eyes_to(still, portrait, 0.0, float(own_right)).expression)
    torch.testing.assert_close(controls.blink_left, torch.ones(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(controls.blink_right, torch.zeros(2), atol=1e-3, rtol=0)
    per_frame = open_eyes_to(still, portrait, torch.tensor([0.0, float(own_left)]), float(own_right))
    assert from_expression(per_frame.expression).blink_left[1].abs() < 1e-3


@pytest.mark.parametrize("bad", [torch.zeros(3), -0.1, float("nan"), 5.0])
def test_impossible_openings_are_refused(bad):
    with pytest.raises(ValueError, match="lip opening"):
        open_lips_to(moving(2), mesh_portrait(), bad)
