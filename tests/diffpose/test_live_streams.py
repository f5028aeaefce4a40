"""The generators' streams behind one seam: cut as you like, settled within the delay that they tell."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from small_generators import GENERATORS
from test_live import Everything, no_thread_left, sitter

from talking_head.diffpose.live import LiveGenerator, live_stream
from talking_head.diffpose.steering.options import MotionOptions
from talking_head.lp_core.live.session import LiveHead, LiveSession
from talking_head.lp_core.media.audio import ArrivingAudio, Audio, load_audio
from talking_head.lp_core.media.rates import frame_count
from talking_head.lp_core.motion.sequence import MotionSequence, join
from talking_head.lp_core.render.portrait import RenderOptions
from talking_head.lp_core.render.render import own_motion

VOICE = load_audio(ROOT / "workflows" / "demo_speech.wav").mono(16_000)[:48_000]
LIVE = [name for name in GENERATORS if name != "difflivehead"]  # which smooths over the whole voice
NETWORKS = [name for name in LIVE if name != "procedural"]
PARTS = ("expression", "rotation", "scale", "translation")


@cache
def generator(name):
    torch.manual_seed(3)
    return GENERATORS[name]()


def streamed(name, pieces, **options):
    """All motion of sound in pieces, and how long after its moment the slowest frame settled."""
    stream, settled, heard, slowest = live_stream(generator(name), 25, MotionOptions(**options), 3), [], 0, 0.0
    for piece in pieces:
        first = sum(len(motion) for motion in settled)
        motion = stream.push(piece)
        heard += len(piece)
        if motion is not None:
            settled.append(motion)
            slowest = max(slowest, heard / 16_000 - first / 25)
    last = stream.finish()
    return join(settled if last is None else [*settled, last]), slowest, stream


def same(first: MotionSequence, second: MotionSequence) -> bool:
    return all(torch.allclose(getattr(first, part), getattr(second, part), atol=1e-5) for part in PARTS)


@cache
def whole(name):
    return streamed(name, [VOICE])[0]


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("lead", [30.0, 0.0, 100.0])
def test_frames_settle_within_the_delay_that_is_told(name, lead):
    motion, slowest, stream = streamed(name, VOICE.split(160), lip_lead_ms=lead)
    assert motion.fps == stream.fps == Fraction(25)
    assert len(motion) == frame_count(len(VOICE), 16_000, motion.fps)
    assert stream.delay - 0.045 < slowest <= stream.delay + 160 / 16_000 + 1e-6


@pytest.mark.parametrize("name", LIVE)
@settings(max_examples=3)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 2_000))
def test_motion_is_that_of_the_whole_voice_however_it_is_cut(name, sizes):
    pieces, start = [], 0
    while start < len(VOICE):
        pieces.append(VOICE[start : start + sizes[len(pieces) % len(sizes)]])
        start += len(pieces[-1])
    assert same(streamed(name, pieces)[0], whole(name))


class Kept:
    """A renderer that keeps the motion it is to draw."""

    name = "kept"

    def __init__(self) -> None:
        self.drawn = []

    def draw(self, _portrait, motion, _options):
        self.drawn.append(motion)
        return torch.full((1, 2, 2, 3), len(self.drawn) % 200 / 255)


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("seconds", [0.0, 0.1, 3.0])
def test_a_live_session_draws_the_stream_s_own_motion_and_keeps_the_sound(name, seconds):
    voice, audience, renderer = VOICE[: int(seconds * 16_000)], Everything(), Kept()
    portrait = replace(sitter(), renderer=renderer)
    stream = live_stream(generator(name), 25, MotionOptions(), 3)
    head = LiveHead(portrait, stream, ArrivingAudio(16_000), latency=60)
    with no_thread_left(), LiveSession(head, [audience]) as session:
        for piece in voice.split(320):
            session.push(piece[None])
        session.finish()
    frames = frame_count(len(voice), 16_000, 25)
    assert [frame.index for frame in audience.frames] == list(range(frames))
    shown = [int(frame.picture[0, 0, 0]) for frame in audience.frames]
    assert shown == list(range(1, frames + 1))
    assert torch.equal(torch.cat([torch.zeros(1, 0), *audience.sounds], 1)[0], voice)
    assert audience.ends == 1
    if frames:
        expected = own_motion(portrait, streamed(name, [voice])[0], RenderOptions())
        assert same(join(renderer.drawn), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_a_rate_of_their_own(name):
    with pytest.raises(ValueError, match="gives 25 frames a second live; got 30"):
        live_stream(generator(name), 30)


def test_the_built_in_stream_has_any_rate():
    assert live_stream(generator("procedural"), 29.97).fps == Fraction(30_000, 1001)


def test_the_light_driver_s_stream_is_close_to_its_offline_lips():
    """Only the gate of silence and the other parts know less; lips alone, ungated, are the same."""
    wanted = MotionOptions(lips_only=True, rest_in_silence=False, subtle=0, lips=1.3, expression=0.8)
    offline = generator("talker").generate(Audio(VOICE[None], 16_000), 25, wanted)
    live = live_stream(generator("talker"), 25, wanted)
    motion = join([piece for piece in (live.push(VOICE), live.finish()) if piece is not None])
    assert offline.expression.abs().max() > 1e-4
    assert (motion.expression - offline.expression).abs().max() < 1e-5
    assert not motion.rotation.any()


def test_a_generator_that_needs_the_whole_voice_is_refused():
    assert not isinstance(generator("difflivehead"), LiveGenerator)
    with pytest.raises(ValueError, match="LiveHeadGenerator needs the whole voice"):
        live_stream(generator("difflivehead"), 25)
