"""The built-in generator: lengths, seeds, strengths, and what a talking face must do."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from talking_head.diffpose.generator import STRENGTHS, MotionOptions
from talking_head.diffpose.procedural.eyes import blink_curve, blink_times, counter_rotation
from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.speech.curves import smoothed, stepped, wandering, widened
from talking_head.lp_core.media.audio import Audio, load_audio
from talking_head.lp_core.media.rates import frame_rate
from talking_head.lp_core.motion.controls import BROW_CONTROLS, LIP_CONTROLS, NAMES, Controls, from_expression
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence

RATES = (23.976, 25, 29.97, 30)
POSE = ("rotation", "scale", "translation")
BILABIALS = ("m", "b", "p")
CLOSING = 0.05  # seconds by which espeak-ng's stops close before their phoneme begins


@cache
def demo() -> Audio:
    return load_audio(ROOT / "workflows" / "demo_speech.wav")


@cache
def long_demo() -> Audio:
    return Audio(demo().waveform.repeat(1, 9)[:, : 61 * demo().sample_rate], demo().sample_rate)


def generate(audio: Audio, fps: float = 25, seed: int = 0, **options) -> MotionSequence:
    return ProceduralGenerator().generate(audio, fps, MotionOptions(**options), seed)


def moved(motion: MotionSequence) -> Controls:
    return from_expression(motion.expression)


def blinks(motion: MotionSequence) -> int:
    return int(((moved(motion).blink_left > 0.6).int().diff() == 1).sum())


def phonemes() -> list[tuple[str, float, float]]:
    """What the bundled voice says when, from diffpose/training/shipped/demo_speech.py."""
    return json.loads((ROOT / "tests" / "golden" / "speech" / "demo_phonemes.json").read_text("utf-8"))


def same(first: MotionSequence, second: MotionSequence) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("expression", *POSE))


class TestLength:
    @pytest.mark.parametrize("fps", RATES)
    @pytest.mark.parametrize("seconds", [1, 7.3, 61])
    def test_frames_are_duration_times_rate_rounded_up(self, seconds, fps):
        audio = Audio(long_demo().waveform[:, : round(seconds * 22_050)], 22_050)
        motion = generate(audio, fps)
        assert motion.fps == frame_rate(fps)
        assert len(motion) == math.ceil(audio.duration * frame_rate(fps))

    @settings(deadline=None, max_examples=20)
    @given(
        samples=st.integers(1, 20_000), rate=st.sampled_from([8_000, 44_100, 48_000]), fps=st.sampled_from(RATES)
    )
    def test_any_length(self, samples, rate, fps):
        motion = generate(Audio(torch.randn(1, samples) * 0.1, rate), fps)
        assert len(motion) == math.ceil(Fraction(samples, rate) * frame_rate(fps))


class TestSeed:
    def test_the_same_seed_gives_the_same_bits(self):
        assert same(generate(demo(), seed=7), generate(demo(), seed=7))

    def test_another_seed_moves_head_and_eyes_but_not_the_lips(self):
        first, second = generate(demo(), seed=1), generate(demo(), seed=2)
        assert not torch.allclose(first.rotation, second.rotation, atol=0.1)
        one, other = moved(first), moved(second)
        assert not torch.allclose(one.pupil_x, other.pupil_x, atol=0.01)
        for name in set(LIP_CONTROLS) - {"smile", "mouth_x"}:  # the small smiles are the seed's
            torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-5, rtol=0)

    @pytest.mark.parametrize("seed", [0, 2**64 - 1])
    def test_any_seed_of_comfyui(self, seed):
        assert len(generate(Audio(demo().waveform[:, :11_025], 22_050), seed=seed)) == 13

    def test_a_negative_seed_is_refused(self):
        with pytest.raises(ValueError, match="seed is -1"):
            generate(demo(), seed=-1)


class TestRates:
    def test_other_rates_read_the_same_motion(self):
        """Every second frame at 50 is a frame at 25."""
        slow, fast = generate(demo(), 25), generate(demo(), 50)
        count = len(slow)
        torch.testing.assert_close(fast.rotation[::2][:count], slow.rotation)
        torch.testing.assert_close(fast.expression[::2][:count], slow.expression)

    def test_resampling_a_fast_motion_gives_the_slow_one(self):
        slow, fast = generate(demo(), 24), generate(demo(), 120)
        torch.testing.assert_close(fast.resampled(24, len(slow)).rotation, slow.rotation, atol=1e-3, rtol=0)

    def test_the_beginning_does_not_depend_on_the_end(self):
        part = Audio(demo().waveform[:, : 5 * 22_050], 22_050)
        whole, short = generate(demo(), seed=3), generate(part, seed=3)
        before = 2 * 25  # what comes more than the look-ahead of the averages and the nods later
        torch.testing.assert_close(moved(short).jaw[:before], moved(whole).jaw[:before], atol=5e-3, rtol=0)
        assert short.rotation[:before].sub(whole.rotation[:before]).abs().max() < 2


class TestStrengths:
    PARTS = {  # noqa: RUF012
        "lips": LIP_CONTROLS,
        "brows": BROW_CONTROLS,
        "blinks": ("blink_left", "blink_right"),
        "gaze": ("pupil_x", "pupil_y"),
        "head": (),
        "subtle": (),
    }
    # The two ties that are meant: pupils hold the viewer while the head turns, lids follow the pupils.
    TIED = {  # noqa: RUF012
        "head": ("pupil_x", "pupil_y", "blink_left", "blink_right"),
        "gaze": ("blink_left", "blink_right"),
        "subtle": ("brow_left", "brow_right", "frown", "blink_left", "blink_right", "smile", "mouth_x"),
    }

    @pytest.mark.parametrize("part", STRENGTHS)
    def test_zero_stills_its_part_and_nothing_else(self, part):
        natural, without = generate(demo(), seed=5), generate(demo(), seed=5, **{part: 0.0})
        before, after = moved(natural), moved(without)
        for name in NAMES:
            if name in self.PARTS[part]:
                assert getattr(after, name).abs().max() < 1e-6, name
            elif name not in self.TIED.get(part, ()):
                torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=2e-6, rtol=0)
        if part == "head":
            assert not without.rotation.any()
            assert not without.translation.any()
        else:
            assert all(torch.equal(getattr(without, name), getattr(natural, name)) for name in POSE)

    def test_everything_at_zero_is_no_motion_at_all(self):
        assert same(
            generate(demo(), **dict.fromkeys(STRENGTHS, 0.0)), MotionSequence.still(len(generate(demo())), 25)
        )

    def test_lips_only_is_the_natural_lips_and_nothing_else(self):
        alone, natural = generate(demo(), lips_only=True), generate(demo())
        others = {name: 0.0 for name in STRENGTHS if name != "lips"}
        assert same(alone, generate(demo(), **others))
        torch.testing.assert_close(moved(alone).jaw, moved(natural).jaw, atol=2e-6, rtol=0)

    def test_a_still_pose_keeps_the_rest(self):
        still, natural = generate(demo(), pose="still"), generate(demo())
        assert not still.rotation.any()
        torch.testing.assert_close(moved(still).brow_left, moved(natural).brow_left, atol=2e-6, rtol=0)

    def test_lips_open_in_proportion(self):
        natural, double = moved(generate(demo())), moved(generate(demo(), lips=2.0))
        torch.testing.assert_close(double.jaw, 2 * natural.jaw, atol=2e-6, rtol=0)
        assert double.press.max() <= 1 + 1e-6

    def test_the_lead_moves_the_lips_only(self):
        early, late = generate(demo(), lip_lead_ms=120), generate(demo(), lip_lead_ms=0)
        torch.testing.assert_close(moved(early).jaw[:-3], moved(late).jaw[3:], atol=2e-6, rtol=0)
        assert torch.equal(early.rotation, late.rotation)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"lips": -0.1}, "strength of lips"),
            ({"head": 3.5}, "strength of head"),
            ({"gaze": math.nan}, "strength of gaze"),
            ({"pose": "dancing"}, "dancing"),
            ({"mood": "hungry"}, "The mood is 'hungry'; expected one of neutral, happy"),
            ({"mood_strength": -1}, "strength of mood is -1"),
            ({"look": "away"}, "The look is 'away'; expected one of natural, viewer"),
            ({"lip_lead_ms": 1000}, "lead is 1000"),
            ({"lip_lead_ms": math.nan}, "lead is nan"),
        ],
    )
    def test_bad_options_are_refused_in_a_sentence(self, options, message):
        with pytest.raises(ValueError, match=message):
            MotionOptions(**options)


class TestLips:
    def test_closed_at_every_bilabial(self):
        motion = generate(demo())
        controls = moved(motion)
        spans = [(start - CLOSING, end) for symbol, start, end in phonemes() if symbol in BILABIALS]
        assert len(spans) >= 6
        frames = [slice(math.ceil((start - 0.03) * 25), math.floor((end + 0.03) * 25) + 1) for start, end in spans]
        assert all(controls.jaw[span].min() <= 0.02 for span in frames)
        assert np.mean([float(controls.press[span].max()) > 0.8 for span in frames]) >= 0.9

    def test_tucked_at_f_and_v_and_open_at_open_vowels(self):
        controls = moved(generate(demo()))
        tucks = [
            float(controls.tuck[int(start * 25) : math.ceil(end * 25) + 1].max())
            for symbol, start, end in phonemes()
            if symbol in ("f", "v")
        ]
        assert np.median(tucks) > 0.5
        assert controls.tuck.mean() < 0.15
        assert 0.08 < controls.jaw.max() < 0.23

    def test_closed_and_quiet_in_silence(self):
        quiet = torch.cat([demo().waveform, 1e-4 * torch.randn(1, 5 * 22_050)], 1)
        controls = moved(generate(Audio(quiet, 22_050)))
        silent = controls.jaw[len(generate(demo())) + 5 :]
        assert silent.max() < 1e-3
        assert silent.diff().abs().quantile(0.9) <= 0.01
        assert controls.press[-50:].max() < 1e-3  # a mouth that is open in the picture stays as it is

    def test_movement_is_smooth(self):
        """Lips close at 20-40 cm/s at most; an eye distance is about 9 cm."""
        controls = moved(generate(demo(), 100))
        assert controls.jaw.diff().abs().max() * 100 < 4.5
        assert controls.wide.diff().abs().max() * 100 < 2

    def test_round_vowels_round_the_lips(self):
        """The "move" of the text, /muːv/: narrower than the mean, and pouting."""
        controls = moved(generate(demo(), 50))
        start, end = next((start, end) for symbol, start, end in phonemes() if symbol == "uː")
        span = slice(int(start * 50), math.ceil(end * 50))
        assert controls.wide[span].min() < -0.03
        assert controls.pout[span].max() > 0.015


class TestHeadAndEyes:
    @pytest.mark.parametrize("seed", range(6))
    def test_the_head_moves_as_a_talker_s(self, seed):
        motion = generate(long_demo(), seed=seed)
        deviation = motion.rotation.std(0)
        assert ((deviation > 0.8) & (deviation < 3)).all(), deviation
        assert motion.rotation.diff(dim=0).abs().max() < 3
        assert (motion.rotation.abs() <= torch.tensor([7.0, 9.0, 6.0])).all()
        assert motion.translation.abs().max() < 0.06
        assert torch.equal(motion.scale, torch.ones_like(motion.scale))

    def test_motion_begins_in_the_portrait_s_pose(self):
        motion = generate(demo())
        assert motion.rotation[0].abs().max() == 0
        assert same_frame(motion.rest, MotionFrame.neutral())

    @pytest.mark.parametrize("seed", range(6))
    def test_blinks_are_as_frequent_as_people_s(self, seed):
        motion = generate(long_demo(), seed=seed)
        assert 8 <= blinks(motion) / 61 * 60 <= 30
        assert moved(motion).blink_left.max() <= 1 + 1e-5

    def test_twice_the_blinks(self):
        count = [
            int(((moved(generate(long_demo(), blinks=rate)).blink_left > 0.6).int().diff() == 1).sum())
            for rate in (1, 2)
        ]
        assert 1.5 < count[1] / count[0] < 2.5

    def test_every_blink_shuts_the_eye_for_a_frame_at_25(self):
        starts = np.array([1.0, 2.013, 3.027])
        closed = blink_curve(np.arange(0, 5, 0.04), starts)
        for start in starts:
            around = slice(int(start * 25), int(start * 25) + 10)
            assert closed[around].max() > 0.999
        assert closed[: int(1.0 * 25)].max() == 0

    def test_pupils_hold_the_viewer_while_the_head_turns(self):
        np.testing.assert_allclose(counter_rotation(np.array([[0.0, 10.0, 0.0]])), [[0.35, 0.0]])
        motion = generate(long_demo())
        controls = moved(motion)
        assert np.corrcoef(motion.rotation[:, 1], controls.pupil_x)[0, 1] > 0.3
        assert np.corrcoef(motion.rotation[:, 0], controls.pupil_y)[0, 1] < -0.3

    def test_brows_rise_with_the_head_s_nods(self):
        controls = moved(generate(long_demo()))
        assert 0.015 < controls.brow_left.max() < 0.08

    @given(st.integers(0, 1000), st.floats(0.2, 5))
    def test_blinks_never_overlap(self, seed, rate):
        breaks = np.arange(0.5, 60, 1.3)
        times = blink_times(60.0, breaks, rate, np.random.default_rng(seed))
        assert (np.diff(times) > 0.37).all()


class TestBadSound:
    @pytest.mark.parametrize(
        "audio",
        [
            Audio(torch.zeros(1, 32_000), 16_000),
            Audio(torch.zeros(1, 1), 16_000),
            Audio(torch.randn(1, 480), 16_000),
            Audio(torch.randn(1, 16_000).clamp(-0.2, 0.2), 8_000),
            Audio((50 * torch.randn(1, 16_000)).clamp(-1, 1), 16_000),
            Audio(torch.randn(6, 96_000) * 0.1, 96_000),
            Audio(1e-6 * torch.randn(2, 44_100), 44_100),
            Audio(torch.full((1, 16_000), 1.0), 16_000),
        ],
        ids=["silence", "one sample", "30 ms", "8 kHz", "clipped", "96 kHz 5.1", "far too quiet", "offset"],
    )
    def test_gives_motion_all_the_same(self, audio):
        motion = generate(audio)
        assert len(motion) == math.ceil(audio.duration * 25)
        assert moved(motion).jaw.max() < 0.23

    def test_silence_keeps_the_mouth_shut_but_the_face_alive(self):
        motion = generate(Audio(torch.zeros(1, 10 * 16_000), 16_000))
        controls = moved(motion)
        for name in LIP_CONTROLS:
            assert getattr(controls, name).abs().max() < 1e-6
        assert controls.blink_left.max() > 0.9
        assert motion.rotation.std(0).min() > 0.1

    @pytest.mark.parametrize("rate", [8_000, 48_000])
    def test_the_rate_of_the_sound_hardly_matters(self, rate):
        other = Audio(demo().mono(rate)[None], rate)
        first, second = moved(generate(demo())).jaw, moved(generate(other)).jaw[: len(generate(demo()))]
        assert np.corrcoef(first, second[: len(first)])[0, 1] > (0.9 if rate == 8_000 else 0.99)

    def test_very_loud_is_as_quiet(self):
        quiet = Audio(demo().waveform * 0.01, 22_050)
        assert (moved(generate(quiet)).jaw - moved(generate(demo())).jaw).abs().max() < 0.03

    def test_the_sound_is_not_touched(self):
        before = demo().waveform.clone()
        generate(demo())
        assert torch.equal(before, demo().waveform)


class TestCurves:
    def test_smoothing_is_scipy_s(self):
        from scipy.ndimage import gaussian_filter1d

        values = np.random.default_rng(0).normal(size=(200, 3))
        theirs = gaussian_filter1d(values, 3.0, axis=0, mode="nearest")
        np.testing.assert_allclose(smoothed(values, 0.03), theirs, atol=1e-12)

    def test_smoothing_by_nothing_and_of_little(self):
        np.testing.assert_array_equal(smoothed(np.arange(5.0), 0.0), np.arange(5.0))
        np.testing.assert_allclose(smoothed(np.ones(1), 0.4), np.ones(1))

    def test_widening_is_scipy_s(self):
        from scipy.ndimage import maximum_filter1d

        values = np.random.default_rng(0).normal(size=100)
        np.testing.assert_array_equal(widened(values, 0.03), maximum_filter1d(values, 7, mode="nearest"))

    def test_wandering_has_unit_power_in_its_band(self):
        times = np.arange(0, 600, 0.05)
        values = wandering(times, (0.2, 0.5), np.random.default_rng(0))
        assert values.std() == pytest.approx(1, abs=0.05)
        spectrum, frequencies = np.abs(np.fft.rfft(values)) ** 2, np.fft.rfftfreq(len(times), 0.05)
        inside = (frequencies > 0.19) & (frequencies < 0.51)
        assert spectrum[inside].sum() > 0.98 * spectrum.sum()

    def test_steps_rest_and_arrive(self):
        places = np.array([[0.0], [1.0], [-1.0]])
        values = stepped(np.array([0.0, 0.9, 1.5, 1.9, 9.0]), np.array([0.0, 1.0, 2.0]), places, np.full(3, 0.5))
        np.testing.assert_allclose(values[:, 0], [0, 0, 1, 1, -1])


def same_frame(first: MotionFrame, second: MotionFrame) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in MotionFrame.SHAPES)


def test_the_generator_leaves_its_options_alone():
    options = MotionOptions()
    ProceduralGenerator().generate(demo(), 25, options)
    assert options == replace(options)
