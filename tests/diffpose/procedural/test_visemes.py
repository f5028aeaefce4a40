"""The viseme nets, the table that taught them, and the shipped assets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from talking_head.diffpose.procedural.visemes import (
    ASSET,
    BLOCK,
    REACH,
    SHAPES,
    UNITS,
    VisemeNet,
    load_viseme_net,
    visemes,
)
from talking_head.diffpose.speech.analysis import SAMPLE_RATE, analyse
from talking_head.diffpose.training.shipped.espeak import Phoneme
from talking_head.diffpose.training.shipped.phonemes import TABLE, segments, shape_targets, unknown_symbols
from talking_head.diffpose.training.shipped.sentences import (
    DRIVER_LANGUAGES,
    DRIVER_VARIANTS,
    JUDGE_LANGUAGES,
    JUDGE_VARIANTS,
    UNHEARD_VOICES,
)
from talking_head.lp_core.media.audio import load_audio

JUDGE = ROOT / "tests" / "benchmarks" / "judge_net.safetensors"


def demo_speech():
    return analyse(load_audio(ROOT / "workflows" / "demo_speech.wav").mono(SAMPLE_RATE))


class TestNet:
    @pytest.mark.parametrize("width", [1, 8, 40])
    def test_save_and_load_find_the_size(self, width, tmp_path):
        net = VisemeNet(width)
        save_file(net.state_dict(), tmp_path / "net.safetensors")
        loaded = load_viseme_net(tmp_path / "net.safetensors")
        mels = torch.randn(1, 32, 50)
        torch.testing.assert_close(loaded(mels), net(mels))

    def test_a_long_voice_is_heard_in_blocks_as_if_at_once(self):
        speech = demo_speech()
        repeats = 2 * BLOCK // len(speech) + 2
        long = replace(speech, mels=np.tile(speech.mels, (repeats, 1)))
        at_once = load_viseme_net()(torch.from_numpy(long.mels.T)[None])[0] * torch.tensor(UNITS)[:, None]
        heard = np.stack([getattr(visemes(long), name) for name in SHAPES])
        np.testing.assert_allclose(heard, at_once.detach().numpy(), atol=1e-5)

    def test_it_sees_230_ms_to_both_sides_and_no_further(self):
        net, mels = load_viseme_net(), torch.randn(1, 32, 101)
        changed = mels.clone()
        changed[..., 50] += 1
        different = (net(changed) != net(mels)).any(1)[0].nonzero()[:, 0]
        assert different.min() >= 50 - REACH
        assert different.max() <= 50 + REACH
        assert REACH == 23

    def test_pieces_equal_the_whole(self):
        """With REACH frames around it a piece comes out as in the whole: a stream can exist."""
        net, mels = load_viseme_net(), torch.randn(1, 32, 300)
        whole, piece = net(mels), net(mels[..., 100 - REACH : 200 + REACH])
        torch.testing.assert_close(piece[..., REACH:-REACH], whole[..., 100:200], atol=1e-5, rtol=1e-4)

    def test_a_wrong_file_is_refused(self, tmp_path):
        tensors = VisemeNet(8).state_dict()
        save_file(
            {name: tensor for name, tensor in tensors.items() if name != "last.bias"}, tmp_path / "net.safetensors"
        )
        with pytest.raises(RuntimeError, match=r"last\.bias"):
            load_viseme_net(tmp_path / "net.safetensors")


class TestAssets:
    def test_they_are_small(self):
        assert ASSET.stat().st_size <= 200_000
        assert JUDGE.stat().st_size <= 200_000

    def test_driver_and_judge_were_taught_by_different_voices(self):
        assert not set(DRIVER_LANGUAGES) & set(JUDGE_LANGUAGES)
        assert not set(DRIVER_VARIANTS) & set(JUDGE_VARIANTS)
        taught = {*DRIVER_LANGUAGES, *JUDGE_LANGUAGES, *DRIVER_VARIANTS, *JUDGE_VARIANTS}
        assert not taught & {part for voice in UNHEARD_VOICES for part in voice.split("+")}

    def test_driver_and_judge_agree_but_are_not_the_same(self):
        speech = demo_speech()
        ours, theirs = visemes(speech), visemes(speech, load_viseme_net(JUDGE))
        for name in ("opening", "width", "closure"):
            r = np.corrcoef(getattr(ours, name), getattr(theirs, name))[0, 1]
            assert 0.75 < r < 0.999, name

    def test_shapes_on_speech_are_those_of_a_mouth(self):
        shapes = visemes(demo_speech())
        assert 0.05 < np.percentile(shapes.opening, 90) < 0.2
        assert -0.12 < shapes.width.min() < shapes.width.max() < 0.08
        assert shapes.closure.max() > 0.8
        assert len(shapes.tuck) == len(demo_speech())


class TestTargets:
    def spoken(self, *symbols: str, each: float = 0.1) -> list[Phoneme]:
        starts = np.arange(len(symbols) + 1) * each
        return [Phoneme(s, float(a), float(b)) for s, a, b in zip(symbols, starts[:-1], starts[1:], strict=True)]

    def targets(self, *symbols: str, each: float = 0.1) -> dict[str, np.ndarray]:
        values = shape_targets(self.spoken(*symbols, each=each), round(len(symbols) * each * 100) + 1)
        return dict(zip(SHAPES, values.T, strict=True))

    @pytest.mark.parametrize("sound", ["m", "b", "p"])
    def test_bilabials_close_between_open_vowels(self, sound):
        shapes = self.targets("ɑ", "ɑ", sound, "ɑ", "ɑ")
        assert shapes["opening"][15:32].min() < 0.025
        assert shapes["closure"][15:32].max() > 0.9
        assert shapes["opening"].max() > 0.15

    def test_f_tucks_the_lip_and_does_not_press(self):
        shapes = self.targets("a", "f", "a")
        assert shapes["tuck"].max() > 0.9
        assert shapes["closure"].max() < 0.05

    def test_lips_round_before_the_vowel(self):
        """The anticipation of French « tu », 35 ms and the blur: rounding begins in the consonant."""
        shapes = self.targets("s", "t", "u", "u")
        assert shapes["width"][15] < -0.02

    def test_a_stop_closes_before_its_burst(self):
        (closed,) = [segment for segment in segments(self.spoken("a", "p", "a")) if segment.symbol == "p"]
        assert closed.start == pytest.approx(0.05)
        assert closed.end == pytest.approx(0.11)

    def test_silence_is_a_shut_mouth(self):
        shapes = self.targets("", "", "", each=0.5)
        assert all(np.abs(curve).max() < 1e-9 for curve in shapes.values())

    def test_affricates_and_diphthongs_are_split(self):
        assert [segment.symbol for segment in segments(self.spoken("tʃ"))] == ["t", "ʃ"]
        assert [segment.symbol for segment in segments(self.spoken("aɪ"))] == ["a", "ɪ"]
        assert [segment.symbol for segment in segments(self.spoken("õː"))] == ["o"]

    def test_a_change_of_language_is_no_sound(self):
        assert segments([Phoneme("(en)", 0.0, 0.02)]) == []
        assert unknown_symbols([Phoneme("(en)", 0.0, 0.02)]) == {"(en)"}

    @given(st.lists(st.sampled_from([*TABLE, ""]), min_size=1, max_size=20), st.floats(0.03, 0.4))
    def test_targets_stay_within_the_table(self, symbols, each):
        for name, values in self.targets(*symbols, each=each).items():
            row = [getattr(entry, name) for entry in TABLE.values()]
            assert values.min() >= min(*row, 0) - 1e-9
            assert values.max() <= max(*row, 0) + 1e-9
