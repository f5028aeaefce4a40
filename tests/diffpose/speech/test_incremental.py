"""The features that hears each frame once: exact where it can be, near where it cannot, and never the future."""

from dataclasses import replace

import pytest
import torch
from diffpose_goldens import JOYVASA, card, published
from small_generators import held

from talking_head.diffpose.encoders import ProjectedEncoder
from talking_head.diffpose.speech.encoder import SAMPLES_PER_FRAME, speech_encoder
from talking_head.diffpose.speech.incremental import IncrementalFeatures
from talking_head.diffpose.speech.manifold import Projection, build_bank
from talking_head.diffpose.speech.streaming import WindowedFeatures

SPEECH = card("joyvasa", **JOYVASA).speech
HOP, AHEAD = 5, 2


@pytest.fixture(scope="module")
def encoder():
    tensors = {key.removeprefix("audio_encoder."): value for key, value in published("encoder").items()}
    return speech_encoder(tensors, heads=4)


def voice(frames, seed=1):
    """Noise in syllables, four a second."""
    samples = torch.arange(frames * SAMPLES_PER_FRAME)
    noise = torch.randn(len(samples), generator=torch.Generator().manual_seed(seed))
    return 0.1 * ((samples / 16_000 * 8 * torch.pi).sin().square() + 0.03) * noise


def heard(features, frames):
    """The settled features of windows that follow one another."""
    settled = []
    for start in range(0, frames - AHEAD - HOP + 1, HOP):
        settled.append(features.between(start, start + HOP + AHEAD)[:, :HOP])
        features.forget(start + HOP)
    return torch.cat(settled, 1)


def test_one_window_is_what_the_encoder_hears(encoder):
    features, sound = IncrementalFeatures(encoder, SPEECH, 100), voice(40)
    features.push(sound)
    torch.testing.assert_close(features.between(0, 40), encoder.frames(sound[None]), atol=2e-5, rtol=0)


def test_a_speaker_is_heard_this_way_too(encoder):
    bank = build_bank(encoder.units(voice(40, seed=2)[None])[0], "hubert")
    spoken = ProjectedEncoder(encoder, Projection(bank, neighbours=1))
    features, sound = IncrementalFeatures(spoken, SPEECH, 100), voice(20)
    features.push(sound)
    torch.testing.assert_close(features.between(0, 20), spoken.frames(sound[None]), atol=2e-5, rtol=0)
    assert (spoken.frames(sound[None]) - encoder.frames(sound[None])).abs().max() > 0.01


def test_later_windows_are_near_what_hearing_anew_gives(encoder):
    """Near means an eighth of what the features vary by; a memory helps."""
    sound = voice(60)
    ears = (
        *(IncrementalFeatures(encoder, SPEECH, memory) for memory in (93, 1)),
        WindowedFeatures(encoder, SPEECH, 100),
    )
    for features in ears:
        features.push(sound)
    remembering, forgetful, anew = (heard(features, 60) for features in ears)
    variation = (anew - anew.mean(1, keepdim=True)).norm()
    error = (remembering - anew).norm() / variation
    assert error < 1 / 8
    assert error < 0.5 * (forgetful - anew).norm() / variation


def test_only_as_much_is_remembered_as_wished(encoder):
    features = IncrementalFeatures(encoder, SPEECH, 10)
    features.push(voice(60))
    heard(features, 60)
    assert {layer.keys.shape[2] for layer in features._layers} == {20}
    assert held(features) <= 2 * (AHEAD + HOP + 10)


def test_later_sound_changes_nothing_settled(encoder):
    first, other = (IncrementalFeatures(encoder, SPEECH, 50) for _ in range(2))
    sound = voice(32)
    first.push(sound)
    other.push(torch.cat((sound, voice(20, seed=2))))
    assert torch.equal(heard(first, 32), heard(other, 32))


def test_windows_must_follow_one_another(encoder):
    features = IncrementalFeatures(encoder, SPEECH, 50)
    features.push(voice(20))
    features.between(0, 7)
    features.forget(5)
    with pytest.raises(ValueError, match="goes on at frame 5; it was asked for frame 6"):
        features.between(6, 13)


def test_what_cannot_be_heard_in_pieces_is_refused(encoder):
    with pytest.raises(ValueError, match="levels its sound over the window"):
        IncrementalFeatures(encoder, replace(SPEECH, level="window"), 50)
