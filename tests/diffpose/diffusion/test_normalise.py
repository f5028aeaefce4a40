from fractions import Fraction

import pytest
import torch
from diffpose_goldens import golden

from talking_head.diffpose.diffusion.normalise import FlameCoefficients, FlameSpace, JoyvasaSpace
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence

BOUNDED = ("scale", "t", "pitch", "yaw", "roll")
SIZES = {"scale": 1, "t": 3, "pitch": 1, "yaw": 1, "roll": 1}


def template():
    names = ["mean_exp", "std_exp", *(f"{bound}_{name}" for bound in ("min", "max") for name in BOUNDED)]
    return {name: golden("joyvasa", f"tmpl.{name}") for name in names}


def random_motion(frames=6):
    return MotionSequence(
        expression=0.02 * torch.randn(frames, 21, 3),
        rotation=10 * torch.randn(frames, 3),
        scale=1.4 + 0.1 * torch.randn(frames, 1),
        translation=0.1 * torch.randn(frames, 3),
        fps=Fraction(25),
        rest=MotionFrame.neutral(),
    )


def test_joyvasa_vectors_and_motion_are_each_others_inverse():
    space, motion = JoyvasaSpace.from_template(template()), random_motion()
    back = space.motion(space.normalised(motion), motion.fps, motion.rest)
    for name in ("expression", "rotation", "scale", "translation"):
        torch.testing.assert_close(getattr(back, name), getattr(motion, name), atol=1e-4, rtol=1e-4)


def test_joyvasa_normalisation_by_its_formula():
    statistics = template()
    space, motion = JoyvasaSpace.from_template(statistics), random_motion()
    vectors = space.normalised(motion)
    expression = (motion.expression.flatten(1) - statistics["mean_exp"]) / (statistics["std_exp"] + 1e-9)
    torch.testing.assert_close(vectors[:, :63], expression)
    yaw = (motion.rotation[:, 1:2] - statistics["min_yaw"]) / (statistics["max_yaw"] - statistics["min_yaw"])
    torch.testing.assert_close(vectors[:, 68:69], yaw)


def test_joyvasa_normalisation_golden():
    """Frame 3 of the raw motion of the driver's goldens."""
    values = {name: golden("joyvasa", f"e2e.raw_legacy.out.{name}")[3:4] for name in ("exp", *BOUNDED)}
    turns = torch.cat([values[name] for name in ("pitch", "yaw", "roll")], 1)
    motion = MotionSequence(values["exp"], turns, values["scale"], values["t"], Fraction(25), MotionFrame.neutral())
    expected = torch.cat([golden("joyvasa", f"train.norm.{part}") for part in ("exp", "pose")])
    vectors = JoyvasaSpace.from_template(template()).normalised(motion)
    torch.testing.assert_close(vectors[0], expected, atol=1e-5, rtol=1e-5)


def test_generated_heads_set_out_from_the_portraits_pose_and_are_measured_against_the_mean_face():
    space = JoyvasaSpace.from_template(template())
    motion = space.motion(torch.randn(4, 70), Fraction(25))
    assert torch.equal(motion.rest.rotation, motion.rotation[0])
    assert torch.equal(motion.rest.expression.flatten(), template()["mean_exp"])


def test_joyvasa_templates_are_checked():
    with pytest.raises(ValueError, match="lacks 'std_exp'"):
        JoyvasaSpace.from_template({"mean_exp": torch.zeros(63)})
    with pytest.raises(ValueError, match=r"\[63, 63, 6, 7\]; expected \[63, 63, 7, 7\]"):
        JoyvasaSpace.from_template(template() | {"min_t": torch.zeros(2)})


def flame_space():
    sizes = {"exp": 50, "pose": 6, "shape": 100}
    means = {f"{name}_mean": torch.randn(size) for name, size in sizes.items()}
    return FlameSpace.from_statistics(means | {f"{n}_std": torch.rand(s) + 0.5 for n, s in sizes.items()})


@pytest.mark.parametrize(("head", "dims"), [(True, 54), (False, 51)])
def test_flame_vectors_and_coefficients_are_each_others_inverse_where_kept(head, dims):
    space, vectors = flame_space(), torch.randn(5, dims)
    coefficients = space.coefficients(vectors)
    torch.testing.assert_close(space.normalised(coefficients, head), vectors, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(coefficients.pose[:, 4:], space.pose_mean[4:].expand(5, 2))
    assert head or not coefficients.pose[:, :3].any()


def test_flame_shape_is_standardised():
    space = flame_space()
    torch.testing.assert_close(space.normalised_shape(space.shape_mean + space.shape_std), torch.ones(100))


def test_flame_statistics_are_checked():
    with pytest.raises(ValueError, match="lack 'exp_mean'"):
        FlameSpace.from_statistics({})


def test_flame_coefficients_keep_their_frames():
    space = flame_space()
    given = FlameCoefficients(torch.randn(3, 50), torch.randn(3, 6))
    assert space.normalised(given).shape == (3, 54)
