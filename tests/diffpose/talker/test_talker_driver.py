from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from talker_goldens import assert_near, filled, golden, waveform

from talking_head.diffpose.generator import MotionOptions
from talking_head.diffpose.speech.manifold import Projection, SpeechBank
from talking_head.diffpose.talker.driver import LIP_REFERENCES, Talker, TalkerOptions, TalkerStream
from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.mapping import MappingNetwork
from talking_head.diffpose.talker.spectrum import silent_window
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.motion.keypoints import LIPS

SECOND = 16000


def talker(width=None, **options):
    mapping = (
        MappingNetwork(width=width).eval().requires_grad_(False) if width else filled(MappingNetwork, "mappingnet")
    )
    person = golden("lpt_audio2exp")["source_coeff"]
    return Talker(filled(ExpressionNetwork, "audio2exp"), mapping, TalkerOptions(**{"person": person} | options))


@pytest.fixture(scope="module")
def small():
    """A driver whose MappingNet is narrow, for tests that call it often."""
    torch.manual_seed(3)
    return talker(width=16)


def test_sound_to_lip_motion_equals_the_original():
    expected = golden("lpt_mapping")["e2e_lips"].view(-1, 6, 3)
    sound = waveform(35697)[: 55 * 640]
    assert_near(talker(lip_reference="none").lip_deltas(sound), expected, 1e-4)
    assert_near(talker(lip_reference="first frame").lip_deltas(sound), expected - expected[0], 1e-4)
    assert_near(talker(lip_reference="mean").lip_deltas(sound), expected - expected.mean(0), 1e-4)


def test_silent_lips_do_not_move(small):
    """Pitfall 4: what the original measures from, the first frame, may be a vowel; silence is neutral here."""
    assert_near(small.lip_deltas(torch.zeros(2 * SECOND)), torch.zeros(50, 6, 3), 1e-5)
    sound = torch.cat([waveform(SECOND)[:8000], torch.zeros(2 * SECOND)])
    lips = small.lip_deltas(sound)
    from_first = talker_like(small, lip_reference="first frame").lip_deltas(sound)
    assert lips[-5:].abs().max() < 1e-5
    assert from_first[-5:].abs().max() > 100 * lips[-5:].abs().max()


def talker_like(other, **options):
    return Talker(other.expression, other.mapping, TalkerOptions(**{"person": other.options.person} | options))


@settings(max_examples=12)
@given(
    st.lists(st.integers(1, 9000), min_size=1, max_size=6),
    st.integers(0, 13),
    st.sampled_from(["silence", "first frame", "none"]),
)
def test_stream_equals_offline_with_the_same_look_ahead(lengths, ahead, reference):
    torch.manual_seed(3)
    driver = talker(width=16, ahead=ahead, lip_reference=reference)
    sound = waveform(sum(lengths))
    stream = TalkerStream(driver)
    parts = [stream.push(chunk) for chunk in sound.split(lengths)]
    assert_near(torch.cat([*parts, stream.finish()]), driver.lip_deltas(sound), 1e-5)


def test_all_of_the_window_ahead_is_what_offline_does(small):
    sound = waveform(SECOND)
    near = talker_like(small, ahead=12).lip_deltas(sound)
    assert_near(small.lip_deltas(sound), talker_like(small, ahead=14).lip_deltas(sound), 1e-5)
    assert (near - small.lip_deltas(sound)).abs().max() > 1e-5


@pytest.mark.parametrize("ahead", [0, 4, 13])
def test_a_frame_comes_when_its_latency_is_over_and_not_before(small, ahead):
    options = TalkerOptions(ahead=ahead)
    step, sound, delays = 100, waveform(2 * SECOND), []
    stream, count = TalkerStream(small, options), 0
    for end in range(step, len(sound) + 1, step):
        fresh = len(stream.push(sound[end - step : end]))
        count += fresh
        if fresh:
            delays.append(Fraction(end, SECOND) - Fraction(count - 1, 25))
    assert options.latency <= max(delays) < options.latency + Fraction(step, SECOND)
    assert float(TalkerOptions().latency) == pytest.approx(0.6525, abs=1e-4)


def test_memory_of_a_stream_does_not_grow(small):
    stream = TalkerStream(small)
    for _ in range(6):
        stream.push(waveform(SECOND))
    assert len(stream._columns) < 200
    assert len(stream._coefficients) < 40


def test_a_stream_cannot_be_measured_from_the_mean(small):
    with pytest.raises(ValueError, match="mean"):
        TalkerStream(small, TalkerOptions(lip_reference="mean"))


@pytest.mark.parametrize("wrong", [{"window": 27}, {"lip_reference": "vowel"}, {"ahead": 15}])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        TalkerOptions(**wrong)
    assert len(LIP_REFERENCES) == 4
    with pytest.raises(ValueError, match=r"64 expression coefficients; got shape \(1, 64\)"):
        TalkerOptions(person=torch.zeros(1, 64))


def test_motion_moves_lips_by_the_networks_and_the_rest_as_the_built_in_generator(small):
    audio = Audio(waveform(2 * SECOND)[None], SECOND)
    plain = MotionOptions(lips_only=True, lip_lead_ms=0, rest_in_silence=False)
    lips = small.generate(audio, 25, plain)
    others = [keypoint for keypoint in range(21) if keypoint not in LIPS]
    assert_near(lips.expression[:, LIPS], small.lip_deltas(audio.waveform[0]), 1e-6)
    assert not lips.expression[:, others].any()
    louder = small.generate(audio, 25, replace(plain, expression=1.5, lips=0.5))
    assert_near(louder.expression, 0.75 * lips.expression, 1e-6)
    full = small.generate(audio, 30, seed=4)
    assert full.fps == 30
    assert len(full) == 60
    assert full.rotation.std() > 0.1
    assert torch.equal(full.expression, small.generate(audio, 30, seed=4).expression)


def test_lips_rest_in_silence_whatever_the_networks_say(small):
    """Off keeps the networks' own idea of silence, which with another reference than silence is not rest."""
    audio = Audio(torch.cat([waveform(SECOND), torch.zeros(2 * SECOND)])[None], SECOND)
    biased = talker_like(small, lip_reference="none")
    options = MotionOptions(lips_only=True)
    assert not biased.generate(audio, 25, options).expression[-25:].any()
    assert biased.generate(audio, 25, replace(options, rest_in_silence=False)).expression[-25:].any()


def test_a_speakers_bank_stands_between_encoder_and_lips(small):
    """At strength 1 with one neighbour every embedding is one of the bank's own; at 0 nothing changes."""
    sound = waveform(SECOND)
    one = small.expression.audio_encoder(silent_window())
    muted = Projection(SpeechBank(one, "sadtalker"), neighbours=1)
    driver = Talker(small.expression, small.mapping, small.options, muted)
    assert_near(driver.lip_deltas(sound), torch.zeros(25, 6, 3), 1e-5)
    driver = Talker(small.expression, small.mapping, small.options, replace(muted, strength=0.0))
    assert torch.equal(driver.lip_deltas(sound), small.lip_deltas(sound))
    wrong = Projection(SpeechBank(one, "apc"))
    with pytest.raises(ValueError, match=r"built with the encoder 'apc'.* hears the voice through 'sadtalker'"):
        Talker(small.expression, small.mapping, small.options, wrong).lip_deltas(sound)
