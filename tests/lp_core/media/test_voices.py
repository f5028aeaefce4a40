"""Several voices on one timeline: lp_core.media.voices and the node over it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_nodes import run, wave

from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.media.voices import mixed, on_one_timeline, starts_in_turn

RATE = 8_000


def voice(seconds: float, value: float = 0.25, channels: int = 1, rate: int = RATE) -> Audio:
    return Audio(torch.full((channels, round(seconds * rate)), value), rate)


def heard(track: Audio) -> tuple[float, float]:
    """First and last second at which something is heard."""
    places = track.waveform.abs().amax(0).nonzero()
    return float(places.min()) / track.sample_rate, float(places.max() + 1) / track.sample_rate


def test_in_turn_each_waits_for_the_one_before():
    voices = voice(1.0), voice(0.5), voice(0.25)
    assert starts_in_turn(voices, (0.5, 0.25, -0.25)) == (0.5, 1.75, 2.0)
    tracks = on_one_timeline(voices, starts_in_turn(voices, (0.5, 0.25, -0.25)))
    assert [heard(track) for track in tracks] == [(0.5, 1.5), (1.75, 2.25), (2.0, 2.25)]
    assert {track.samples for track in tracks} == {round(2.25 * RATE)}


@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.integers(0, 400), st.sampled_from([1, 2, 6])), min_size=1, max_size=4
    )
)
def test_every_sample_of_every_voice_is_in_the_mix(voices):
    sounds = [Audio(torch.rand(channels, length) * 0.1, RATE) for length, _, channels in voices]
    starts = [start / RATE for _, start, _ in voices]
    tracks = on_one_timeline(sounds, starts)
    mix = mixed(tracks)
    for track, sound, (length, start, channels) in zip(tracks, sounds, voices, strict=True):
        inside = track.waveform[:channels, start : start + length]
        assert torch.equal(inside, sound.waveform)
        assert torch.count_nonzero(track.waveform) == torch.count_nonzero(inside) * (
            len(track.waveform) if channels == 1 else 1
        )
    torch.testing.assert_close(mix.waveform, sum(track.waveform for track in tracks))
    assert mix.samples == max(length + start for length, start, _ in voices)


def test_rates_and_channels_become_one():
    tracks = on_one_timeline((voice(0.5, rate=8_000), voice(0.5, channels=2, rate=16_000)), (0.0, 0.0))
    assert {(track.sample_rate, track.waveform.shape) for track in tracks} == {(16_000, (2, 8_000))}
    assert torch.equal(*tracks[0].waveform)


def test_what_would_clip_is_made_softer_as_a_whole():
    loud, soft = voice(0.5, 0.9), voice(1.0, 0.3)
    mix = mixed(on_one_timeline((loud, soft), (0.0, 0.0)))
    assert mix.waveform.max() == pytest.approx(1.0)
    assert mix.waveform[0, -1] / mix.waveform[0, 0] == pytest.approx(0.3 / 1.2)


def test_nothing_begins_before_the_beginning():
    with pytest.raises(ValueError, match=r"Voice 2 would begin 0\.50 s before"):
        on_one_timeline((voice(1.0), voice(1.0)), (0.0, -0.5))


def test_the_node_gives_each_face_its_voice():
    mix, *alone = run("MixVoices", voice_1=wave(0.5), voice_2=wave(0.25, channels=2), start_2=0.25)
    assert {sound["waveform"].shape for sound in (mix, *alone)} == {(1, 2, 16_000)}
    first, second, *listeners = (sound["waveform"] for sound in alone)
    assert not first[..., 8_000:].any()
    assert not second[..., :12_000].any()
    assert not any(listener.any() for listener in listeners)
    torch.testing.assert_close(mix["waveform"], first + second)


def test_a_voice_that_is_not_connected_is_passed_over():
    sounds = {f"voice_{number}": wave(0.5) for number in (1, 2, 4)}
    _, _, _, third, fourth = run("MixVoices", **sounds, start_2=0.0, start_3=9.0, start_4=0.0)
    assert third["waveform"].shape == (1, 1, 24_000)
    assert not third["waveform"].any()
    assert fourth["waveform"][..., 16_000:].any()
    assert not fourth["waveform"][..., :16_000].any()


def test_starts_count_from_the_beginning_when_asked_to():
    _, first, second, *_ = run(
        "MixVoices", voice_1=wave(0.5), voice_2=wave(0.5), order="from the beginning", start_1=0.1, start_2=0.0
    )
    assert not first["waveform"][..., :1_600].any()
    assert second["waveform"][..., 1:1_600].any()
