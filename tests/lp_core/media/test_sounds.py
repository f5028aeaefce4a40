"""Sounds of every kind that people bring: joined, cut off, with junk, changing on the way, upside down."""

import logging
from itertools import pairwise

import av
import made_media
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from made_media import clicks, heard_clicks, write_sound

from talking_head.lp_core.media.audio import Audio, AudioFile, load_audio
from talking_head.lp_core.media.mixdown import Mixdown

RATE = 48_000
JUNK = bytes(range(256)) * 12
CODECS = [
    ("mp3", "libmp3lame"), ("aac", "aac"), ("ogg", "libopus"), ("flac", "flac"), ("ac3", "ac3"), ("ts", "aac"),
    ("webm", "libopus"), ("mka", "flac"),
]  # fmt: skip
PRIMING = 0.05  # seconds that an encoder without a container's help may put in front, and behind


def sound_of(path) -> Audio:
    """The sound, which is the same read at once and in pieces."""
    audio, file = load_audio(path), AudioFile(path)
    assert torch.equal(audio.waveform, file.waveform)
    assert (audio.sample_rate, audio.channels, audio.samples) == (file.sample_rate, file.channels, file.samples)
    return audio


@pytest.mark.parametrize(("ending", "codec"), CODECS)
def test_joined_files_are_one_sound(tmp_path, ending, codec):
    parts = [write_sound(tmp_path / f"{n}.{ending}", clicks(2, [0.5, 1.5]), codec) for n in (1, 2)]
    joined = tmp_path / f"joined.{ending}"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    audio = sound_of(joined)
    assert float(audio.duration) == pytest.approx(4, abs=2 * PRIMING)
    assert heard_clicks(audio.waveform, RATE) == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=PRIMING)


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp3", "libmp3lame"), ("aac", "aac"), ("flac", "flac"), ("mka", "flac")]
)
def test_a_joined_file_keeps_the_rate_and_channels_of_its_first_part(tmp_path, ending, codec):
    first = write_sound(tmp_path / f"1.{ending}", clicks(2, [0.5, 1.5]), codec)
    second = write_sound(tmp_path / f"2.{ending}", clicks(1, [0.25], 44_100, 2), codec, 44_100)
    joined = tmp_path / f"joined.{ending}"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    audio = sound_of(joined)
    assert (audio.sample_rate, audio.channels) == (RATE, 1)
    assert float(audio.duration) == pytest.approx(3, abs=2 * PRIMING)
    assert heard_clicks(audio.waveform, RATE) == pytest.approx([0.5, 1.5, 2.25], abs=PRIMING)


@pytest.mark.parametrize(("ending", "codec"), CODECS)
def test_junk_at_the_end_is_stepped_over(tmp_path, ending, codec, caplog):
    path = write_sound(tmp_path / f"sound.{ending}", clicks(2, [0.5, 1.5]), codec)
    path.write_bytes(path.read_bytes() + JUNK)
    with caplog.at_level(logging.WARNING):
        audio = load_audio(path)
    assert float(audio.duration) == pytest.approx(2, abs=2 * PRIMING)
    assert heard_clicks(audio.waveform, RATE) == pytest.approx([0.5, 1.5], abs=PRIMING)
    assert len(caplog.records) <= 1


def test_damage_is_told_in_one_line_that_says_how_much_and_where(tmp_path, caplog):
    path = write_sound(tmp_path / "sound.mp3", clicks(2, [0.5, 1.5]), "libmp3lame")
    path.write_bytes(path.read_bytes() + JUNK)
    with caplog.at_level(logging.WARNING):
        load_audio(path)
    assert [record.getMessage() for record in caplog.records] == [
        f"1 damaged packet in the sound of {path} stepped over, the first at 2.04 s."
    ]


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("mp3", "libmp3lame"), ("aac", "aac"), ("ogg", "libopus"), ("flac", "flac"), ("ts", "aac"), ("ac3", "ac3")],
)
def test_junk_in_front_is_stepped_over(tmp_path, ending, codec):
    path = write_sound(tmp_path / f"sound.{ending}", clicks(2, [0.5, 1.5]), codec)
    path.write_bytes(b"junk" * 500 + path.read_bytes())
    assert heard_clicks(sound_of(path).waveform, RATE) == pytest.approx([0.5, 1.5], abs=PRIMING)


@pytest.mark.parametrize(("ending", "codec"), [*CODECS, ("wav", "pcm_s16le"), ("aiff", "pcm_s16be")])
def test_a_file_cut_off_is_heard_up_to_there(tmp_path, ending, codec):
    noise = 0.2 * np.random.default_rng(0).standard_normal((1, 2 * RATE)).astype(np.float32)
    path = write_sound(tmp_path / f"sound.{ending}", noise, codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    assert 0.8 < float(sound_of(path).duration) < 1.5


def test_a_cut_off_m4a_with_its_index_in_front_is_heard_up_to_there(tmp_path):
    noise = 0.2 * np.random.default_rng(0).standard_normal((1, 2 * RATE)).astype(np.float32)
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        track = container.add_stream("aac", rate=RATE, layout="mono")
        for packet in made_media._encoded_sound(track, noise, 0, RATE, ()):
            container.mux(packet)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    assert 0.8 < float(sound_of(path).duration) < 1.5


def test_a_silent_first_track_is_passed_over(tmp_path):
    path = tmp_path / "two.mka"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("flac", rate=RATE, layout="mono") for _ in range(2)]
        for track, sound in zip(tracks, (np.zeros((1, RATE), np.float32), clicks(1, [0.5])), strict=True):
            for packet in made_media._encoded_sound(track, sound, 0, RATE, ()):
                container.mux(packet)
    assert heard_clicks(load_audio(path).waveform, RATE) == [0.5]


def test_tags_in_any_encoding_are_taken(tmp_path):
    path = write_sound(tmp_path / "sound.wav", clicks(1, [0.5]), "pcm_s16le")
    title = b"INAM\x06\x00\x00\x00\xff\xfe\xe9a\xe8\x00"
    chunk = b"LIST" + (len(title) + 4).to_bytes(4, "little") + b"INFO" + title
    content = path.read_bytes() + chunk
    path.write_bytes(content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:])
    assert load_audio(path).samples == RATE


def noise(channels: int, samples: int = RATE) -> torch.Tensor:
    return 0.2 * torch.randn(channels, samples)


def test_opposite_channels_are_mixed_to_the_loudest():
    one = noise(1)
    for both in (torch.cat([one, -one]), torch.cat([0.3 * one, -0.3 * one, one, -one])):
        mixed = Mixdown(RATE).mixed(both)[0, RATE // 25 :]
        loudest = both[both.square().sum(1).argmax(), RATE // 25 :]
        assert torch.corrcoef(torch.stack([mixed, loudest]))[0, 1] > 0.99
        assert mixed.square().mean() == pytest.approx(float(loudest.square().mean()), rel=0.01)


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_other_channels_are_mixed_to_their_mean(channels):
    alone = noise(channels) * torch.tensor([1.0, *[0.0] * (channels - 1)])[:, None]
    for sound in (noise(channels), noise(1).repeat(channels, 1), alone):
        assert torch.equal(Mixdown(RATE).mixed(sound), sound.mean(0, keepdim=True))


def test_channels_that_turn_over_on_the_way_stay_heard():
    one = noise(1, 4 * RATE)
    turned = torch.cat([one, torch.cat([one[:, : 2 * RATE], -one[:, 2 * RATE :]], 1)])
    assert float(Mixdown(RATE).mixed(turned)[0, 4 * RATE - RATE // 2 :].square().mean()) > 0.03


@examples(max_examples=20)
@given(
    cuts=st.lists(st.integers(0, 4000), max_size=6),
    sign=st.sampled_from([-1, 1]),
    rate=st.sampled_from([8000, 16_000]),
)
def test_however_sound_is_cut_it_is_mixed_the_same(cuts, sign, rate):
    one = noise(1, 4000)
    both = torch.cat([one, sign * 0.9 * one])
    bounds = [0, *sorted(cuts), 4000]
    mixdown = Mixdown(rate)
    pieces = [mixdown.mixed(both[:, start:stop]) for start, stop in pairwise(bounds)]
    assert torch.allclose(torch.cat(pieces, 1), Mixdown(rate).mixed(both), atol=1e-6)
