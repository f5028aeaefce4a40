import re
from dataclasses import fields

import pytest
import torch
from liveportrait_goldens import golden

from talking_head.lp_core.motion.sliders import DIRECTIONS, Sliders, slider_expression

NAMES = {
    "smile": "smile",
    "lip_variation_zero": "pout",
    "lip_variation_one": "purse",
    "lip_variation_two": "grin",
    "lip_variation_three": "lip_open",
    "aaa": "lip_open",
    "eee": "grin",
    "woo": "purse",
    "wink": "wink",
    "eyebrow": "eyebrow",
    "pupil_x": "gaze_x",
    "pupil_y": "gaze_y",
    "blink": "blink",
    "mov_x": "move_x",
    "mov_y": "move_y",
}
GOLDENS = sorted(name for name in golden("sliders") if name != "exp_base" and not name.startswith("alp_rot"))


def sliders_of(name: str) -> Sliders:
    """The sliders that a golden was made with."""
    _, slider, first, second = re.fullmatch(r"(ref|alp_rot|alp)_(.+?)_(-?[\d.]+)(?:_(-?[\d.]+))?", name).groups()
    if slider == "eyeball":
        return Sliders(gaze_x=float(first), gaze_y=float(second))
    sign = -1 if slider == "mov_x" else 1  # the original's editor turns it round before it asks this function
    return Sliders(**{NAMES[slider]: sign * float(first)})


@pytest.mark.parametrize("name", GOLDENS)
def test_sliders_are_the_originals(name):
    sliders, stored = sliders_of(name), golden("sliders")
    actual = stored["exp_base"] + slider_expression(sliders)
    brows = [1, 2] if name.startswith("alp") else []  # which AdvancedLivePortrait moves with blinks, too
    expected = stored[name].index_copy(-2, torch.tensor(brows, dtype=torch.long), actual[..., brows, :])
    torch.testing.assert_close(actual, expected, atol=1e-7, rtol=0)


def test_sliders_at_zero_change_nothing():
    assert not slider_expression(Sliders()).any()


def test_every_slider_has_its_directions():
    assert {field.name for field in fields(Sliders)} == set(DIRECTIONS)
