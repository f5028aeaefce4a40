"""The built-in generator as a stream: chunked equals whole, close to offline, bounded."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.diffpose.procedural.stream import HEARD, ProceduralStream
from talking_head.diffpose.steering.options import MotionOptions
from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.media.rates import frame_count, frame_rate
from talking_head.lp_core.motion.controls import from_expression
from talking_head.lp_core.motion.sequence import MotionSequence, join

AUDIO = load_audio(ROOT / "workflows" / "demo_speech.wav")
VOICE = AUDIO.mono(16_000)


def streamed(sizes, voice=VOICE, fps=25.0, **options) -> MotionSequence:
    """The motion of a voice that arrives in pieces of these sizes, over and over."""
    stream, pieces, start, turn = ProceduralStream(fps, MotionOptions(**options), seed=3), [], 0, 0
    while start < len(voice):
        size = sizes[turn % len(sizes)]
        pieces.append(stream.push(voice[start : start + size]))
        start, turn = start + size, turn + 1
    pieces.append(stream.finish())
    return join([piece for piece in pieces if piece is not None])


def same(first: MotionSequence, second: MotionSequence) -> bool:
    return torch.equal(first.expression, second.expression) and torch.equal(first.rotation, second.rotation)


@settings(deadline=None, max_examples=5)
@given(st.lists(st.integers(1, 9_000), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 300))
def test_chunked_equals_whole(sizes):
    voice = VOICE[:40_000]
    assert same(streamed(sizes, voice), streamed([len(voice)], voice))


@pytest.mark.parametrize("fps", [25, 29.97, 12.5])
def test_frames_cover_the_voice_exactly(fps):
    assert len(streamed([5_000], fps=fps)) == frame_count(len(VOICE), 16_000, frame_rate(fps))


def test_lips_are_the_offline_generator_s():
    """What differs is the loudness that the averages see 2 s ahead offline, 0.3 s in a stream."""
    offline = from_expression(ProceduralGenerator().generate(AUDIO, 25, seed=3).expression)
    live = from_expression(streamed([320]).expression)
    for name in ("jaw", "wide", "press", "tuck"):
        first, second = getattr(offline, name), getattr(live, name)
        assert np.corrcoef(first, second)[0, 1] > 0.99, name
        assert second.diff().abs().max() < 1.2 * first.diff().abs().max(), name


def test_the_head_moves_smoothly_and_about_as_offline():
    offline, live = ProceduralGenerator().generate(AUDIO, 25, seed=3), streamed([320])
    assert live.rotation.diff(dim=0).abs().max() < 1.5
    assert (live.rotation.std(0) / offline.rotation.std(0)).min() > 0.5
    assert not live.rotation[0].any()


def test_memory_does_not_grow_with_the_voice():
    stream = ProceduralStream(25)
    for _ in range(4):
        stream.push(VOICE)
    assert stream._sound._kept.untyped_storage().nbytes() <= 2 * (HEARD + 1) * 16_000 * 4


def test_later_sound_changes_nothing_given_before():
    stream, other = ProceduralStream(25), ProceduralStream(25)
    first, second = stream.push(VOICE[:32_000]), other.push(torch.cat([VOICE[:32_000], torch.randn(16_000)]))
    assert first is not None
    assert second is not None
    assert same(first, second[: len(first)])


def test_bad_sound_is_refused():
    stream = ProceduralStream(25)
    with pytest.raises(ValueError, match="finite mono"):
        stream.push(torch.zeros(2, 10))
    assert stream.finish() is None
    with pytest.raises(ValueError, match="has ended"):
        stream.push(VOICE)
    with pytest.raises(ValueError, match="seed is -1"):
        ProceduralStream(25, seed=-1)
