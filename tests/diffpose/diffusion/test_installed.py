"""The diffusion generator's weights in a models folder: found, missing, damaged, of a wrong kind; and `auto`."""

import logging
from dataclasses import replace

import pytest
import torch
from diffpose_goldens import published, save_published, write_small_diffusion

from talking_head.diffpose.diffusion.generator import DiffusionGenerator
from talking_head.diffpose.diffusion.installed import (
    DIFFUSION,
    MOTION_GENERATOR,
    installed_style,
    installed_style_encoder,
    load_installed,
)
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions
from talking_head.diffpose.generator import choose_generator
from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.steering.style import motion_statistics
from talking_head.lp_core.compute.compute import ON_CPU, Compute
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.once import log_once
from talking_head.lp_core.weights.registry import State, check

install = write_small_diffusion


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    install(folder)
    return folder


@pytest.fixture(autouse=True)
def _afresh():
    log_once.cache_clear()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_files_are_found_where_people_have_them(place, tmp_path):
    install(tmp_path, place)
    assert all(check(entry, [tmp_path]).state is State.PRESENT for entry in DIFFUSION)
    model, _, space = load_installed([tmp_path])
    assert model.card.kind == "joyvasa"
    assert space.dims == model.card.layout.motion_dims == 70


def test_auto_takes_the_diffusion_generator_when_it_is_there_and_says_so_once(installed, caplog):
    with caplog.at_level(logging.INFO):
        chosen = [choose_generator("auto", ON_CPU, [installed]) for _ in range(2)]
    assert all(isinstance(made, DiffusionGenerator) for made in chosen)
    assert [record.message for record in caplog.records] == ["Motion: diffusion; all its weights are there."]


def test_auto_takes_the_procedural_one_otherwise_and_says_why(tmp_path, caplog):
    install(tmp_path, template=False)
    with caplog.at_level(logging.INFO):
        chosen = choose_generator("auto", ON_CPU, [tmp_path])
    assert isinstance(chosen, ProceduralGenerator)
    assert [record.message for record in caplog.records] == [
        "Motion: procedural, since joyvasa/motion_template is missing."
    ]


def test_the_installed_generator_makes_motion_for_the_whole_sound(installed):
    made = choose_generator("diffusion", ON_CPU, [installed], SampleOptions(steps=1))
    motion = made.generate(Audio(0.1 * torch.randn(1, 12_345), 16_000), 30)
    assert len(motion) == -(-12_345 * 30 // 16_000)


def test_missing_weights_are_named_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        choose_generator("diffusion", ON_CPU, [tmp_path])
    message = str(raised.value)
    assert str(tmp_path) in message
    assert "joyvasa/motion_generator is missing; joyvasa/motion_template is missing" in message
    assert "https://huggingface.co/jdh-algo/JoyVASA" in message
    assert "`procedural`, which needs none" in message


def test_a_download_cut_short_counts_as_damaged(tmp_path):
    install(tmp_path)
    path = tmp_path / MOTION_GENERATOR.places[0]
    path.write_bytes(path.read_bytes()[:-1000])
    assert isinstance(choose_generator("auto", ON_CPU, [tmp_path]), ProceduralGenerator)
    with pytest.raises(FileNotFoundError, match="motion_generator is damaged"):
        choose_generator("diffusion", ON_CPU, [tmp_path])


def test_an_unknown_network_in_its_place_is_told_from_the_supported_ones(tmp_path):
    install(tmp_path)
    save_published(
        tmp_path / MOTION_GENERATOR.places[0], {"unet.weight": torch.zeros(2), "unet.bias": torch.zeros(2)}
    )
    with pytest.raises(CheckpointError, match=r"2 tensors \(unet.bias, unet.weight …\).*Supported are JoyVASA"):
        choose_generator("diffusion", ON_CPU, [tmp_path])


def test_a_motion_generator_without_speech_encoder_is_refused(tmp_path):
    install(tmp_path, encoder=False)
    with pytest.raises(ValueError, match="carries no speech encoder"):
        load_installed([tmp_path])


def test_a_style_encoder_of_our_motion_is_used_and_others_are_refused(tmp_path):
    assert installed_style_encoder([tmp_path]) is None
    path = save_published(tmp_path / "style_encoder.pt", published("style_encoder", motion=70), "encoder")
    with pytest.raises(FileNotFoundError, match="joyvasa/motion_template is missing"):
        installed_style_encoder([tmp_path])
    install(tmp_path)
    found = installed_style_encoder([tmp_path])
    assert found is not None
    assert found[0].layout.motion_dims == found[1].dims
    save_published(path, published("style_encoder", motion=54), "encoder")
    with pytest.raises(ValueError, match=r"takes 54 numbers per frame, such as FLAME's; .* has 70"):
        installed_style_encoder([tmp_path])


def test_unknown_generators_and_devices_are_refused(installed):
    with pytest.raises(ValueError, match=r"no motion generator 'magic'; .* procedural, diffusion, talker"):
        choose_generator("magic")
    with pytest.raises(ValueError, match="no kind of device called 'abacus'"):
        choose_generator("diffusion", Compute("abacus"), [installed])


def test_a_style_has_a_code_where_an_encoder_is_installed(tmp_path):
    motion = choose_generator("procedural").generate(Audio(torch.zeros(1, 24_000), 16_000), 30)
    assert installed_style(motion, [tmp_path]).code is None
    install(tmp_path)
    save_published(tmp_path / "style_encoder.pt", published("style_encoder", motion=70), "encoder")
    style = installed_style(motion, [tmp_path], 0.5)
    assert style.code is not None
    assert style.strength == 0.5
    assert style.statistics == motion_statistics(motion)
    found = installed_style_encoder([tmp_path])
    assert found is not None
    encoder, space = found
    # The procedural motion is measured from zero, the networks' from their mean face.
    same = replace(motion.resampled(25), expression=motion.resampled(25).expression + space.rest_expression)
    torch.testing.assert_close(style.code, encoder.encode(space.normalised(same)))


def test_the_node_and_the_command_use_the_installed_networks(installed):
    """As both ask for it: with guidance for a style that JoyVASA's network does not know."""
    sampling = SampleOptions(steps=2, guidance=Guidance(2.0, 1.0))
    made = choose_generator("diffusion", ON_CPU, (installed,), sampling)
    assert len(made.generate(Audio(0.1 * torch.randn(1, 9000), 16_000), 25)) == 15
