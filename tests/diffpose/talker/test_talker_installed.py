"""The light driver's files in a models folder: found, missing, damaged; the driver, the person, the head pose."""

import re

import pytest
import torch
from safetensors.torch import save_file
from talker_goldens import assert_near, filled, golden, tensors_of, waveform
from test_dubbing import mesh
from test_talker_recon import write_sadtalker

from talking_head.diffpose.encoders import ENCODERS, ProjectedEncoder, hear
from talking_head.diffpose.generator import choose_generator
from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.speech.encoder import SpeechEncoder
from talking_head.diffpose.speech.manifold import Projection, build_bank
from talking_head.diffpose.steering.options import MotionOptions
from talking_head.diffpose.talker.apc import Apc
from talking_head.diffpose.talker.driver import Talker, TalkerOptions
from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.installed import MAPPING, SADTALKER, TALKER, person_of
from talking_head.diffpose.talker.mapping import MappingNetwork
from talking_head.diffpose.talker.pose_vae import PoseVae
from talking_head.diffpose.talker.reconstruction import FaceReconstruction
from talking_head.lp_core.compute.compute import ON_CPU
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.weights.registry import State, check

KINDS = {ExpressionNetwork: "audio2exp", PoseVae: "audio2pose", FaceReconstruction: "face_3drecon"}
VOICE = Audio(waveform(16_000)[None], 16_000)


def install(folder):
    """Synthetic weights of the light driver, its MappingNet narrow, as they are published."""
    write_sadtalker(folder / SADTALKER.places[0], KINDS)
    torch.manual_seed(3)
    torch.save(MappingNetwork(width=16).state_dict(), folder / MAPPING.places[0])
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(tmp_path_factory.mktemp("models"))


def test_the_registry_is_sound():
    assert len({place for entry in TALKER for place in entry.places}) == sum(len(entry.places) for entry in TALKER)
    for entry in TALKER:
        assert entry.name.startswith("talker/")
        assert not entry.commercial_use
        assert not entry.places[0].startswith("..")
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in entry.published if file.sha256)


@pytest.mark.parametrize("place", [SADTALKER.places[3], SADTALKER.places[4]])
def test_files_are_found_where_people_have_them(tmp_path, place):
    folder = tmp_path / "diffpose"
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    save_file({"x": torch.zeros(1)}, folder / place)
    assert check(SADTALKER, [folder]).state is State.PRESENT


def test_the_driver_is_chosen_by_name_and_speaks(installed):
    driver = choose_generator("talker", ON_CPU, [installed])
    assert isinstance(driver, Talker)
    motion = driver.generate(VOICE, 30)
    assert len(motion) == 30
    assert motion.rotation.any()
    still = choose_generator("talker", ON_CPU, [installed], talker=TalkerOptions(gain=(0.0, 0.0, 0.0)))
    assert not still.generate(VOICE, 30, MotionOptions(lips_only=True)).expression.any()


def test_auto_does_not_take_it(installed):
    assert isinstance(choose_generator("auto", ON_CPU, [installed]), ProceduralGenerator)


def test_missing_and_damaged_files_are_named(installed, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"talker/sadtalker is missing; talker/mapping is missing.*--download"
    ):
        choose_generator("talker", ON_CPU, [tmp_path])
    whole = (installed / MAPPING.places[0]).read_bytes()
    (tmp_path / MAPPING.places[0]).write_bytes(whole[:-100])
    with pytest.raises(FileNotFoundError, match="talker/mapping is damaged"):
        choose_generator("talker", ON_CPU, [installed / "nothing", tmp_path])
    save_file({"x": torch.zeros(1)}, tmp_path / SADTALKER.places[0])
    (tmp_path / MAPPING.places[0]).write_bytes(whole)
    with pytest.raises(CheckpointError, match="holds no expression network"):
        choose_generator("talker", ON_CPU, [tmp_path])


def test_a_portrait_conditions_the_networks(installed):
    person = person_of(torch.rand(96, 96, 3), mesh(), [installed])
    assert person.shape == (70,)
    plain = choose_generator("talker", ON_CPU, [installed])
    own = choose_generator("talker", ON_CPU, [installed], talker=TalkerOptions(person=person))
    assert (own.lip_deltas(VOICE.waveform[0]) - plain.lip_deltas(VOICE.waveform[0])).abs().max() > 1e-4


# ------------------------------------------------------------------------------------------- encoders and speakers


def test_every_encoder_without_weights_says_what_it_needs(tmp_path):
    for encoder in ENCODERS[1:]:
        with pytest.raises(FileNotFoundError, match=str(tmp_path)):
            hear(VOICE, encoder, [tmp_path])
    with pytest.raises(ValueError, match="choose from mel, sadtalker, hubert, apc"):
        hear(VOICE, "whisper")


def test_sadtalkers_encoder_hears_what_the_driver_hears(installed):
    heard, options = hear(VOICE, "sadtalker", [installed]), TalkerOptions(lip_reference="none")
    driver = choose_generator("talker", ON_CPU, [installed], talker=options)
    assert heard.shape == (25, 512)
    own = Projection(build_bank(heard, "sadtalker"), neighbours=1)
    spoken = choose_generator("talker", ON_CPU, [installed], talker=options, speaker=own)
    assert_near(spoken.lip_deltas(VOICE.waveform[0]), driver.lip_deltas(VOICE.waveform[0]), 1e-4)


def test_apc_is_read_with_its_training_head(tmp_path):
    tensors = tensors_of(filled(Apc, "apc"), "apc")
    torch.save(tensors | {"postnet.weight": torch.zeros(3)}, tmp_path / "APC_epoch_160.model")
    sound = waveform(19011)
    assert_near(hear(Audio(sound[None], 16_000), "apc", [tmp_path]), golden("lsp_mel_apc")["apc_feat"], 1e-3)


def test_the_built_in_generator_can_speak_as_somebody():
    """Its own bank, one neighbour, gives its own lips; a bank of silence shuts them; the head does not mind."""
    plain = ProceduralGenerator().generate(VOICE, 25, seed=1)
    own = Projection(build_bank(hear(VOICE, "mel"), "mel"), neighbours=1)
    assert_near(ProceduralGenerator(own).generate(VOICE, 25, seed=1).expression, plain.expression, 1e-5)
    quiet = Projection(build_bank(hear(Audio(torch.zeros(1, 16_000), 16_000), "mel"), "mel"))
    other = ProceduralGenerator(quiet).generate(VOICE, 25, seed=1)
    assert (other.expression - plain.expression).abs().max() > 0.01
    assert torch.equal(other.rotation, plain.rotation)


class Shouting(torch.nn.Module):
    """A speech encoder that gives each unit of sound its mean, twice over."""

    def forward(self, sound):
        units = sound[:, : sound.shape[1] // 320 * 320].unflatten(1, (-1, 320)).mean(-1)
        return type("Output", (), {"last_hidden_state": units[..., None].expand(-1, -1, 2)})()


def test_any_speech_encoder_can_hear_a_speaker():
    bank = build_bank(torch.tensor([[3.0, 3.0]]), "hubert")
    encoder = ProjectedEncoder(SpeechEncoder(Shouting()), Projection(bank, strength=0.5))
    sound = torch.randn(1, 61 * 16_000)
    plain = SpeechEncoder(Shouting())
    for hearing in ("units", "frames", "utterance", "utterance_units"):
        expected = torch.lerp(getattr(plain, hearing)(sound), torch.tensor(3.0), 0.5)
        assert_near(getattr(encoder, hearing)(sound), expected, 1e-5)
