"""Curves of a motion: what they are called, how they are shrunk, and their picture."""

import json

import pytest
import torch
from conftest import ROOT

from talking_head.lp_core.media.audio import Audio, load_audio
from talking_head.lp_core.motion.controls import Controls, to_expression
from talking_head.lp_core.motion.plot import envelope, loudness, motion_curves, plot
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.nodes.page import POINTS, curves_shown


def moving(frames=50, **controls):
    still = MotionSequence.still(frames, 25)
    rotation = torch.linspace(-5, 5, frames)[:, None] * torch.tensor([1.0, 2.0, 0.5])
    expression = to_expression(Controls.still(frames, **controls))
    return MotionSequence(expression, rotation, still.scale, still.translation, still.fps, still.rest)


def test_curves_tell_the_controls_that_made_the_motion():
    opening, closing = torch.rand(50), torch.rand(50)
    curves = {curve.name: curve.values for curve in motion_curves(moving(jaw=opening, blink_left=closing))}
    torch.testing.assert_close(curves["opening"], opening, atol=1e-5, rtol=0)
    torch.testing.assert_close(curves["left lid"], closing, atol=1e-5, rtol=0)
    torch.testing.assert_close(curves["right lid"], torch.zeros(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(curves["yaw"], torch.linspace(-10, 10, 50))


def test_curves_are_measured_from_rest():
    motion = moving(jaw=torch.full((50,), 0.3))
    rest = MotionFrame(motion.expression[0], motion.rotation[0], motion.scale[0], motion.translation[0])
    from_rest = MotionSequence(
        motion.expression, motion.rotation, motion.scale, motion.translation, motion.fps, rest
    )
    curves = {curve.name: curve.values for curve in motion_curves(from_rest)}
    assert curves["opening"].abs().max() < 1e-6
    assert float(curves["yaw"][0]) == 0


@pytest.mark.parametrize("points", [1, 7, 50, 51])
def test_no_blink_is_lost_when_curves_are_shrunk(points):
    values = torch.zeros(50)
    values[31] = 1
    shrunk = envelope(values, points)
    assert len(shrunk) == min(points, 50)
    assert shrunk.max() == 1


def test_loudness_keeps_the_peak_of_every_channel():
    sound = torch.zeros(2, 1000)
    sound[1, 501] = -0.8
    peaks = loudness(Audio(sound, 16_000), 10)
    assert peaks.tolist() == pytest.approx([0] * 5 + [0.8] + [0] * 4)
    assert len(loudness(Audio(sound[:, :3], 16_000), 10)) == 3


def test_a_moving_lid_is_drawn_in_its_own_panel():
    still, blinking = plot(moving()), plot(moving(blink_left=torch.linspace(0, 1, 50)))
    assert still.shape == (768, 1024, 3)
    changed = (still - blinking).abs().amax(-1) > 0.05
    assert changed[190:384].any()
    assert not changed[384:].any()


@pytest.mark.parametrize(("width", "height", "frames"), [(256, 256, 1), (257, 333, 2), (300, 256, 5000)])
def test_any_length_and_size_is_drawn(width, height, frames):
    picture = plot(moving(frames), load_audio(ROOT / "workflows" / "demo_speech.wav"), width, height)
    assert picture.shape == (height, width, 3)
    assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize("side", [0, 255, 5000])
def test_sizes_that_cannot_be_drawn_are_said(side):
    with pytest.raises(ValueError, match="256 … 4096"):
        plot(moving(), width=side)


@pytest.mark.parametrize("frames", [1, 40, 5000])
def test_the_page_is_told_the_curves_as_plain_json(frames):
    (shown,) = curves_shown(moving(frames), Audio(torch.rand(2, 16_000), 16_000))
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert (shown["frames"], shown["seconds"], shown["sound_seconds"]) == (frames, frames / 25, 1.0)
    assert {len(curve["values"]) for curve in shown["curves"]} == {min(frames, POINTS)}
    assert len(shown["sound"]) == POINTS
    assert max(shown["sound"]) <= 1
    assert curves_shown(moving(1))[0]["sound"] is None
