import importlib
import json
import pickle
from argparse import Namespace
from dataclasses import replace
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch
from diffpose_goldens import (
    DIFFLIVEHEAD,
    DIFFPOSETALK,
    JOYVASA,
    denoiser_shapes,
    encoder_shapes,
    lmdm_shapes,
    save_published,
    style_shapes,
    weight,
)
from safetensors.torch import save_file

from talking_head.diffpose.container import read_container
from talking_head.diffpose.convert import convert
from talking_head.diffpose.diffusion.checkpoints import kind_of, load_diffusion, load_style_encoder, save_diffusion
from talking_head.diffpose.diffusion.denoiser import TokenLayout, WindowInput, alignment
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.ditto.checkpoint import load_lmdm
from talking_head.diffpose.speech.encoder import speech_encoder
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError

TINY = {"width": 16, "layers": 2}
main = importlib.import_module("talking_head.apps.cli.main").main


def tables(context, new, token, width, steps=10, time_rows=501):
    """The buffers of a published file, which are computed, not learned."""
    mask = alignment(context + new, width, token)
    buffers = {"denoising_net.TE.pe": torch.zeros(1, time_rows, 16)}
    schedule = Schedule.named("cosine", steps)
    buffers |= {"diffusion_sched.betas": schedule.betas.float(), "diffusion_sched.alpha_bars": schedule.alpha_bars}
    return buffers if mask is None else buffers | {"denoising_net.alignment_mask": ~mask}


def made(shapes, buffers=()):
    return {key: weight(key, shape) for key, shape in shapes.items()} | dict(buffers)


def joyvasa(path, buffers=None, **arguments):
    tensors = made(denoiser_shapes(**(JOYVASA | TINY)), tables(5, 20, False, 1) if buffers is None else buffers)
    tensors |= made(encoder_shapes(hidden=64))
    # The published settings lie about the layers, heads and indicator.
    return save_published(
        path, tensors, n_layers=6, n_heads=4, use_indicator=True, audio_model="hubert_zh", **arguments
    )


def diffposetalk(path, mask_width=1, **changes):
    sizes = DIFFPOSETALK | TINY | changes
    tensors = made(denoiser_shapes(**sizes), tables(4, 12, True, mask_width))
    return save_published(path, tensors, n_heads=4, pad_mode="replicate", align_mask_width=mask_width)


def difflivehead(path, **settings):
    tensors = made(denoiser_shapes(**(DIFFLIVEHEAD | TINY)), tables(10, 65, True, 1))
    torch.save({f"module.{key}": value for key, value in tensors.items()}, path)
    config = {"num_attention_heads": 8, "use_repeat_token": False} | settings
    path.with_name("config.json").write_text(json.dumps(config))
    return path


def style(path, **arguments):
    return save_published(path, made(style_shapes(motion=54, width=16, layers=2)), name="encoder", **arguments)


def ditto(path):
    tensors = made(lmdm_shapes(width=16, hidden=8, layers=2, motion=6, condition=9, frames=5))
    torch.save({"model_state_dict": tensors | {"rotary.freqs": torch.zeros(8)}}, path)
    return path


PUBLISHED = {
    "joyvasa": joyvasa, "diffposetalk": diffposetalk, "difflivehead": difflivehead, "style_encoder": style,
    "ditto": ditto,
}  # fmt: skip


def evaluate(model):
    sizes = model.denoiser.layout
    generator = torch.Generator().manual_seed(2)

    def random(*shape):
        return torch.randn(1, *shape, generator=generator)

    token = {name: random(size) for name, size in sizes.token.sizes().items()}
    inputs = WindowInput(
        random(sizes.new_frames, sizes.width),
        random(sizes.context_frames, sizes.width),
        random(sizes.context_frames, sizes.motion_dims),
        **token,
    )
    return model.denoiser(random(sizes.new_frames, sizes.motion_dims), 3, model.denoiser.window(inputs))


@pytest.mark.parametrize("kind", PUBLISHED)
def test_kinds_are_told_before_and_after_conversion(kind, tmp_path):
    source, target = PUBLISHED[kind](tmp_path / "model.pt"), tmp_path / "converted.safetensors"
    assert kind_of(source) == kind
    convert(source, target)
    assert kind_of(target) == kind


def test_joyvasa_is_sized_by_its_tensors_not_its_settings(tmp_path):
    model = load_diffusion(joyvasa(tmp_path / "model.pt"))
    layout = model.card.layout
    assert (layout.motion_dims, layout.width, layout.layers, layout.heads) == (70, 16, 2, 8)
    assert (layout.new_frames, layout.context_frames, layout.mask_width) == (20, 5, 1)
    assert (layout.indicator, layout.position, layout.time_on) == (False, "legacy", "frames")
    assert model.schedule.steps == 10
    assert (model.card.speech.scope, model.card.speech.level, model.card.speech.heads) == ("window", "as_is", 1)
    assert speech_encoder(model.encoder).frames(torch.randn(1, 1280)).shape == (1, 2, 64)


def test_joyvasa_without_its_tables_is_sized_by_its_settings(tmp_path):
    path = joyvasa(tmp_path / "m.pt", buffers={}, n_motions=30, n_diff_steps=40, diff_schedule="linear")
    model = load_diffusion(path)
    assert model.card.layout.new_frames == 30
    assert model.card.layout.mask_width == 1
    torch.testing.assert_close(model.schedule.betas, Schedule.named("linear", 40).betas)


@pytest.mark.parametrize("mask_width", [0, 1, 3])
def test_diffposetalk_is_told(mask_width, tmp_path):
    card = load_diffusion(diffposetalk(tmp_path / "model.pt", mask_width)).card
    layout = card.layout
    assert layout.token == TokenLayout(shape=100, style=128)
    assert (layout.indicator, layout.position, layout.time_on, layout.heads) == (True, "learnable", "token", 4)
    assert (layout.new_frames, layout.context_frames, layout.mask_width) == (12, 4, mask_width)
    assert (card.speech.scope, card.speech.level, card.speech.padding) == ("utterance", "utterance", "replicate")


def test_diffposetalk_without_style_has_a_shape_alone(tmp_path):
    path = diffposetalk(tmp_path / "model.pt", style=0, token=(("person_proj", 100),))
    assert load_diffusion(path).card.layout.token == TokenLayout(shape=100)


def test_old_settings_without_a_mask_width_mean_no_mask(tmp_path):
    tensors = made(denoiser_shapes(**(DIFFPOSETALK | TINY)))
    path = save_published(tmp_path / "model.pt", tensors, n_heads=4)
    assert load_diffusion(path).card.layout.mask_width == 0
    path = save_published(tmp_path / "masked.pt", tensors, n_heads=4, use_alignment_mask=True)
    assert load_diffusion(path).card.layout.mask_width == 1


def test_hazard_10_is_told(tmp_path):
    model = load_diffusion(difflivehead(tmp_path / "model.pt"))
    layout = model.card.layout
    assert layout.token == TokenLayout(shape=63, mouth_open_ratio=1, mean_expression=25)
    assert (layout.new_frames, layout.context_frames, layout.start_tokens) == (65, 10, False)
    assert not model.encoder
    assert (model.card.speech.encoder, model.card.speech.level) == ("wav2vec2", "window")


def test_hazard_10s_repeat_token_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="repeat token"):
        load_diffusion(difflivehead(tmp_path / "model.pt", use_repeat_token=True))


@pytest.mark.parametrize("kind", ["joyvasa", "diffposetalk", "difflivehead"])
def test_conversion_changes_nothing(kind, tmp_path):
    source, target = PUBLISHED[kind](tmp_path / "model.pt"), tmp_path / "converted.safetensors"
    convert(source, target)
    before, after = load_diffusion(source), load_diffusion(target)
    assert after.card == before.card
    assert torch.equal(after.schedule.betas, before.schedule.betas)
    assert torch.equal(evaluate(after), evaluate(before))
    assert after.encoder.keys() == before.encoder.keys()


def test_conversion_of_the_other_networks_changes_nothing(tmp_path):
    target = tmp_path / "converted.safetensors"
    source = style(tmp_path / "style.pt", n_motions=12)
    convert(source, target)
    motion = torch.randn(30, 54)
    assert torch.equal(load_style_encoder(target).encode(motion), load_style_encoder(source).encode(motion))
    assert load_style_encoder(target).layout.frames == 12
    source = ditto(tmp_path / "ditto.pth")
    convert(source, target)
    assert load_lmdm(target).layout == load_lmdm(source).layout


def test_pe_mode_is_chosen_once_and_kept_in_the_converted_file(tmp_path):
    source, target = joyvasa(tmp_path / "model.pt"), tmp_path / "converted.safetensors"
    legacy = evaluate(load_diffusion(source))
    convert(source, target, "sequential")
    assert load_diffusion(target).card.layout.position == "sequential"
    assert (evaluate(load_diffusion(target)) - legacy).abs().max() > 1e-3
    assert torch.equal(evaluate(load_diffusion(target, "legacy")), legacy)


def test_learned_positions_cannot_be_renumbered(tmp_path):
    with pytest.raises(CheckpointError, match="'sequential' does not fit: this network's positions are learnable"):
        load_diffusion(diffposetalk(tmp_path / "model.pt"), "sequential")
    with pytest.raises(CheckpointError, match="whose pe_mode is fixed"):
        convert(ditto(tmp_path / "ditto.pth"), tmp_path / "out.safetensors", "legacy")


def test_our_own_kind_of_network_round_trips(tmp_path):
    """Another layout than any published one: keypoints, style and mouth on the token, sequential positions."""
    model = load_diffusion(joyvasa(tmp_path / "model.pt"))
    layout = replace(
        model.card.layout,
        time_on="token", position="sequential", indicator=True, mask_width=3, heads=2,
        token=TokenLayout(shape=63, style=128, mouth_open_ratio=1),
    )  # fmt: skip
    network = type(model.denoiser)(layout).eval()
    own = replace(model, card=replace(model.card, layout=layout), denoiser=network)
    save_diffusion(own, tmp_path / "own.safetensors")
    loaded = load_diffusion(tmp_path / "own.safetensors")
    assert loaded.card == own.card
    assert torch.equal(evaluate(loaded), evaluate(own))


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize("inside", ["args", "model"])
def test_nothing_in_a_file_is_run(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = {"args": Namespace(), "model": {}, inside: Evil()}
    torch.save(content, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        read_container(tmp_path / "evil.pt")
    assert not Path("evil-was-here").exists()


@pytest.mark.parametrize("callable_", [eval, exec, pickle.loads, torch.load, PosixPath.unlink])
def test_no_function_is_admitted(callable_, tmp_path):
    torch.save({"model": {"x": callable_}}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="could run code"):
        read_container(tmp_path / "evil.pt")


def test_pickled_paths_become_pure_ones(tmp_path):
    torch.save({"args": Namespace(folder=PosixPath("/a/b")), "model": {"x": torch.ones(1)}}, tmp_path / "m.pt")
    folder = read_container(tmp_path / "m.pt").arguments["folder"]
    assert str(folder) == "/a/b"
    assert not isinstance(folder, Path)


def test_reading_leaves_torchs_allow_list_as_it_was(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    load_diffusion(joyvasa(tmp_path / "model.pt"))
    assert set(torch.serialization.get_safe_globals()) == before


def test_unknown_checkpoints_are_told_what_was_found_and_what_is_supported(tmp_path):
    save_file({"unet.conv.weight": torch.zeros(1)}, tmp_path / "unet.safetensors")
    with pytest.raises(CheckpointError, match=r"holds 1 tensors \(unet.conv.weight …\). Supported are JoyVASA"):
        load_diffusion(tmp_path / "unet.safetensors")


@pytest.mark.parametrize(
    ("load", "kind", "message"),
    [
        (load_diffusion, "ditto", "holds Ditto's motion network; expected JoyVASA's motion generator or"),
        (load_style_encoder, "joyvasa", "holds JoyVASA's motion generator; expected a style encoder"),
        (load_lmdm, "style_encoder", "holds a style encoder; expected Ditto's"),
    ],
)
@pytest.mark.parametrize("converted", [False, True])
def test_a_checkpoint_of_another_kind_is_named(load, kind, message, converted, tmp_path):
    path = PUBLISHED[kind](tmp_path / "model.pt")
    if converted:
        convert(path, tmp_path / "model.safetensors")
        path = tmp_path / "model.safetensors"
    with pytest.raises(CheckpointError, match=message):
        load(path)


def test_a_missing_tensor_is_named(tmp_path):
    tensors = made(denoiser_shapes(**(JOYVASA | TINY)), tables(5, 20, False, 1))
    del tensors["denoising_net.transformer.layers.1.norm2.bias"]
    with pytest.raises(CheckpointError, match=r"(?s)do not fit.*layers.1.norm2.bias"):
        load_diffusion(save_published(tmp_path / "model.pt", tensors))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"not a checkpoint"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files_are_refused(content, suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="model"):
        load_diffusion(path)


def test_a_pickle_of_something_else_is_refused_without_torchs_advice(tmp_path):
    path = tmp_path / "template.pkl"
    path.write_bytes(pickle.dumps({"motion": [{"scale": np.ones(1)}]}, protocol=4))
    with pytest.raises(CheckpointError, match=r"template.pkl") as refused:
        load_diffusion(path)
    assert "weights_only" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"model.pt does not exist"):
        load_diffusion(tmp_path / "model.pt")


def test_settings_beside_a_network_must_be_an_object(tmp_path):
    path = difflivehead(tmp_path / "model.pt")
    for text, message in (("{", "are not JSON"), ("[1]", "must be a JSON object; got a list")):
        path.with_name("config.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            load_diffusion(path)


def test_the_command_converts_and_complains(tmp_path, capsys):
    source, target = joyvasa(tmp_path / "model.pt"), tmp_path / "out.safetensors"
    assert main(["convert", str(source), str(target), "--pe-mode", "sequential"]) == 0
    assert load_diffusion(target).card.layout.position == "sequential"
    assert str(target) in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "none.pt"), str(tmp_path / "other.safetensors")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main(["convert", str(source), str(tmp_path / "out.pt")]) == 1
    assert "is a .safetensors file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "out.safetensors"]


@pytest.mark.parametrize("kind", ["joyvasa", "diffposetalk", "difflivehead", "style_encoder"])
def test_a_converted_file_tells_its_pe_mode(kind, tmp_path):
    target = tmp_path / "converted.safetensors"
    convert(PUBLISHED[kind](tmp_path / "model.pt"), target)
    layout = json.loads(read_container(target).metadata["card"])["layout"]
    assert layout["pe_mode"] == ("learnable" if kind == "diffposetalk" else "legacy")
    assert "position" not in layout
