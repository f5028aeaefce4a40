import librosa
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from talker_goldens import assert_near, filled, golden, tensors_of, waveform, weight

from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.mapping import MappingNetwork, lips_at, window_index
from talking_head.diffpose.talker.spectrum import (
    BANDS,
    SILENCE,
    MelStream,
    mel_filters,
    mel_spectrum,
    mel_windows,
    whole_frames,
    window_start,
)

FRAMES = 55


@pytest.fixture(scope="module")
def expression():
    return filled(ExpressionNetwork, "audio2exp")


@pytest.fixture(scope="module")
def mapping():
    return filled(MappingNetwork, "mappingnet")


@pytest.fixture(scope="module")
def windows():
    return mel_windows(mel_spectrum(whole_frames(waveform(35697), FRAMES)), range(FRAMES))


def test_the_recipe_of_the_weights_still_gives_the_same_numbers():
    first = weight("audio2exp.mapping1.weight", (64, 577))
    torch.testing.assert_close(first[0, :3], torch.tensor([0.03467037156, 0.02072040923, -0.04062714055]))
    assert first.abs().double().sum().item() == pytest.approx(1227.8566, abs=1e-3)


def test_mel_filters_equal_the_original_and_librosa():
    ours = mel_filters(80, 800, 55.0, 7600.0)
    assert_near(ours[::8], golden("lpt_mel")["mel_basis"], 1e-6)
    theirs = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=55, fmax=7600, htk=False, norm="slaney")
    assert_near(ours, torch.from_numpy(theirs), 1e-6)


def test_mel_spectrum_equals_the_original():
    stored = golden("lpt_mel")
    spectrum = mel_spectrum(whole_frames(waveform(35697), FRAMES))
    assert_near(spectrum, stored["mel_full"], 2e-4)
    assert [window_start(frame) for frame in range(FRAMES)] == stored["window_start"].tolist()


def test_mel_windows_equal_the_original(windows):
    assert windows.shape == (FRAMES, BANDS, 16)
    assert_near(windows[[0, 1, 30, 54]], golden("lpt_mel")["indiv_mels_0_1_30_54"], 2e-4)


def test_windows_start_where_the_original_formula_cuts():
    assert [window_start(i) for i in range(4000)] == [int(80 * ((i - 2) / 25)) for i in range(4000)]


def test_the_ends_are_padded_with_zeros_not_reflected():
    """Pitfall 3: librosa up to 0.8 reflected, which differs in the first column already."""
    sound = waveform(6400)
    emphasised = np.append(sound[0], sound[1:] - 0.97 * sound[:-1])
    reflected = np.abs(librosa.stft(emphasised, n_fft=800, hop_length=200, pad_mode="reflect"))
    decibels = 20 * np.log10(np.maximum(1e-5, mel_filters(80, 800, 55.0, 7600.0).numpy() @ reflected)) - 20
    other = np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T
    difference = np.abs(mel_spectrum(sound).numpy() - other).max(1)
    assert difference[0] > 0.05
    assert difference[3:-3].max() < 2e-4


def test_digital_silence_is_the_lowest_value():
    assert (mel_spectrum(torch.zeros(6400)) == SILENCE).all()


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=8))
def test_chunked_spectrum_equals_the_whole(lengths):
    sound = waveform(sum(lengths) + 1)
    stream, parts, start = MelStream(), [], 0
    for length in [*lengths, 1]:
        parts.append(stream.push(sound[start : start + length]))
        start += length
    assert_near(torch.cat([*parts, stream.finish()]), mel_spectrum(sound), 2e-6)


def test_expression_coefficients_equal_the_original(expression, windows):
    stored = golden("lpt_audio2exp")
    person = stored["source_coeff"][:64]
    assert_near(expression.audio_encoder(windows[::11]), stored["audio_embedding_5"], 1e-4)
    assert_near(expression(windows, person), stored["exp_zero_ratio"], 1e-4)
    assert_near(expression(windows, person, stored["ratio"]), stored["exp_with_ratio"], 1e-4)


def test_folding_changes_nothing(expression, windows):
    plain = filled(ExpressionNetwork, "audio2exp", folded=False)
    assert_near(expression.audio_encoder(windows[:3]), plain.audio_encoder(windows[:3]), 1e-4)


def test_windows_of_coefficients_equal_the_original(mapping):
    stored = golden("lpt_mapping")
    assert torch.equal(window_index(5, 28), stored["window28_index_for_T5"])
    assert_near(
        lips_at(mapping, stored["coeffs"], range(len(stored["coeffs"])), 28), stored["lips_28"].view(-1, 6, 3), 1e-4
    )
    assert_near(
        lips_at(mapping, stored["coeffs"], range(len(stored["coeffs"])), 29), stored["lips_29"].view(-1, 6, 3), 1e-4
    )


def test_the_two_window_lengths_are_not_the_same(mapping):
    """Pitfall 1: the original runs 28 frames of a network trained on 29."""
    coefficients = golden("lpt_mapping")["coeffs"]
    every = range(len(coefficients))
    assert (lips_at(mapping, coefficients, every, 28) - lips_at(mapping, coefficients, every, 29)).abs().max() > 0.1


def test_sound_to_lips_equals_the_original(expression, mapping, windows):
    coefficients = expression(windows, golden("lpt_audio2exp")["source_coeff"][:64])
    lips = lips_at(mapping, coefficients, range(len(coefficients)))
    assert_near(lips, golden("lpt_mapping")["e2e_lips"].view(-1, 6, 3), 1e-4)


def test_shared_convolutions_equal_separate_windows(mapping):
    coefficients = golden("lpt_mapping")["coeffs"]
    windows = coefficients[window_index(len(coefficients), 28)].mT
    assert_near(mapping(windows, 28)[:, 0], lips_at(mapping, coefficients, range(len(coefficients))), 1e-5)


def test_three_training_steps_equal_the_original():
    stored = golden("lpt_train_step")
    with torch.device("meta"):
        network = MappingNetwork()
    network.load_state_dict(tensors_of(network, "mappingnet"), assign=True)
    wanted = stored["motion_exp"].view(4, 21, 3)[:, [6, 12, 14, 17, 19, 20]]
    optimiser, losses = torch.optim.Adam(network.parameters(), 2e-4), []
    for step in range(3):
        optimiser.zero_grad()
        loss = (network(stored["threedmm"], 29)[:, 0] - wanted).abs().mean()
        loss.backward()
        if step == 0:
            for name, parameter in network.named_parameters():
                assert parameter.grad.norm().item() == pytest.approx(stored[f"grad_norm.{name}"].item(), rel=1e-4)
            assert_near(network.fc_exp.bias.grad, stored["grad.fc_exp.bias"], 1e-6)
        optimiser.step()
        losses.append(loss.detach())
    assert_near(torch.stack(losses), stored["losses"], 1e-4)
    assert_near(network.fc_exp.bias.detach(), stored["after3.fc_exp.bias"], 1e-5)
    assert_near(network.first[0].weight[0].detach(), stored["after3.first.0.weight_0"], 1e-5)
