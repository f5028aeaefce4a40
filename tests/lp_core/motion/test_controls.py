import torch
from hypothesis import given
from hypothesis import strategies as st

from talking_head.lp_core.motion.controls import DIRECTIONS, NAMES, Controls, from_expression, to_expression

AMOUNTS = st.lists(st.floats(-1, 1, width=32), min_size=len(NAMES), max_size=len(NAMES))


@given(AMOUNTS)
def test_what_is_written_is_read_back(amounts):
    controls = Controls.unstack(torch.tensor([amounts]))
    torch.testing.assert_close(
        from_expression(to_expression(controls)).stack(), controls.stack(), atol=2e-5, rtol=0
    )


@given(AMOUNTS, AMOUNTS)
def test_controls_add_up(first, second):
    one, two = torch.tensor([first]), torch.tensor([second])
    together = to_expression(Controls.unstack(one + two))
    apart = to_expression(Controls.unstack(one)) + to_expression(Controls.unstack(two))
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)


def test_every_control_has_a_direction():
    assert tuple(DIRECTIONS) == NAMES


def test_jaw_follows_the_published_slope_of_the_lip_ratio():
    mouth_width = 0.56  # eye distances, so that a lip ratio of 1 is a jaw of 0.56
    opened = to_expression(Controls.still(1, jaw=torch.tensor([mouth_width])))
    torch.testing.assert_close(opened[0, 19, 1], torch.tensor(0.12), atol=1e-3, rtol=0)


def test_closing_the_left_eye_leaves_the_right_one():
    closed = to_expression(Controls.still(1, blink_left=torch.ones(1)))
    assert closed[0, 11, 1] > 0
    assert not closed[0, 15].any()
