"""Styles: files, mixing, measuring, and that they steer the built-in generator the right way."""

import math
from dataclasses import asdict, fields, replace
from functools import cache

import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.steering.style import (
    TYPICAL,
    MotionStatistics,
    Style,
    average,
    distance,
    interpolate,
    motion_statistics,
)
from talking_head.lp_core.media.audio import Audio, load_audio
from talking_head.lp_core.motion.controls import Controls, to_expression
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence

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

        metadata = {"format": "talking-head style 2", "style": '{"statistics": {"charm": 1}, "strength": 1}'}
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
        assert measured.mouth_amplitude == pytest.approx(0.1 / math.sqrt(2), rel=5e-3)
        assert measured.mouth_tempo == pytest.approx(3, rel=0.02)

    def test_the_head_is_measured_against_the_rest_frame(self):
        swing = torch.stack([wave(3, 4), wave(3, 2), wave(3, 1)], -1)
        measured = motion_statistics(moving(rotation=swing))
        assert measured.head_pitch == pytest.approx(4 / math.sqrt(2), rel=2e-2)
        assert measured.head_yaw == pytest.approx(2 / math.sqrt(2), rel=2e-2)
        assert measured.head_roll == pytest.approx(1 / math.sqrt(2), rel=2e-2)
        nodding = swing * torch.tensor([1.0, 0.0, 0.0]) + torch.tensor([170.0, 0.0, 0.0])
        rest = replace(MotionFrame.neutral(), rotation=torch.tensor([175.0, 0.0, 0.0]))
        measured = motion_statistics(replace(moving(rotation=nodding), rest=rest))
        assert measured.head_pitch == pytest.approx(4 / math.sqrt(2), rel=2e-2)
        assert measured.head_yaw == pytest.approx(0, abs=1e-3)

    def test_a_change_of_posture_is_no_manner(self):
        """A slow turn by 20° and lips that part slowly: nearly nothing is left of them."""
        turn = torch.linspace(0, 20, 250)[:, None] * torch.tensor([0.0, 1.0, 0.0])
        measured = motion_statistics(moving(10, rotation=turn, jaw=torch.linspace(0, 0.1, 250)))
        assert measured.head_yaw < 0.05 * turn.std(0)[1]
        assert measured.mouth_amplitude < 0.05 * 0.1 / math.sqrt(12) * 1.01

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


# The statistics (in the order of NAMES) of both halves of LivePortrait's six driving clips: six people.
HALVES = {
    "d0": (
        (0.035, 1.02, 0.386, 0.347, 0.132, 16.4, 0.00285, 0.521),
        (0.0484, 1.27, 0.238, 0.516, 0.264, 21.6, 0.0039, 0.585),
    ),
    "d6": (
        (0.0565, 2.24, 0.713, 2.15, 1.52, 20.5, 0.0109, 0.205),
        (0.0535, 2.2, 1.13, 2.2, 1.97, 11.6, 0.0122, 0.193),
    ),
    "d10": (
        (0.0586, 2.38, 1.91, 0.714, 0.487, 14.3, 0.0168, 0.223),
        (0.0425, 2.67, 1.18, 0.82, 0.609, 17.7, 0.0123, 0.313),
    ),
    "d19": (
        (0.0327, 1.3, 0.43, 0.947, 0.514, 13.4, 0.00233, 0.0522),
        (0.0528, 1.23, 0.341, 1.03, 0.539, 13.4, 0.00338, 0.0504),
    ),
    "d20": (
        (0.0379, 2.51, 0.788, 0.297, 0.409, 14.1, 0.00266, 0.02),
        (0.0423, 2.5, 0.628, 0.463, 0.361, 14.1, 0.00241, 0.0154),
    ),
    "s29": (
        (0.00806, 1.08, 1.77, 2.82, 0.945, 15, 0.00471, 0.137),
        (0.0041, 1.49, 0.659, 0.789, 1.45, 19.7, 0.00353, 0.0734),
    ),
}


class TestDistance:
    @pytest.mark.parametrize("person", HALVES)
    def test_halves_of_a_clip_are_nearer_than_two_people(self, person):
        halves = {name: [Style(statistics=MotionStatistics(*half)) for half in two] for name, two in HALVES.items()}
        first, second = halves.pop(person)
        others = [half for two in halves.values() for half in two]
        nearest = min(distance(own, other) for own in (first, second) for other in others)
        assert distance(first, second) < 0.85 * nearest

    def test_a_generated_person_is_known_by_other_words_and_another_seed(self):
        """The words of one half of the voice and one seed, against the other half and another seed."""
        people = [
            TYPICAL,
            replace(TYPICAL, mouth_amplitude=0.08, brow_activity=0.015, head_yaw=1.6),
            replace(TYPICAL, head_pitch=2.5, head_roll=1.4, gaze_spread=0.15, mouth_amplitude=0.03),
            replace(TYPICAL, blink_rate=45, mouth_tempo=4.0, head_pitch=0.5, brow_activity=0.003),
        ]
        half = voice().samples // 2
        words = [Audio(voice().waveform[:, part], voice().sample_rate) for part in (slice(half), slice(half, None))]
        halves = [
            [
                Style(
                    statistics=motion_statistics(
                        ProceduralGenerator().generate(said, 25, None, seed, Style(None, p))
                    )
                )
                for seed, said in enumerate(words)
            ]
            for p in people
        ]
        for index, (first, second) in enumerate(halves):
            others = [one for place, two in enumerate(halves) if place != index for one in two]
            assert distance(first, second) < min(distance(first, one) for one in others)
            assert distance(second, first) < min(distance(second, one) for one in others)

    @given(st.floats(0.1, 8), st.floats(0.1, 8))
    def test_it_is_the_logarithm_of_a_factor_on_everything(self, factor, other):
        first, second = (
            Style(statistics=MotionStatistics(*(size * value for value in asdict(TYPICAL).values())))
            for size in (factor, other)
        )
        assert distance(first, second) == pytest.approx(abs(math.log(factor / other)), abs=1e-9)
        assert distance(first, first.with_strength(0)) == 0

    def test_what_hardly_moves_is_alike(self):
        still, trembling = MotionStatistics(*[0.0] * len(NAMES)), MotionStatistics(*[1e-6] * len(NAMES))
        assert distance(Style(statistics=still), Style(statistics=trembling)) == 0


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
