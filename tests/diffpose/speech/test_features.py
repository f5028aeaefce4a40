import logging

import pytest
import torch
import torch.nn.functional as F
from diffpose_goldens import golden, published, weight
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from talking_head.diffpose.speech import encoder as features
from talking_head.diffpose.speech.encoder import (
    SAMPLES_PER_FRAME,
    hearing_dtype,
    levelled,
    levelled_window,
    pad_to_units,
    pair_mean,
    speech_encoder,
    stretched,
)
from talking_head.lp_core.compute.compute import Compute

ONE_CALL = 2e-5


@pytest.fixture(scope="module")
def encoder():
    return speech_encoder(tiny_tensors(), heads=4)


def tiny_tensors():
    return {key.removeprefix("audio_encoder."): value for key, value in published("encoder").items()}


@pytest.mark.parametrize("name", ["hubert", "wav2vec2"])
def test_encoder_goldens(name):
    encoder, sound = speech_encoder(tiny_tensors(), name, heads=4), golden("basic", f"audio.{name}.wav")
    convolved = encoder.network.feature_extractor(pad_to_units(sound))
    torch.testing.assert_close(
        convolved[..., ::5], golden("basic", f"audio.{name}.conv_features"), atol=ONE_CALL, rtol=0
    )
    hidden = golden("basic", f"audio.{name}.last_hidden_50fps")
    torch.testing.assert_close(encoder.units(sound), hidden, atol=ONE_CALL, rtol=0)
    frames = encoder.frames(sound)
    mapped = F.linear(frames, weight("audio_feature_map.weight", (64, 48)), weight("audio_feature_map.bias", (64,)))
    torch.testing.assert_close(mapped, golden("basic", f"audio.{name}.mapped_25fps"), atol=ONE_CALL, rtol=0)


@pytest.mark.parametrize("samples", [640, 719, 720, 721, 1000])
def test_padding_goldens(samples):
    padded = pad_to_units(golden("basic", f"pad.{samples}.x", 1, samples))
    expected = golden("basic", f"pad.{samples}.y", *padded.shape)
    torch.testing.assert_close(padded, expected, atol=1e-6, rtol=0)


def test_padding_goldens_of_a_window():
    padded = pad_to_units(golden("basic", "pad.64000.x", 1, 64_000))
    assert padded.shape[1] == int(golden("basic", "pad.64000.len"))
    torch.testing.assert_close(padded[:, :100], golden("basic", "pad.64000.head"), atol=1e-6, rtol=0)
    torch.testing.assert_close(padded[:, -100:], golden("basic", "pad.64000.tail"), atol=1e-6, rtol=0)


@given(samples=st.integers(400, 5000))
@settings(max_examples=60, deadline=None)
def test_padding_gives_one_unit_per_320_samples(samples):
    """The convolutions give floor((n - 400) / 320) + 1 frames."""
    padded = pad_to_units(torch.zeros(1, samples)).shape[-1]
    assert (padded - 400) // 320 + 1 == samples // 320


def test_padding_keeps_the_sound_in_the_middle():
    sound = torch.randn(1, 6400)
    assert torch.equal(pad_to_units(sound)[:, 40:-40], sound)


@pytest.mark.parametrize("case", ["even", "ten"])
def test_interpolation_goldens(case):
    x = golden("basic", f"interp.{case}.x", 2, 200 if case == "even" else 20, 6)
    halved, ends = golden("basic", f"interp.{case}.y_align_false"), golden("basic", f"interp.{case}.y_align_true")
    torch.testing.assert_close(pair_mean(x), halved, atol=1e-6, rtol=0)
    torch.testing.assert_close(stretched(x, ends.shape[1]), ends, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("case", "frames"), [("odd", 199), ("short", 7)])
def test_interpolation_goldens_of_odd_lengths(case, frames):
    """hazard-10's way; the mean of pairs is for even lengths alone."""
    ends = golden("basic", f"interp.{case}.y_align_true")
    made = stretched(golden("basic", f"interp.{case}.x", 2, frames, 6), ends.shape[1])
    torch.testing.assert_close(made, ends, atol=1e-6, rtol=0)


def test_levels_agree_with_their_definitions():
    sound = 0.2 * torch.randn(2, 6400) + 0.1
    torch.testing.assert_close(levelled(sound).std(-1), torch.ones(2), atol=1e-3, rtol=0)
    torch.testing.assert_close(levelled_window(sound).mean(-1), torch.zeros(2), atol=1e-5, rtol=0)


def test_processor_of_transformers_levels_the_same():
    from transformers import Wav2Vec2FeatureExtractor

    sound = 0.2 * torch.randn(1, 3000) + 0.1
    theirs = Wav2Vec2FeatureExtractor()(sound[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    torch.testing.assert_close(levelled_window(sound), theirs["input_values"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("samples", [640, 1279, 1280, 10_000])
def test_one_feature_per_whole_video_frame(encoder, samples):
    assert encoder.frames(torch.randn(1, samples)).shape == (1, samples // SAMPLES_PER_FRAME, 48)


def test_less_than_a_frame_of_sound_is_refused(encoder):
    with pytest.raises(ValueError, match="has 639 samples; speech features need at least 640"):
        encoder.frames(torch.zeros(1, 639))
    with pytest.raises(ValueError, match="has 10 samples"):
        pad_to_units(torch.zeros(1, 10))


def test_fused_attention_is_used(encoder):
    assert encoder.network.config._attn_implementation == "sdpa"


def test_long_sounds_are_heard_in_pieces_of_bounded_length(encoder, monkeypatch):
    monkeypatch.setattr(features, "WHOLE_SECONDS", 2)
    monkeypatch.setattr(features, "CHUNK_FRAMES", 20)
    monkeypatch.setattr(features, "CONTEXT_FRAMES", 10)
    sound = 0.1 * torch.randn(1, 71 * SAMPLES_PER_FRAME + 3)
    heard = []
    whole = encoder.units
    monkeypatch.setattr(encoder, "units", lambda piece: heard.append(piece.shape[-1]) or whole(piece))
    pieces = encoder.utterance(sound)
    assert pieces.shape == (1, 71, 48)
    assert max(heard) <= 40 * SAMPLES_PER_FRAME
    assert len(heard) == 4
    start = encoder.frames(sound[:, : 30 * SAMPLES_PER_FRAME])[:, :20]
    torch.testing.assert_close(pieces[:, :20], start)


def test_short_sounds_are_heard_whole(encoder):
    sound = torch.randn(1, 6400)
    assert torch.equal(encoder.utterance(sound), encoder.frames(sound))


def test_stock_files_with_prefix_and_either_spelling_of_weight_norm_are_read(encoder):
    stock = {f"hubert.{key}": value for key, value in tiny_tensors().items()} | {"lm_head.weight": torch.zeros(2)}
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        stock = {key.replace(new, old): value for key, value in stock.items()}
    del stock["hubert.masked_spec_embed"]
    sound = torch.randn(1, 3200)
    assert torch.equal(speech_encoder(stock, heads=4).frames(sound), encoder.frames(sound))


def test_large_encoders_are_told_by_their_norms():
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(
        hidden_size=128, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, feat_extract_norm="layer", conv_bias=True,
        do_stable_layer_norm=True,
    )  # fmt: skip
    large = HubertModel(config).eval()
    sound = 0.1 * torch.randn(1, 3200)
    expected = pair_mean(large(pad_to_units(sound)).last_hidden_state.detach())
    torch.testing.assert_close(speech_encoder(large.state_dict()).frames(sound), expected)


def test_other_tensors_are_refused():
    with pytest.raises(ValueError, match=r"These 1 tensors \(a.weight …\) are no HuBERT or wav2vec2"):
        speech_encoder({"a.weight": torch.zeros(2)})
    short = tiny_tensors()
    del short["encoder.layer_norm.bias"]
    with pytest.raises(ValueError, match="lacks"):
        speech_encoder(short, heads=4)


@pytest.mark.usefixtures("any_cpu_has_bfloat16")
@pytest.mark.parametrize("name", ["hubert", "wav2vec2"])
def test_half_precision_hears_nearly_the_same_and_gives_float32(name):
    """Three percent of the whole, as the goldens' notes allow for bfloat16."""
    sound = golden("basic", f"audio.{name}.wav")
    encoder = speech_encoder(tiny_tensors(), name, heads=4, compute=Compute("cpu", "bf16"))
    assert {parameter.dtype for parameter in encoder.network.parameters()} == {torch.bfloat16}
    heard, expected = encoder.units(sound), golden("basic", f"audio.{name}.last_hidden_50fps")
    assert heard.dtype == torch.float32
    assert (heard - expected).norm() < 0.03 * expected.norm()
    assert (heard - expected).abs().max() > 1e-4


@pytest.mark.usefixtures("any_cpu_has_bfloat16")
def test_layers_that_are_wrong_in_half_precision_are_computed_in_single(monkeypatch, caplog):
    right = nn.Conv1d.forward

    def wrong_in_groups(layer, features):
        given = right(layer, features)
        return -given if layer.groups > 1 and given.dtype == torch.bfloat16 else given

    monkeypatch.setattr(nn.Conv1d, "forward", wrong_in_groups)
    with caplog.at_level(logging.WARNING):
        encoder = speech_encoder(tiny_tensors(), heads=4, compute=Compute("cpu", "bf16"))
    assert [record.getMessage() for record in caplog.records] == [
        "This CPU computes parts of the speech encoder wrongly in half precision; "
        "encoder.pos_conv_embed.conv: in single precision."
    ]
    heard = encoder.units(golden("basic", "audio.hubert.wav"))
    expected = golden("basic", "audio.hubert.last_hidden_50fps")
    assert (heard - expected).norm() < 0.03 * expected.norm()


def test_a_cpu_hears_in_single_precision_unless_it_is_asked():
    cpu = torch.device("cpu")
    assert hearing_dtype("auto", cpu) == hearing_dtype("fp32", cpu) == torch.float32
    assert hearing_dtype("auto", torch.device("cuda")) == torch.float16
    assert hearing_dtype("bf16", torch.device("cuda")) == torch.bfloat16
    with pytest.raises(ValueError, match="A CPU is slower in fp16"):
        speech_encoder(tiny_tensors(), heads=4, compute=Compute("cpu", "fp16"))
    with pytest.raises(ValueError, match="no precision 'int8'"):
        hearing_dtype("int8", cpu)
