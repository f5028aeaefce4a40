import re
from dataclasses import fields

import pytest
import torch
from liveportrait_goldens import golden
from test_motion import assert_same, moving

from talking_head.lp_core.motion.sliders import DIRECTIONS, Sliders, slide, slider_expression, slider_rotation

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
GOLDENS = sorted(name for name in golden("sliders") if name != "exp_base")


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
    if name.startswith("alp_rot"):
        actual = torch.tensor([3.0, -2.0, 1.0]) + slider_rotation(sliders)
    else:
        actual = stored["exp_base"] + slider_expression(sliders, brows_with_blink=name.startswith("alp"))
    torch.testing.assert_close(actual, stored[name], atol=1e-7, rtol=0)


def test_sliders_at_zero_change_nothing():
    motion = moving(3)
    assert_same(slide(motion, Sliders(), head_goes_along=True), motion, atol=0, rtol=0)


def test_every_slider_has_its_directions():
    assert {field.name for field in fields(Sliders)} == set(DIRECTIONS)


def test_the_head_goes_along_when_asked():
    motion, winking = moving(2), Sliders(wink=10.0)
    assert torch.equal(slide(motion, winking).rotation, motion.rotation)
    turned = slide(motion, winking, head_goes_along=True).rotation - motion.rotation
    torch.testing.assert_close(turned, torch.tensor([[0.0, -1.0, -1.0]] * 2), atol=1e-5, rtol=0)
