"""Small expressions and moods: seeded, small, silent when nobody speaks, and nothing at strength 0."""

from functools import cache

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from talking_head.diffpose.speech.analysis import SAMPLE_RATE, Speech, analyse
from talking_head.diffpose.steering.options import MOODS, MotionOptions
from talking_head.diffpose.steering.subtle import MOOD_CONTROLS, mood_controls, subtle_controls, with_expressions
from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.motion.controls import NAMES, Controls, from_expression, to_expression
from talking_head.lp_core.motion.sequence import MotionSequence


@cache
def speech() -> Speech:
    return analyse(load_audio(ROOT / "workflows" / "demo_speech.wav").mono(SAMPLE_RATE).repeat(3))


def times() -> np.ndarray:
    return np.arange(0, speech().times[-1], 0.04)


def still() -> MotionSequence:
    return MotionSequence.still(len(times()), 25)


def expressed(seed: int = 0, **options) -> Controls:
    motion = with_expressions(still(), speech(), MotionOptions(**options), seed)
    return from_expression(motion.expression)


def test_the_seed_decides_and_nothing_else():
    first, again, other = (subtle_controls(speech(), times(), seed).stack() for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_brows_flash_on_emphasis():
    """Over many seeds, brows are higher the louder a syllable is against its surroundings."""
    rises = torch.stack([subtle_controls(speech(), times(), seed).brow_left for seed in range(20)]).mean(0)
    loudness = np.interp(times(), speech().times, speech().loudness * speech().activity)
    assert np.corrcoef(rises, loudness)[0, 1] > 0.5
    assert 0.005 < rises.max() < 0.03
    assert rises.min() >= 0


def test_movements_are_uneven_but_never_one_sided():
    controls = subtle_controls(speech(), times(), 1)
    moving = controls.brow_left > 1e-4
    ratio = controls.brow_left[moving] / controls.brow_right[moving]
    assert 0.4 < ratio.min() < 0.9
    assert 1.1 < ratio.max() < 2.2
    smiling = controls.smile > 1e-3
    assert smiling.any()
    assert (controls.mouth_x[smiling].abs() <= 0.3 * controls.smile[smiling] + 1e-6).all()


def test_small_expressions_are_small():
    for seed in range(8):
        controls = subtle_controls(speech(), times(), seed)
        for name, limit in (("brow_left", 0.015), ("smile", 0.025), ("blink_left", 0.3), ("frown", 0.01)):
            assert getattr(controls, name).abs().max() < limit, name


def test_a_silent_mouth_stays_still():
    quiet = analyse(torch.zeros(5 * SAMPLE_RATE))
    controls = subtle_controls(quiet, np.arange(125) / 25, 0)
    assert not controls.smile.any()
    assert not controls.mouth_x.any()
    assert controls.blink_left.std() > 0.01


@given(start=st.integers(0, 100))
def test_a_stretch_is_the_same_stretch_of_the_whole(start):
    """Given the same analysis, later frames do not depend on where a piece begins."""
    whole = subtle_controls(speech(), times(), 5).stack()
    assert torch.equal(subtle_controls(speech(), times()[start:], 5).stack(), whole[start:])


def test_strength_zero_and_lips_only_add_nothing():
    motion = still()
    for options in (
        MotionOptions(subtle=0),
        MotionOptions(subtle=0, mood="sad", mood_strength=0),
        MotionOptions(lips_only=True, mood="sad"),
    ):
        assert with_expressions(motion, speech(), options, 0) is motion


def test_each_part_s_own_strength_counts():
    natural, without = expressed(), expressed(lips=0, blinks=0)
    torch.testing.assert_close(without.brow_left, natural.brow_left, atol=1e-6, rtol=0)
    assert without.smile.abs().max() < 1e-6
    assert without.blink_left.abs().max() < 1e-6


def test_shut_lids_are_not_shut_further():
    shut = Controls.still(len(times()), blink_left=torch.ones(len(times())), blink_right=torch.ones(len(times())))
    motion = MotionSequence.still(len(times()), 25)
    motion = MotionSequence(
        to_expression(shut), motion.rotation, motion.scale, motion.translation, motion.fps, motion.rest
    )
    controls = from_expression(
        with_expressions(motion, speech(), MotionOptions(subtle=3, mood="sad"), 2).expression
    )
    assert controls.blink_left.max() < 1 + 1e-5


@pytest.mark.parametrize("mood", MOODS)
def test_moods_move_only_what_there_is_and_scale(mood):
    assert set(MOOD_CONTROLS[mood]) <= set(NAMES)
    single, double = (expressed(mood=mood, mood_strength=size, subtle=0).stack() for size in (1, 2))
    torch.testing.assert_close(single, mood_controls(mood, len(times())).stack(), atol=1e-5, rtol=0)
    torch.testing.assert_close(double, 2 * single, atol=1e-5, rtol=0)
    assert bool(single.any()) == (mood != "neutral")


def test_every_mood_has_its_controls():
    assert tuple(MOOD_CONTROLS) == MOODS
