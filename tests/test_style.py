"""Styles: files, mixing, measuring, and that they steer the built-in generator the right way."""

import math
from dataclasses import asdict, fields, replace
from functools import cache

import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from talking_head.diffpose.procedural import ProceduralGenerator
from talking_head.diffpose.style import (
    TYPICAL,
    MotionStatistics,
    Style,
    average,
    interpolate,
    motion_statistics,
)
from talking_head.lp_core.audio import Audio, load_audio
from talking_head.lp_core.controls import Controls, to_expression
from talking_head.lp_core.motion import MotionFrame, MotionSequence

NAMES = tuple(field.name for field in fields(MotionStatistics))


@cache
def voice() -> Audio:
    demo = load_audio(ROOT / "workflows" / "demo_speech.wav")
    return Audio(demo.waveform.repeat(1, 4), demo.sample_rate)


def moving(seconds: float = 4, fps: float = 25, rotation: torch.Tensor | None = None, **controls) -> MotionSequence:
    frames = round(seconds * fps)
    still = MotionSequence.still(frames, fps)
    expression = to_expression(Controls.still(frames, **controls))
    return replace(still, expression=expression, rotation=still.rotation if rotation is None else rotation)


def wave(frequency: float, amplitude: float, seconds: float = 4, fps: float = 25) -> torch.Tensor:
    time = torch.arange(round(seconds * fps)) / fps
    return amplitude * torch.sin(2 * torch.pi * frequency * time)


class TestFiles:
    @pytest.mark.parametrize("code", [None, torch.randn(128)], ids=["statistics", "code"])
    def test_saved_and_loaded_is_the_same(self, code, tmp_path):
        style = Style(code, MotionStatistics(mouth_amplitude=0.1 / 3), strength=0.7)
        style.save(tmp_path / "style.safetensors")
        loaded = Style.load(tmp_path / "style.safetensors")
        assert loaded.statistics == style.statistics
        assert loaded.strength == style.strength
        assert (loaded.code is None) if code is None else torch.equal(loaded.code, code)

    def test_another_file_is_named_as_such(self, tmp_path):
        path = tmp_path / "motion.safetensors"
        MotionSequence.still(2, 25).save(path)
        with pytest.raises(ValueError, match="not a style file"):
            Style.load(path)
        path.write_bytes(b"nothing")
        with pytest.raises(ValueError, match="Cannot read the style file"):
            Style.load(path)

    def test_a_damaged_style_is_refused(self, tmp_path):
        from safetensors.torch import save_file

        metadata = {"format": "talking-head style 1", "style": '{"statistics": {"charm": 1}, "strength": 1}'}
        save_file({}, tmp_path / "style.safetensors", metadata=metadata)
        with pytest.raises(ValueError, match="damaged"):
            Style.load(tmp_path / "style.safetensors")

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Style(torch.zeros(64)), "shape"),
            (lambda: Style(strength=2.5), "strength is 2.5"),
            (lambda: Style(strength=math.nan), "strength is nan"),
            (lambda: MotionStatistics(blink_rate=-1), "blink_rate is -1"),
        ],
    )
    def test_bad_values_are_refused(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()


class TestMixing:
    def test_average_and_interpolation(self):
        one, other = (Style(torch.full((128,), v), MotionStatistics(blink_rate=10 * v)) for v in (1.0, 3.0))
        middle = average([one, other])
        assert middle.statistics.blink_rate == pytest.approx(20)
        torch.testing.assert_close(middle.code, torch.full((128,), 2.0))
        assert interpolate(one, other, 0).statistics == one.statistics
        assert interpolate(one, other, 1).statistics == other.statistics
        assert interpolate(one, other, 0.25).statistics.blink_rate == pytest.approx(15)

    def test_what_does_not_mix_is_refused(self):
        with pytest.raises(ValueError, match="at least one"):
            average([])
        with pytest.raises(ValueError, match="some have a code"):
            average([Style(torch.zeros(128)), Style()])
        with pytest.raises(ValueError, match="weight"):
            interpolate(Style(), Style(), 2)

    @given(st.floats(0, 2), st.floats(0.001, 100))
    def test_strength_zero_is_style_free_and_one_is_the_ratio(self, strength, factor):
        style = Style(statistics=MotionStatistics(*(factor * value for value in asdict(TYPICAL).values())))
        assert set(asdict(style.with_strength(0).gains()).values()) == {1.0}
        gain = style.with_strength(strength).gains().head_yaw
        assert gain == pytest.approx(min(max(factor, 0.4), 2.5) ** strength)


class TestMeasuring:
    def test_a_sine_has_its_amplitude_and_tempo(self):
        measured = motion_statistics(moving(fps=100, seconds=4, jaw=wave(3, 0.1, fps=100)))
        assert measured.mouth_amplitude == pytest.approx(0.1 / math.sqrt(2), rel=1e-3)
        assert measured.mouth_tempo == pytest.approx(3, rel=0.02)

    def test_the_head_is_measured_against_the_rest_frame(self):
        swing = torch.stack([wave(0.5, 4), wave(0.5, 2), wave(0.5, 1)], -1)
        measured = motion_statistics(moving(rotation=swing))
        assert measured.head_pitch == pytest.approx(4 / math.sqrt(2), rel=1e-3)
        assert measured.head_yaw == pytest.approx(2 / math.sqrt(2), rel=1e-3)
        assert measured.head_roll == pytest.approx(1 / math.sqrt(2), rel=1e-3)
        nodding = swing * torch.tensor([1.0, 0.0, 0.0]) + torch.tensor([170.0, 0.0, 0.0])
        rest = replace(MotionFrame.neutral(), rotation=torch.tensor([175.0, 0.0, 0.0]))
        measured = motion_statistics(replace(moving(rotation=nodding), rest=rest))
        assert measured.head_pitch == pytest.approx(4 / math.sqrt(2), rel=1e-3)
        assert measured.head_yaw == pytest.approx(0, abs=1e-3)

    def test_blinks_are_counted_once_each(self):
        closed = torch.zeros(1500)
        for start in range(50, 1500, 50):
            closed[start : start + 5] = torch.tensor([0.5, 0.9, 1.0, 0.7, 0.4])
        measured = motion_statistics(moving(60, jaw=torch.zeros(1500), blink_left=closed, blink_right=closed))
        expected = 60 * (29 + TYPICAL.blink_rate * 10 / 60) / 70
        assert measured.blink_rate == pytest.approx(expected)

    def test_stillness_has_no_size_but_the_typical_tempo(self):
        measured = motion_statistics(MotionSequence.still(50, 25))
        assert measured.mouth_amplitude == measured.head_yaw == measured.gaze_spread == 0
        assert measured.mouth_tempo == TYPICAL.mouth_tempo

    def test_less_than_a_second_is_refused(self):
        with pytest.raises(ValueError, match="at least 1 s"):
            motion_statistics(MotionSequence.still(24, 25))


class TestSteering:
    @staticmethod
    def measured(**statistics: float) -> MotionStatistics:
        style = Style(statistics=replace(TYPICAL, **statistics))
        return motion_statistics(ProceduralGenerator().generate(voice(), 25, None, 11, style))

    def test_the_default_generator_is_a_typical_talker(self):
        measured = asdict(self.measured())
        for name, usual in asdict(TYPICAL).items():
            assert 0.7 < measured[name] / usual < 1.4, name

    @pytest.mark.parametrize("name", NAMES)
    def test_more_and_less_of_a_statistic_show(self, name):
        usual = getattr(TYPICAL, name)
        less, same, more = (getattr(self.measured(**{name: factor * usual}), name) for factor in (0.5, 1, 2))
        assert less < 0.97 * same
        assert more > 1.03 * same

    def test_strength_zero_is_exactly_style_free(self):
        style = Style(statistics=MotionStatistics(0.2, 6, 9, 9, 9, 60, 0.1, 1), strength=0)
        free = ProceduralGenerator().generate(voice(), 25, None, 3)
        styled = ProceduralGenerator().generate(voice(), 25, None, 3, style)
        assert torch.equal(free.expression, styled.expression)
        assert torch.equal(free.rotation, styled.rotation)
        assert torch.equal(free.translation, styled.translation)

    def test_a_style_measured_on_a_motion_leads_towards_it(self):
        """Lively against calm: the same words in the manner of each."""
        lively = Style(statistics=self.measured(head_yaw=4.0, mouth_amplitude=0.08, blink_rate=40))
        calm = Style(statistics=self.measured(head_yaw=0.8, mouth_amplitude=0.02, blink_rate=8))
        generator = ProceduralGenerator()
        one, other = (motion_statistics(generator.generate(voice(), 25, None, 12, s)) for s in (lively, calm))
        assert one.head_yaw > 1.5 * other.head_yaw
        assert one.mouth_amplitude > 1.5 * other.mouth_amplitude
        assert one.blink_rate > 1.5 * other.blink_rate


def test_styles_without_codes_are_averaged_by_their_statistics():
    low, high = (Style(statistics=MotionStatistics(head_yaw=yaw)) for yaw in (1.0, 3.0))
    mean = average((low, high))
    assert mean.code is None
    assert mean.statistics.head_yaw == pytest.approx(2.0)
