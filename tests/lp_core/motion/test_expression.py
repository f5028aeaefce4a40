"""The expression sliders and their keyframes."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_motion import assert_same, moving

from talking_head.diffpose.expression_keys import (
    EXAMPLE,
    MAXIMUM_KEYS,
    amounts_at,
    amounts_through,
    parse_expression_keys,
)
from talking_head.diffpose.keyframes import EASINGS
from talking_head.lp_core.motion.controls import from_expression
from talking_head.lp_core.motion.edits import head_pose
from talking_head.lp_core.motion.expression import NAMES, RANGES, Expression, expressed, expression_named
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.motion.sliders import Sliders, slider_expression

KNOWN = {
    "smile": "smile", "aaa": "lip_open", "eee": "grin", "woo": "purse", "wink": "wink", "eyebrow": "eyebrow",
    "pupil_x": "gaze_x", "pupil_y": "gaze_y", "blink": "blink",
}  # fmt: skip
amounts_of_known = st.fixed_dictionaries(
    {name: st.floats(RANGES[name].lowest, RANGES[name].highest) for name in KNOWN}
)


def with_expression(motion: MotionSequence, **amounts: float) -> MotionSequence:
    return expressed(motion, Expression(**amounts).amounts()[None])


def test_sliders_at_zero_change_nothing():
    motion = moving(5)
    assert_same(with_expression(motion), motion)


@given(amounts_of_known)
@settings(max_examples=50)
def test_known_sliders_are_the_ones_that_other_editors_have(amounts):
    motion = MotionSequence.still(2, 25)
    known = slider_expression(Sliders(**{KNOWN[name]: amount for name, amount in amounts.items()}))
    edited = with_expression(motion, **amounts)
    torch.testing.assert_close(edited.expression, motion.expression + known, atol=1e-6, rtol=1e-5)
    assert torch.equal(edited.rotation, motion.rotation)


def test_the_head_turns_on_from_where_it_is():
    motion = moving(5)
    edited = with_expression(motion, rotate_pitch=5, rotate_yaw=10, rotate_roll=-3)
    torch.testing.assert_close(edited.rotation, head_pose(motion, offset=(5.0, -10.0, -3.0)).rotation)


@pytest.mark.parametrize(
    ("slider", "control"),
    [("left_lid", "blink_left"), ("right_lid", "blink_right"), ("jaw", "jaw"), ("jaw_sideways", "mouth_x")],
)
def test_our_own_sliders_are_single_controls(slider, control):
    amount = RANGES[slider].highest
    controls = from_expression(with_expression(MotionSequence.still(1, 25), **{slider: amount}).expression)
    torch.testing.assert_close(getattr(controls, control), torch.tensor([amount], dtype=torch.float32))
    others = [getattr(controls, name) for name in vars(controls) if name != control]
    torch.testing.assert_close(torch.stack(others), torch.zeros(len(others), 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [-1000, 1000, float("nan"), float("inf"), "much", None, True, 10**400])
def test_what_is_no_amount_of_a_slider_is_refused(name, wrong):
    with pytest.raises(ValueError, match=f"expression's {name} is .*give a number"):
        Expression(**{name: wrong})


@pytest.mark.parametrize(
    ("wrong", "sentence"), [([], "object of named amounts"), ({"grimace": 1}, "No slider is called grimace")]
)
def test_what_is_no_expression_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        expression_named(wrong)


def test_the_example_of_keyframes_is_one():
    first, second = parse_expression_keys(EXAMPLE)
    assert (first.seconds, second.seconds) == (0, 1.5)
    assert second.expression == Expression(smile=0.8)


@pytest.mark.parametrize("empty", ["", "  ", "[]"])
def test_no_keyframes_are_none(empty):
    assert parse_expression_keys(empty) == ()


def keyed(*keys: tuple[float, dict, str]) -> str:
    return json.dumps([{"seconds": s, "amounts": amounts, "easing": easing} for s, amounts, easing in keys])


@pytest.mark.parametrize("easing", EASINGS)
def test_the_expression_goes_through_the_keyframes(easing):
    keys = parse_expression_keys(keyed((1, {"smile": 1}, easing), (0.5, {"jaw": 0.2, "smile": -0.2}, easing)))
    smile, jaw = NAMES.index("smile"), NAMES.index("jaw")
    amounts = amounts_at(keys, torch.tensor([0.0, 0.5, 0.75, 1.0, 9.0]))
    assert amounts[[0, 1, 3, 4], smile].tolist() == pytest.approx([-0.2, -0.2, 1, 1])
    assert amounts[[0, 1, 3, 4], jaw].tolist() == pytest.approx([0.2, 0.2, 0, 0])
    assert -0.2 <= amounts[2, smile] <= 1
    along = amounts_through(keys, 26, 25)
    torch.testing.assert_close(along[25], amounts[3])
    assert (along[:, smile].diff() >= 0).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("smile", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"seconds": 0}', "JSON list"),
        (json.dumps([{}] * (MAXIMUM_KEYS + 1)), "at most"),
        ("[1]", "has seconds, amounts"),
        ('[{"seconds": 0, "amounts": {}, "colour": 1}]', "has seconds, amounts"),
        ('[{"seconds": -1, "amounts": {}}]', "keyframe is at -1"),
        ('[{"seconds": NaN, "amounts": {}}]', "keyframe is at nan"),
        ('[{"seconds": true, "amounts": {}}]', "keyframe is at True"),
        ('[{"seconds": 0, "amounts": {"smile": "much"}}]', "smile is 'much'"),
        ('[{"seconds": 0, "amounts": {}, "easing": "bouncy"}]', "easing is 'bouncy'"),
        ('[{"seconds": 0, "amounts": {}, "easing": []}]', "easing is"),
        ('[{"seconds": 1, "amounts": {}}, {"seconds": 1, "amounts": {}}]', "same time"),
    ],
)
def test_what_are_no_keyframes_is_refused_in_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_expression_keys(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["seconds", "amounts", "easing", "smile"]), inner, max_size=3)
    ),
)


@given(json_values)
def test_any_json_is_keyframes_or_refused(value):
    try:
        keys = parse_expression_keys(json.dumps(value))
    except ValueError:
        return
    assert amounts_through(keys, 3, 25).isfinite().all() if keys else value == []
