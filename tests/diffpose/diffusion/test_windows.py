from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from diffpose_goldens import JOYVASA, card, denoiser, golden, published
from hypothesis import given, settings
from hypothesis import strategies as st
from small_generators import held

from talking_head.diffpose.diffusion import normalise
from talking_head.diffpose.diffusion.checkpoints import DiffusionModel
from talking_head.diffpose.diffusion.normalise import JoyvasaSpace
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions, seeded_noise
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.diffusion.windows import (
    LIVE,
    WindowedMotion,
    WindowPlan,
    silent_context,
    trained_plan,
)
from talking_head.diffpose.speech.encoder import SAMPLES_PER_FRAME, speech_encoder
from talking_head.diffpose.speech.streaming import WindowedFeatures
from talking_head.lp_core.motion.keypoints import rotation_matrix
from talking_head.lp_core.motion.motion_filter import following_head

SAMPLED = 1e-4


def model_of(kind, heads=8, **sizes):
    network = denoiser(kind, heads=heads, **sizes)
    encoder = {key.removeprefix("audio_encoder."): value for key, value in published("encoder").items()}
    return DiffusionModel(card(kind, heads, **sizes), network, Schedule.named("cosine", 10), encoder)


@pytest.fixture(scope="module")
def encoder():
    model = model_of("joyvasa", **JOYVASA)
    return speech_encoder(model.encoder, heads=4)


def replay(first, rest):
    draws = iter([first, *rest])
    return lambda: next(draws)


def options(**guidance):
    return SampleOptions("ancestral", None, guidance=Guidance(**guidance))


# JoyVASA's own driver hears two frames of silence before the sound and one after it; its motion lags by those two.
LEAD, TAIL = 2 * SAMPLES_PER_FRAME, SAMPLES_PER_FRAME


@pytest.mark.parametrize(
    ("case", "position", "lead", "tail"),
    [
        ("flp_legacy", "legacy", 0, 0),
        ("raw_fixed", "sequential", LEAD, TAIL),
        ("raw_legacy", "legacy", LEAD, TAIL),
        ("smooth_legacy", "legacy", LEAD, TAIL),
    ],
)
def test_joyvasa_driver_goldens(case, position, lead, tail, encoder, monkeypatch):
    """Windows side by side, each heard by itself, as FasterLivePortrait and JoyVASA drive them."""
    monkeypatch.setattr(normalise, "SMALLEST_SCALE", -10.0)  # which random weights fall below
    model = model_of("joyvasa", **JOYVASA)
    network = denoiser("joyvasa", position=position, **JOYVASA)
    model = replace(model, card=replace(model.card, layout=network.layout), denoiser=network)
    plan = trained_plan(model)
    features = WindowedFeatures(encoder, model.card.speech, hearing=plan.frames)
    draw = replay(golden("joyvasa", f"e2e.{case}.motion_at_T", 1, 20, 70), golden("joyvasa", f"e2e.{case}.z"))
    features.push(torch.nn.functional.pad(golden("joyvasa", f"e2e.{case}.wav"), (lead, tail)))
    vectors = WindowedMotion(model, features, plan, options(audio=2.8), draw).rest()
    expected = {name: golden("joyvasa", f"e2e.{case}.out.{name}") for name in ("exp", "scale", "t")}
    # The reference leaves out a last frame of which there is too little sound.
    count = features.samples // SAMPLES_PER_FRAME
    assert len(expected["exp"]) == count <= len(vectors) <= count + 1
    motion = joyvasa_space().motion(vectors[:count], Fraction(25))
    if case == "smooth_legacy":
        motion = following_head(motion, 0.01)
    torch.testing.assert_close(motion.expression, expected["exp"], atol=SAMPLED, rtol=0)
    torch.testing.assert_close(motion.scale, expected["scale"], atol=SAMPLED, rtol=0)
    torch.testing.assert_close(motion.translation, expected["t"], atol=SAMPLED, rtol=0)
    turns = torch.cat([golden("joyvasa", f"e2e.{case}.out.{name}") for name in ("pitch", "yaw", "roll")], 1)
    torch.testing.assert_close(motion.rotation, turns, atol=1e-3, rtol=0)
    matrices = golden("joyvasa", f"e2e.{case}.out.R")
    torch.testing.assert_close(rotation_matrix(motion.rotation), matrices, atol=SAMPLED, rtol=0)


def joyvasa_space():
    return JoyvasaSpace.from_template({key.removeprefix("tmpl."): golden("joyvasa", key) for key in TEMPLATE})


TEMPLATE = ["tmpl.mean_exp", "tmpl.std_exp"] + [
    f"tmpl.{bound}_{name}" for bound in ("min", "max") for name in ("scale", "t", "pitch", "yaw", "roll")
]


class CountingEar:
    """Features that tell which frames were asked for, without a network; knows only what was pushed."""

    def __init__(self, channels=48):
        self.samples, self.channels, self.asked = 0, channels, []

    def between(self, start, end):
        self.asked.append((start, end))
        known = torch.arange(start, end) < self.samples // SAMPLES_PER_FRAME
        wave = torch.sin(torch.arange(start, end)[:, None] * torch.linspace(0.1, 2, self.channels))
        return (wave * known[:, None])[None]

    def forget(self, frame):
        pass


@pytest.fixture(scope="module")
def small():
    return model_of("joyvasa", **(JOYVASA | {"layers": 1, "width": 16}))


def stream(model, features, plan=LIVE, seed=3, steps=2):
    draw = seeded_noise(seed, (1, plan.frames, model.card.layout.motion_dims))
    return WindowedMotion(model, features, plan, SampleOptions(steps=steps), draw)


def fed(model, encoder, chunks, plan=LIVE, seed=3):
    """Motion of chunks of sound, pushed one after another."""
    features = WindowedFeatures(encoder, model.card.speech, hearing=25)
    motion = stream(model, features, plan, seed)
    settled = []
    for chunk in chunks:
        features.push(chunk)
        settled.append(motion.settled())
    return torch.cat([*settled, motion.rest()])


@given(cuts=st.lists(st.integers(0, 9000), max_size=6), samples=st.integers(1, 9000))
@settings(max_examples=12, deadline=None)
def test_chunked_equals_whole(cuts, samples, small, encoder):
    sound = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))
    edges = sorted({0, samples, *(cut for cut in cuts if cut < samples)})
    chunks = [sound[start:end] for start, end in pairwise(edges)]
    whole = fed(small, encoder, [sound])
    assert len(whole) == -(-samples // SAMPLES_PER_FRAME)
    assert torch.equal(fed(small, encoder, chunks), whole)


@pytest.mark.parametrize("plan", [LIVE, WindowPlan(4), WindowPlan(6, ahead=3, fade=1)])
def test_later_sound_changes_no_settled_frame(plan, small, encoder):
    sound = 0.1 * torch.randn(12_000)
    frames = len(sound) // SAMPLES_PER_FRAME
    first = fed(small, encoder, [sound], plan)
    other = fed(small, encoder, [torch.cat((sound, torch.randn(5000)))], plan)
    settled = (frames - plan.ahead) // plan.hop * plan.hop
    assert settled >= 6
    assert torch.equal(first[:settled], other[:settled])
    assert not torch.equal(first[settled:frames], other[settled:frames])


def test_live_windows_settle_after_280_ms(small, encoder):
    features = WindowedFeatures(encoder, small.card.speech, hearing=25)
    motion = stream(small, features)
    features.push(torch.zeros(16 * 280 - 1))
    assert not len(motion.settled())
    features.push(torch.zeros(1))
    assert len(motion.settled()) == LIVE.hop


def test_ten_minutes_do_not_drift(small):
    """Every window asks for exactly the frames it settles and those ahead, to the last."""
    features = CountingEar()
    features.samples = 10 * 60 * 16_000 + 17
    plan = WindowPlan(hop=50, ahead=2, fade=2)
    assert len(stream(small, features, plan, steps=1).rest()) == 15_001
    assert features.asked == [(start, start + 52) for start in range(0, 15_001, 50)]


def test_sound_that_is_no_longer_heard_is_let_go(small, encoder):
    features = WindowedFeatures(encoder, small.card.speech, hearing=10)
    motion = stream(small, features, steps=1)
    for _ in range(20):
        features.push(torch.zeros(6400))
        motion.settled()
    assert held(features) <= 2 * (10 + 10 + LIVE.frames)


def test_the_seed_tells_the_motion(small, encoder):
    sound = 0.1 * torch.randn(6000)
    first, second, other = (fed(small, encoder, [sound], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_windows_fade_over_what_they_share(small):
    """With a fade, the step between windows is no larger than without."""

    def steps_at_seams(fade):
        features = CountingEar()
        features.samples = 60 * SAMPLES_PER_FRAME
        motion = stream(small, features, WindowPlan(hop=6, ahead=6, fade=fade)).rest()
        return (motion[6::6] - motion[5:-1:6]).abs().mean()

    assert steps_at_seams(6) < steps_at_seams(0)


def test_centred_motion_is_less_a_constant_in_every_window(small):
    """The network's own motion goes on as it is: only what is given is centred."""

    def made(centred):
        features, plan = CountingEar(), WindowPlan(hop=6)
        features.samples = 18 * SAMPLES_PER_FRAME
        draw = seeded_noise(3, (1, 6, 70))
        return WindowedMotion(small, features, plan, SampleOptions(steps=2), draw, centred=centred).rest()

    apart = (made(False) - made(True)).unflatten(0, (3, 6))
    torch.testing.assert_close(apart, apart[:, :1].expand_as(apart), atol=1e-5, rtol=0)
    assert (apart[0, 0] - apart[1, 0]).abs().max() > 1e-3


def test_a_network_without_start_tokens_begins_in_silence(encoder):
    sizes = JOYVASA | {"layers": 1, "width": 16, "start": False}
    model = model_of("joyvasa", **sizes)
    features = CountingEar()
    features.samples = 5000
    with pytest.raises(ValueError, match="give the features of silence"):
        stream(model, features)
    silence = silent_context(model, encoder)
    assert silence is not None
    assert silence.shape == (1, 5, 16)
    draw = seeded_noise(1, (1, LIVE.frames, 70))
    assert len(WindowedMotion(model, features, LIVE, SampleOptions(steps=1), draw, silence=silence).rest()) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hop": 0}, "at least one frame; got hop 0"),
        ({"hop": 5, "ahead": -1}, "ahead -1"),
        ({"hop": 5, "ahead": 2, "fade": 3}, "over the 2 frames they share; got 3"),
    ],
)
def test_plans_say_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        WindowPlan(**changes)


@pytest.mark.parametrize("sound", [torch.zeros(1, 640), torch.tensor([0.0, float("nan")])])
def test_unusable_sound_is_refused(sound, encoder, small):
    with pytest.raises(ValueError, match="finite mono sound"):
        WindowedFeatures(encoder, small.card.speech, 25).push(sound)
