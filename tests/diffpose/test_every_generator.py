"""What AudioToMotion promises, kept by every kind of generator."""

import math
from dataclasses import replace

import pytest
import torch
from small_generators import GENERATORS, voice

from talking_head.diffpose.steering.options import MOODS, MotionOptions
from talking_head.diffpose.steering.style import MotionStatistics, Style
from talking_head.diffpose.steering.subtle import mood_controls
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.motion.controls import BROW_CONTROLS, LIP_CONTROLS, from_expression
from talking_head.lp_core.motion.edits import CONTACT_PER_PITCH, CONTACT_PER_YAW
from talking_head.lp_core.motion.keypoints import rotation_degrees

SECOND = 16_000
PARTS = ("expression", "rotation", "scale", "translation")
PLAIN = MotionOptions(subtle=0)


@pytest.fixture(scope="module", params=GENERATORS)
def generator(request):
    return GENERATORS[request.param]()


def moved(motion):
    return from_expression(motion.expression - motion.rest.expression)


def same(first, second):
    return all(torch.equal(getattr(first, part), getattr(second, part)) for part in PARTS)


def assert_small(values, size):
    """Random networks move a face a hundred times as far as a real one; what should be nothing is, beside that."""
    assert values.abs().max() < size


@pytest.mark.parametrize("fps", [8, 12.5, 23.976, 24, 25, 29.97, 30, 50, 59.94, 60, 120])
@pytest.mark.parametrize("samples", [SECOND, SECOND + 1, 12_345])
def test_frames_are_duration_times_rate_rounded_up(samples, fps, generator):
    sound = voice(samples)
    motion = generator.generate(sound, fps)
    assert len(motion) == math.ceil(sound.duration * motion.fps)
    assert float(motion.fps) == pytest.approx(fps, abs=1e-3)


def test_the_seed_tells_the_motion_bit_for_bit_and_the_lips_follow_the_voice(generator):
    first, again, other = (generator.generate(voice(SECOND), 25, seed=seed) for seed in (7, 7, 8))
    assert same(first, again)
    assert not same(first, other)


def test_a_style_of_strength_0_is_exactly_none(generator):
    style = Style(statistics=MotionStatistics(0.2, 6, 9, 9, 9, 60, 0.1, 1), strength=0)
    free, styled, whole = (
        generator.generate(voice(SECOND), 25, style=manner) for manner in (None, style, style.with_strength(1))
    )
    assert same(free, styled)
    assert not same(free, whole)


def test_the_lips_lead_by_as_much_as_is_wanted(generator):
    late, early = (
        generator.generate(voice(2 * SECOND), 25, replace(PLAIN, lip_lead_ms=lead, rest_in_silence=False))
        for lead in (0, 80)
    )
    lips = moved(late).jaw
    torch.testing.assert_close(moved(early).jaw[:-4], lips[2:-2], atol=1e-3 * float(lips.abs().max()), rtol=0)
    assert torch.equal(early.rotation, late.rotation)


def test_lips_rest_in_a_pause_and_the_voice_moves_them(generator):
    sound = voice(3 * SECOND).waveform.clone()
    sound[:, SECOND : 2 * SECOND] = 0
    controls = moved(generator.generate(Audio(sound, SECOND), 25, PLAIN))
    lips = torch.stack([getattr(controls, name) for name in LIP_CONTROLS]).abs().amax(0)
    assert lips[33:42].max() < 1e-3 * lips.max()
    assert lips[33:42].diff().abs().max() < 1e-4


def test_lips_only_moves_nothing_else(generator):
    motion = generator.generate(voice(SECOND), 25, MotionOptions(lips_only=True, look="viewer", mood="neutral"))
    assert_small(rotation_degrees(motion.relative_rotation()), 1e-2)
    held = motion.expression - motion.rest.expression
    assert_small(held[:, [1, 2, 11, 15, 18]], 1e-4)  # brows, lids and pupils
    assert moved(motion).jaw.abs().max() > 1e-3


def test_a_still_pose_and_a_head_of_strength_0_hold_the_head(generator):
    for wanted in (MotionOptions(pose="still"), MotionOptions(head=0)):
        motion = generator.generate(voice(SECOND), 25, wanted)
        assert_small(rotation_degrees(motion.relative_rotation()), 1e-2)
        assert_small(motion.translation - motion.rest.translation, 1e-4)
        assert_small(motion.scale / motion.rest.scale - 1, 1e-4)


def test_no_blinks_of_strength_0(generator):
    controls = moved(generator.generate(voice(2 * SECOND), 25, replace(PLAIN, lips=0, blinks=0)))
    assert_small(torch.cat([controls.blink_left, controls.blink_right]), 1e-3)


@pytest.mark.parametrize("mood", MOODS[1:])
def test_a_mood_is_held_through_silence(mood, generator):
    quiet = Audio(torch.zeros(1, SECOND), SECOND)
    plain, felt = (
        generator.generate(
            quiet, 25, replace(PLAIN, mood=mood, mood_strength=strength, look="viewer", pose="still")
        )
        for strength in (0, 1)
    )
    added, expected = from_expression(felt.expression - plain.expression), mood_controls(mood, 25)
    for name in (*BROW_CONTROLS, *LIP_CONTROLS):
        torch.testing.assert_close(getattr(added, name), getattr(expected, name), atol=1e-3, rtol=0)


def test_the_eyes_stay_on_the_viewer_by_the_linear_law(generator):
    motion = generator.generate(voice(SECOND), 25, replace(PLAIN, lips=0, look="viewer"))
    turn, pupils = rotation_degrees(motion.relative_rotation()), moved(motion)
    torch.testing.assert_close(pupils.pupil_x, CONTACT_PER_YAW * turn[:, 1], atol=1e-3, rtol=0)
    torch.testing.assert_close(pupils.pupil_y, -CONTACT_PER_PITCH * turn[:, 0], atol=1e-3, rtol=0)


def test_small_expressions_are_added_by_their_strength(generator):
    none, some, twice = (
        generator.generate(voice(3 * SECOND), 25, MotionOptions(subtle=size)) for size in (0, 1, 2)
    )
    first, second = some.expression - none.expression, twice.expression - none.expression
    torch.testing.assert_close(second, 2 * first, atol=2e-3 * float(none.expression.abs().max()), rtol=0)
    assert first.abs().max() > 1e-4
