"""Every kind of motion generator, with networks so small that a test can run them often, and voices for them."""

from copy import deepcopy
from dataclasses import replace

import torch
from diffpose_goldens import DIFFLIVEHEAD, JOYVASA, POSE_SIZES, card, denoiser, golden, published
from talker_goldens import filled
from torch import nn

from talking_head.diffpose.difflivehead.generator import LiveHeadGenerator
from talking_head.diffpose.difflivehead.motion import LiveHeadPerson
from talking_head.diffpose.diffusion.checkpoints import DiffusionModel
from talking_head.diffpose.diffusion.denoiser import Denoiser, TokenLayout
from talking_head.diffpose.diffusion.generator import DiffusionGenerator
from talking_head.diffpose.diffusion.normalise import JoyvasaSpace
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.ditto.generator import DittoGenerator
from talking_head.diffpose.ditto.hearing import CHUNK
from talking_head.diffpose.ditto.network import Lmdm, LmdmLayout
from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.speech.encoder import SAMPLES_PER_FRAME, speech_encoder
from talking_head.diffpose.steering.style import CODE_SIZE
from talking_head.diffpose.talker.driver import Talker
from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.mapping import MappingNetwork
from talking_head.lp_core.media.audio import Audio

SMALL = JOYVASA | {"layers": 1, "width": 16}
SMALL_LIVEHEAD = DIFFLIVEHEAD | {"width": 16, "layers": 1, "audio": 48}


def joyvasa_space():
    """The synthetic motion template of the goldens."""
    names = ["mean_exp", "std_exp", *(f"{bound}_{name}" for bound in ("min", "max") for name in POSE_SIZES)]
    return JoyvasaSpace.from_template({name: golden("joyvasa", f"tmpl.{name}") for name in names})


def small_model(kind="joyvasa", network=None, **sizes):
    """A denoiser of a published kind with synthetic weights, and a two-layer HuBERT."""
    sizes = sizes or SMALL
    network = network or denoiser(kind, **sizes)
    described = replace(card(kind, **sizes), layout=network.layout)
    encoder = {key.removeprefix("audio_encoder."): value for key, value in published("encoder").items()}
    return DiffusionModel(described, network, Schedule.named("cosine", 10), encoder)


def small_encoder():
    return speech_encoder(small_model().encoder, heads=4)


def small_diffusion(steps=2):
    return DiffusionGenerator(small_model(), small_encoder(), joyvasa_space(), SampleOptions(steps=steps))


def styled_diffusion(encoder):
    """A generator whose network takes a style code."""
    torch.manual_seed(4)
    layout = replace(small_model().card.layout, time_on="token", token=TokenLayout(style=CODE_SIZE))
    network = Denoiser(layout).eval().requires_grad_(False)
    options = SampleOptions(steps=2, guidance=Guidance(audio=1.5))
    return DiffusionGenerator(small_model(network=network), encoder, joyvasa_space(), options)


def small_lmdm():
    """A small network on the real sizes of motion and condition, and an encoder that tells the chunk's loudness."""
    torch.manual_seed(3)
    layout = LmdmLayout(width=16, hidden=16, layers=1, condition_layers=1, heads=2)
    network = Lmdm(layout).eval().requires_grad_(False)

    def encoder(sound):
        assert sound.shape == (CHUNK,)
        units = sound[:6400].view(20, 320).square().mean(1, keepdim=True).sqrt()
        return units * torch.linspace(-20, 20, 1024)

    return network, encoder


def small_ditto():
    return DittoGenerator(*small_lmdm(), options=SampleOptions(steps=2))


class LoudnessOfBands(nn.Module):
    """In place of the light driver's convolutions: windows (T, 80, 16) to embeddings (T, 512)."""

    def forward(self, windows):
        return windows.mean(-1).repeat(1, 7)[:, :512] / 4


def small_talker():
    torch.manual_seed(3)
    expression = deepcopy(filled(ExpressionNetwork, "audio2exp"))
    expression.audio_encoder = LoudnessOfBands()
    return Talker(expression, MappingNetwork(width=16).eval().requires_grad_(False))


def small_livehead():
    model = small_model("difflivehead", **SMALL_LIVEHEAD)
    encoder = speech_encoder(model.encoder, "wav2vec2", heads=4)
    return LiveHeadGenerator(model, encoder, LiveHeadPerson(torch.zeros(63)), SampleOptions(steps=2))


GENERATORS = {
    "procedural": ProceduralGenerator,
    "diffusion": small_diffusion,
    "talker": small_talker,
    "ditto": small_ditto,
    "difflivehead": small_livehead,
}


def voice(samples, rate=16_000, channels=1):
    """Noise in syllables, four a second: to the analysis somebody speaks throughout."""
    noise = torch.randn(channels, samples, generator=torch.Generator().manual_seed(1))
    loudness = (torch.arange(samples) / rate * 8 * torch.pi).sin().square() + 0.03
    return Audio(0.1 * loudness * noise, rate)


def held(features):
    """Frames of sound that a feature stream has in memory."""
    return features._arrived._memory._kept.untyped_storage().nbytes() / 4 / SAMPLES_PER_FRAME
