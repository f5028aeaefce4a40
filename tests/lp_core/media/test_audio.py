"""Sound as it is loaded (lp_core.media.audio) and analysed (diffpose.speech.analysis)."""

import wave
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.speech.analysis import BLOCK, HOP, SAMPLE_RATE, analyse, analyse_pieces, power_spectra
from talking_head.lp_core.media.audio import ArrivingAudio, Audio, AudioFile, load_audio, resampled_pieces


def tone(frequency: float, seconds: float, rate: int = SAMPLE_RATE, amplitude: float = 0.3) -> torch.Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return (amplitude * torch.sin(2 * torch.pi * frequency * time)).float()


def syllables(seconds: float, amplitude: float = 0.3) -> torch.Tensor:
    """Bursts of a buzzing vowel with pauses: 0.4 s on, 0.6 s off, beginning with silence."""
    time = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(tone(130 * harmonic, seconds, amplitude=1 / harmonic) for harmonic in range(1, 20))
    return amplitude * buzz / buzz.abs().max() * ((time % 1) > 0.6)


class TestAudio:
    @pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
    def test_resampling_keeps_duration_and_pitch(self, rate):
        mono = Audio(tone(440, 1.0, rate)[None], rate).mono(SAMPLE_RATE)
        assert abs(len(mono) - SAMPLE_RATE) <= 1
        spectrum = torch.fft.rfft(mono[:SAMPLE_RATE]).abs()
        assert abs(int(spectrum.argmax()) - 440) <= 1

    def test_mono_is_the_mean_of_the_channels(self):
        waveform = torch.randn(6, 1000) * 0.1
        torch.testing.assert_close(Audio(waveform, SAMPLE_RATE).mono(SAMPLE_RATE), waveform.mean(0))

    def test_mono_does_not_share_memory(self):
        audio = Audio(torch.zeros(1, 100), SAMPLE_RATE)
        audio.mono(SAMPLE_RATE).add_(1)
        assert not audio.waveform.any()

    def test_duration_is_exact(self):
        assert Audio(torch.zeros(1, 44_101), 44_100).duration == Fraction(44_101, 44_100)

    @pytest.mark.parametrize(
        ("waveform", "rate", "message"),
        [
            (torch.zeros(100), 16_000, "channels, samples"),
            (torch.zeros(9, 100), 16_000, "1 … 8 channels"),
            (torch.zeros(1, 0), 16_000, "empty"),
            (torch.zeros(1, 100), 100, "sample rate is 100"),
            (torch.full((1, 100), torch.nan), 16_000, "NaN"),
        ],
    )
    def test_bad_sound_is_refused(self, waveform, rate, message):
        with pytest.raises(ValueError, match=message):
            Audio(waveform, rate)

    def test_loading_gives_the_file_s_own_rate_and_samples(self, tmp_path):
        samples = (np.random.default_rng(0).uniform(-0.9, 0.9, (500, 2)) * 32767).astype("<i2")
        path = tmp_path / "sound.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(11_025)
            file.writeframes(samples.tobytes())
        audio = load_audio(path)
        assert audio.sample_rate == 11_025
        np.testing.assert_allclose(audio.waveform.numpy().T, samples / 32768, atol=1e-6)

    def test_a_missing_file_and_a_text_file_are_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nothing\.wav"):
            load_audio(tmp_path / "nothing.wav")
        text = tmp_path / "text.wav"
        text.write_text("not a sound")
        with pytest.raises(ValueError, match=r"text\.wav"):
            load_audio(text)


class TestAnalysis:
    def test_an_offset_leaves_no_trace(self):
        sound = syllables(1).numpy()
        plain, moved = (
            np.concatenate(list(power_spectra([samples]))) for samples in (sound, sound + np.float32(0.5))
        )
        np.testing.assert_allclose(moved, plain, atol=1e-7)

    def test_full_scale_sine_peaks_at_one(self):
        power = np.concatenate(list(power_spectra([tone(1000, 1.0, amplitude=1.0).numpy()])))
        assert power[50].max() == pytest.approx(1.0, abs=1e-3)
        assert power[50].argmax() == 1000 * 512 // SAMPLE_RATE

    def test_spectra_in_blocks_are_librosa_s(self):
        import librosa

        samples = torch.randn(70 * SAMPLE_RATE).numpy()
        blocks = list(power_spectra(np.split(samples, [1, 300, 40 * SAMPLE_RATE])))
        assert max(len(block) for block in blocks) <= BLOCK
        assert sum(len(block) for block in blocks) == 7001
        theirs = librosa.stft(
            samples[: 65 * SAMPLE_RATE], n_fft=512, hop_length=HOP, win_length=400, center=True, pad_mode="edge"
        )
        theirs = np.abs(theirs[:, :6300]) ** 2 * (2 / 200) ** 2
        above = slice(16, None)  # 500 Hz, beyond what a window's offset reaches
        np.testing.assert_allclose(np.concatenate(blocks)[1:6300, above], theirs.T[1:, above], atol=1e-4)

    @pytest.mark.parametrize("samples", [1, 159, 160, 480, 16_000])
    def test_one_moment_per_hop(self, samples):
        speech = analyse(torch.randn(samples) * 0.1)
        assert len(speech) == samples // HOP + 1
        assert speech.mels.shape == (len(speech), 32)

    def test_activity_follows_the_syllables(self):
        speech = analyse(syllables(4) + 1e-4 * torch.randn(4 * SAMPLE_RATE))
        phase = speech.times % 1
        assert (speech.activity[(phase > 0.7) & (phase < 0.95)] > 0.9).all()
        assert (speech.activity[(phase > 0.2) & (phase < 0.45)] < 0.05).all()

    @pytest.mark.parametrize("gain", [0.003, 0.1, 1.0, 3.0])
    def test_loudness_of_the_recording_does_not_matter(self, gain):
        sound = syllables(3) + 1e-3 * torch.randn(3 * SAMPLE_RATE)
        plain, other = analyse(sound), analyse(gain * sound)
        np.testing.assert_allclose(other.activity, plain.activity, atol=0.15)
        active = plain.activity > 0.9
        np.testing.assert_allclose(other.loudness[active], plain.loudness[active], atol=0.02)

    @pytest.mark.parametrize(
        "sound",
        [
            torch.zeros(48_000),
            1e-5 * torch.randn(48_000),
            0.1 * torch.randn(48_000, generator=torch.Generator().manual_seed(0)),
            tone(50, 3) + tone(150, 3, amplitude=0.1) + tone(250, 3, amplitude=0.1),
            torch.full((48_000,), 0.5),
        ],
        ids=["digital silence", "dither", "noise", "hum", "offset"],
    )
    def test_what_is_not_speech_is_silence(self, sound):
        assert not analyse(sound).activity.any()

    def test_hiss_is_frication_and_a_buzz_is_not(self):
        hiss = torch.randn(SAMPLE_RATE)
        hiss = 0.1 * (hiss - torch.nn.functional.avg_pool1d(hiss[None], 5, 1, 2)[0])
        hiss[:4000] *= 1e-3
        assert analyse(hiss).frication[40:80].mean() > 0.5
        assert analyse(syllables(2)).frication.mean() < 0.02

    def test_a_long_pause_does_not_turn_breath_into_speech(self):
        breath = 0.0007 * torch.randn(20 * SAMPLE_RATE) * (1 + torch.sin(torch.arange(20 * SAMPLE_RATE) / 4000))
        speech = analyse(torch.cat([syllables(4), breath]))
        assert speech.activity[500:].max() < 0.05

    def test_the_past_is_settled_two_seconds_later(self):
        """So that a stream can exist: what comes more than the look-ahead later changes nothing."""
        sound = syllables(9) + 1e-3 * torch.randn(9 * SAMPLE_RATE)
        whole, part = analyse(sound), analyse(sound[: 6 * SAMPLE_RATE])
        np.testing.assert_allclose(part.mels[:300], whole.mels[:300], atol=1e-5)
        np.testing.assert_allclose(part.activity[:300], whole.activity[:300], atol=1e-5)

    @settings(deadline=None, max_examples=40)
    @given(length=st.integers(1, 3000), amplitude=st.floats(0, 100), seed=st.integers(0, 99))
    def test_everything_is_finite_and_in_range(self, length, amplitude, seed):
        noise = torch.randn(length, generator=torch.Generator().manual_seed(seed))
        speech = analyse(amplitude * noise)
        for curve in (speech.loudness, speech.brightness, speech.frication, speech.activity):
            assert ((curve >= 0) & (curve <= 1)).all()
        assert np.isfinite(speech.level).all()
        assert (np.abs(speech.mels) <= 3.5).all()


@given(st.lists(st.integers(0, 40), max_size=8), st.lists(st.integers(0, 200), min_size=1, max_size=8))
def test_sound_that_arrives_is_taken_whole_and_in_order(sizes, ends):
    whole = torch.rand(2, sum(sizes))
    arriving, taken = ArrivingAudio(16_000, 2), []
    for piece in whole.split(sizes, 1):
        arriving.push(piece)
        taken.append(arriving.take(ends[len(taken) % len(ends)]))
    assert sum(piece.shape[1] for piece in taken) <= max([0, *ends])
    taken.append(arriving.take(whole.shape[1]))
    assert torch.equal(torch.cat(taken, 1), whole)


def test_sound_that_arrives_is_checked():
    with pytest.raises(ValueError, match="sample rate is 1"):
        ArrivingAudio(1)
    for bad in (torch.zeros(8), torch.zeros(2, 8), torch.tensor([[torch.nan]])):
        with pytest.raises(ValueError, match=r"Expected finite sound of shape \(1, samples\)"):
            ArrivingAudio(16_000).push(bad)


class TestSoundFiles:
    """A sound that stays in its file is the same sound."""

    @pytest.fixture(params=[(22_050, 1), (44_100, 2), (16_000, 1)])
    def path(self, request, tmp_path):
        rate, channels = request.param
        samples = (torch.randn(25 * rate + 7, channels) * 3000).to(torch.int16)
        with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.numpy().tobytes())
        return tmp_path / "sound.wav"

    def test_a_file_is_what_is_loaded_from_it(self, path):
        file, whole = AudioFile(path), load_audio(path)
        assert (file.samples, file.channels, file.sample_rate) == (whole.samples, whole.channels, whole.sample_rate)
        assert file.duration == whole.duration
        assert torch.equal(file.waveform, whole.waveform)
        assert torch.equal(torch.cat(list(file.pieces()), 1), whole.waveform)
        assert max(piece.shape[1] for piece in file.pieces()) < 12 * file.sample_rate
        for rate in (16_000, 8_000):
            assert torch.equal(file.mono(rate), whole.mono(rate))
            assert torch.equal(torch.cat(list(file.mono_pieces(rate))), whole.mono(rate))

    def test_another_rate_is_librosa_s(self, path):
        import librosa

        whole = load_audio(path)
        for rate in (16_000, 44_100, 11_025):
            theirs = librosa.resample(whole.waveform.numpy(), orig_sr=whole.sample_rate, target_sr=rate)
            ours = torch.cat(list(resampled_pieces(whole.pieces(), whole.sample_rate, rate)), 1)
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)

    def test_its_motion_is_that_of_the_whole_sound(self, path):
        made = [ProceduralGenerator().generate(sound, 25, seed=3) for sound in (AudioFile(path), load_audio(path))]
        torch.testing.assert_close(made[0].expression, made[1].expression)
        assert len(made[0]) == len(made[1]) == -(-load_audio(path).duration * 25 // 1)

    def test_what_is_no_sound_is_said(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no sound file"):
            AudioFile(tmp_path / "nothing.wav")
        (tmp_path / "text.wav").write_text("not a sound")
        with pytest.raises(ValueError, match="Is it a sound file"):
            AudioFile(tmp_path / "text.wav")


@settings(max_examples=20)
@given(st.lists(st.integers(0, 70), max_size=6), st.integers(1, 40_000))
def test_analysis_in_pieces_is_that_of_the_whole(cuts, samples):
    sound = torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1
    places = sorted(cut * samples // 70 for cut in cuts)
    whole, parts = analyse(sound), analyse_pieces(torch.tensor_split(sound, places))
    np.testing.assert_allclose(parts.mels, whole.mels, atol=1e-3)
    np.testing.assert_allclose(parts.level, whole.level, atol=1e-2)
    assert len(parts) == len(whole) == samples // HOP + 1
