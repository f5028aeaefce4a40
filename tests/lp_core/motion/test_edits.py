from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_motion import assert_same, moving

from talking_head.lp_core.motion.controls import LIP_CONTROLS, from_expression
from talking_head.lp_core.motion.edits import (
    head_pose,
    mix,
    move_pupils,
    retarget_eyes,
    retarget_lips,
    scale_brows,
    shift,
    smooth,
)
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence

EDITS = {
    "lips": lambda motion: retarget_lips(motion, gain=1.5, opening=0.05, wide=-0.02, smile=0.01),
    "eyes": lambda motion: retarget_eyes(motion, gain=0.5, close_left=0.4),
    "pupils": lambda motion: move_pupils(motion, x=0.2, contact=0.5),
    "brows": lambda motion: scale_brows(motion, 2.0),
    "pose": lambda motion: head_pose(motion, gain=0.5, offset=(2.0, -3.0, 1.0)),
    "smooth": lambda motion: smooth(motion, 0.1),
    "shift": lambda motion: shift(motion, 0.1),
    "mix": lambda motion: mix(motion, moving(9, 30), ("lips", "pose")),
}
NEUTRAL = {
    "lips": retarget_lips,
    "eyes": retarget_eyes,
    "pupils": move_pupils,
    "brows": lambda motion: scale_brows(motion, 1.0),
    "pose": head_pose,
    "smooth": lambda motion: smooth(motion, 0.0),
    "shift": lambda motion: shift(motion, 0.0),
    "mix": lambda motion: mix(motion, motion, ("lips", "eyes", "brows", "pose")),
}


def controls_of(motion: MotionSequence):
    return from_expression(motion.expression - motion.rest.expression)


@pytest.mark.parametrize("name", EDITS)
def test_edits_never_touch_their_input(name):
    motion = moving(12)
    before = [getattr(motion, field).clone() for field in MotionFrame.SHAPES]
    rest = [getattr(motion.rest, field.name).clone() for field in fields(MotionFrame)]
    edited = EDITS[name](motion)
    assert edited is not motion
    assert len(edited) == len(motion)
    assert all(
        torch.equal(old, getattr(motion, field)) for old, field in zip(before, MotionFrame.SHAPES, strict=True)
    )
    assert all(
        torch.equal(old, getattr(motion.rest, field.name))
        for old, field in zip(rest, fields(MotionFrame), strict=True)
    )


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_edits_change_nothing(name):
    motion = moving(12)
    assert_same(NEUTRAL[name](motion), motion, atol=2e-5, rtol=1e-5)


def test_edits_of_different_regions_compose_in_any_order():
    motion = moving(8)
    one = EDITS["eyes"](EDITS["lips"](motion))
    other = EDITS["lips"](EDITS["eyes"](motion))
    assert_same(one, other, atol=1e-6, rtol=0)


def test_lip_gain_zero_stills_the_lips_and_nothing_else():
    motion = moving(6)
    before, after = controls_of(motion), controls_of(retarget_lips(motion, gain=0.0))
    for name in vars(before):
        expected = torch.zeros(6) if name in LIP_CONTROLS else getattr(before, name)
        torch.testing.assert_close(getattr(after, name), expected, atol=1e-3, rtol=1e-3)


def test_opening_adds_to_the_jaw():
    motion = moving(6)
    change = controls_of(retarget_lips(motion, opening=0.1)).jaw - controls_of(motion).jaw
    torch.testing.assert_close(change, torch.full((6,), 0.1), atol=1e-4, rtol=0)


def test_one_eye_closes_alone():
    motion = MotionSequence.still(3, 25)
    controls = controls_of(retarget_eyes(motion, close_left=1.0))
    torch.testing.assert_close(controls.blink_left, torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(controls.blink_right, torch.zeros(3), atol=1e-4, rtol=0)


def test_eye_contact_turns_the_eyes_against_the_head():
    turned = replace(MotionSequence.still(1, 25), rotation=torch.tensor([[0.0, 10.0, 0.0]]))  # to the left
    assert controls_of(move_pupils(turned, contact=1.0)).pupil_x.item() == pytest.approx(0.35, abs=1e-3)


def test_gain_zero_holds_the_head_still():
    motion = moving(5)
    still = head_pose(motion, gain=0.0)
    torch.testing.assert_close(still.rotation, motion.rest.rotation.expand(5, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(still.translation, motion.rest.translation.expand(5, 3))


@given(st.floats(0, 2))
def test_pose_gain_scales_the_angle_about_one_axis(gain):
    turned = replace(MotionSequence.still(1, 25), rotation=torch.tensor([[0.0, 20.0, 0.0]]))
    assert head_pose(turned, gain=gain).rotation[0, 1].item() == pytest.approx(20 * gain, abs=1e-3)


def test_smoothing_keeps_constants_and_calms_noise():
    motion = moving(60)
    calm = smooth(motion, 0.2)
    for name in MotionFrame.SHAPES:
        assert getattr(calm, name).diff(dim=0).abs().mean() < 0.5 * getattr(motion, name).diff(dim=0).abs().mean()
    still = MotionSequence.still(10, 25)
    assert_same(smooth(still, 0.2), still, atol=1e-6, rtol=0)


def test_shifting_later_repeats_the_first_frame():
    motion = moving(10)
    later = shift(motion, 2 / 25)
    assert_same(later[2:], motion[:8], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(later.expression[0], motion.expression[0])


def test_mixed_regions_come_from_the_other_and_the_rest_stays():
    base, other = moving(7), moving(7)
    mixed = mix(base, other, ("lips",))
    own, given_, result = controls_of(base), controls_of(other), controls_of(mixed)
    for name in vars(own):
        expected = getattr(given_ if name in LIP_CONTROLS else own, name)
        torch.testing.assert_close(getattr(result, name), expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(mixed.rotation, base.rotation)


def test_mixed_pose_is_measured_from_each_rest():
    base, other = moving(7), moving(7)
    mixed = mix(base, other, ("pose",))
    torch.testing.assert_close(mixed.relative_rotation(), other.relative_rotation(), atol=1e-5, rtol=0)


def test_unknown_regions_are_named():
    with pytest.raises(ValueError, match="ears"):
        mix(moving(2), moving(2), ("ears",))
