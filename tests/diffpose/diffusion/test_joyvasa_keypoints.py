"""JoyVASA's way from generated motion to keypoints, composed of lp_core's own steps.

JoyVASA measures from the first generated frame, takes lips as they are, and always takes scale and place.
"""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from diffpose_goldens import golden

from talking_head.lp_core.motion.keypoints import LIPS, region_values, spread_ratio, transform
from talking_head.lp_core.motion.retarget import relative_to
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence

PLACED = 1e-4
ANGLES = ("pitch", "yaw", "roll")


def source():
    angles = torch.cat([golden("joyvasa", f"kp.source.{name}")[0] for name in ANGLES])
    values = (golden("joyvasa", f"kp.source.{name}")[0] for name in ("exp", "scale", "t"))
    expression, scale, translation = values
    return MotionFrame(expression, angles, scale, translation)


def generated(case):
    """The golden motion of a case, measured from its first frame."""
    values = {name: golden("joyvasa", f"e2e.{case}.out.{name}") for name in ("exp", "scale", "t", *ANGLES)}
    angles = torch.cat([values[name] for name in ANGLES], 1)
    motion = MotionSequence(
        values["exp"], angles, values["scale"], values["t"], Fraction(25), MotionFrame.neutral()
    )
    return replace(motion, rest=motion.frame(0))


def with_absolute_lips(motion):
    """A driver whose lips at rest are the source's, so that relative motion gives them as they are."""
    expression = motion.rest.expression.clone()
    expression[list(LIPS)] = source().expression[list(LIPS)]
    return replace(motion, rest=replace(motion.rest, expression=expression))


def keypoints(motion):
    canonical = golden("joyvasa", "kp.source.kp")[0]
    return transform(canonical, motion.expression, motion.rotation, motion.scale, motion.translation)


def check(placed, case):
    torch.testing.assert_close(placed, golden("joyvasa", f"kp.{case}.x_d"), atol=PLACED, rtol=0)


def test_the_source_is_placed():
    rest = source()
    still = MotionSequence(*(getattr(rest, name)[None] for name in MotionFrame.SHAPES), Fraction(25), rest)
    torch.testing.assert_close(keypoints(still), golden("joyvasa", "kp.exp.x_s"), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("motion", "case"), [("raw_legacy", "all_pose_friendly"), ("smooth_legacy", "smooth_all")])
def test_everything_moves(motion, case):
    check(keypoints(relative_to(with_absolute_lips(generated(motion)), source())), case)


@pytest.mark.parametrize("region", ["exp", "pose", "lip"])
def test_regions_move_alone(region):
    driver, rest = generated("raw_legacy"), source()
    own = relative_to(driver if region == "lip" else with_absolute_lips(driver), rest)
    if region != "pose":
        own = replace(own, rotation=rest.rotation.expand_as(own.rotation))
    if region != "exp":
        kept = region_values(["lips"]) if region == "lip" else torch.zeros(21, 3, dtype=torch.bool)
        own = replace(own, expression=torch.where(kept, own.expression, rest.expression))
    check(keypoints(own), region)


def test_expression_friendly_motion_has_the_sources_size():
    """What LivePortraitRenderer does to anchored motion, with a multiplier of 1.1."""
    moved = keypoints(relative_to(with_absolute_lips(generated("raw_legacy")), source()))
    placed = golden("joyvasa", "kp.all_expr_friendly_m1.1.x_s")
    ratio = spread_ratio(placed[0], moved[0])
    check(placed + 1.1 * ratio * (moved - moved[:1]), "all_expr_friendly_m1.1")
