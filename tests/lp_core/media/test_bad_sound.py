"""Sounds that nobody would choose, through every kind of generator: the right motion, or a sentence."""

import math
from pathlib import Path

import pytest
import torch
from small_generators import GENERATORS, voice

from talking_head.diffpose.procedural.stream import ProceduralStream
from talking_head.diffpose.speech.analysis import analyse
from talking_head.diffpose.steering.options import MotionOptions
from talking_head.diffpose.talker.driver import TalkerStream
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.motion.controls import LIP_CONTROLS, from_expression
from talking_head.nodes.motion import AudioToMotion

SECOND = 16_000
PARTS = ("expression", "rotation", "scale", "translation")
MEMORY_MB = 400  # beside the sound that half an hour may take
MEMORY_PEAK, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")

SOUNDS = {
    "one sample": voice(1),
    "50 ms": voice(800),
    "50 ms at 44.1 kHz": voice(2205, 44_100),
    "8 kHz": voice(8000, 8000),
    "96 kHz": voice(96_000, 96_000),
    "stereo": voice(SECOND, channels=2),
    "5.1": voice(48_000, 48_000, channels=6),
    "clipping": Audio((100 * voice(SECOND).waveform).clamp(-1, 1), SECOND),
    "beyond full scale": Audio(100 * voice(SECOND).waveform, SECOND),
    "offset": Audio(voice(SECOND).waveform + 0.5, SECOND),
    "nothing but an offset": Audio(torch.full((1, SECOND), 0.9), SECOND),
    "silence": Audio(torch.zeros(1, SECOND), SECOND),
    "far too quiet": Audio(1e-6 * voice(SECOND).waveform, SECOND),
    "the smallest numbers": Audio(torch.full((1, SECOND), 1e-42), SECOND),
}


@pytest.fixture(scope="module", params=GENERATORS)
def generator(request):
    return GENERATORS[request.param]()


def lips_of(motion):
    controls = from_expression(motion.expression - motion.rest.expression)
    return torch.stack([getattr(controls, name) for name in LIP_CONTROLS]).abs().amax(0)


def assert_near(motion, expected, share):
    """Two motions differ in their expression by no more than a share of what the expected one varies by."""
    varied = (expected.expression - expected.expression.mean(0)).norm()
    assert (motion.expression - expected.expression).norm() < share * varied


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("fps", [25, 29.97])
def test_there_is_a_frame_for_every_moment_and_every_number_is_one(name, fps, generator):
    sound = SOUNDS[name]
    motion = generator.generate(sound, fps)
    assert len(motion) == math.ceil(sound.duration * motion.fps)
    assert all(torch.isfinite(getattr(motion, part)).all() for part in PARTS)


@pytest.mark.parametrize("name", ["silence", "nothing but an offset", "the smallest numbers"])
def test_what_is_no_voice_moves_no_lips(name, generator):
    motion = generator.generate(SOUNDS[name], 25, MotionOptions(subtle=0))
    assert lips_of(motion)[2:-2].max() < 1e-4  # where an offset begins and ends there is a click


def test_channels_that_are_alike_are_one(generator):
    one = voice(SECOND)
    motion = generator.generate(one, 25)
    for channels in (2, 6):
        several = generator.generate(Audio(one.waveform.repeat(channels, 1), SECOND), 25)
        assert_near(several, motion, 1e-3)


def test_the_rate_of_a_recording_hardly_matters(generator):
    slow = voice(SECOND)
    fast = Audio(slow.mono(96_000)[None], 96_000)
    assert_near(generator.generate(fast, 25), generator.generate(slow, 25), 0.3)  # random networks are sensitive


def test_an_offset_is_not_heard():
    """In what the rules and the gate of silence go by; networks get their sound as it is."""
    heard = SOUNDS["stereo"].mono(SECOND)
    plain, moved = analyse(heard), analyse(heard + 0.3)
    inside = slice(5, -5)
    assert abs(plain.activity - moved.activity)[inside].max() < 0.05
    assert abs(plain.loudness - moved.loudness)[inside].max() < 0.02


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [([], "no samples"), ([0.0, math.nan], "holds NaN"), ([math.inf], "or infinite samples")],
)
def test_what_is_no_sound_never_reaches_a_generator(samples, sentence):
    with pytest.raises(ValueError, match=sentence):
        Audio(torch.tensor([samples]), SECOND)


@pytest.mark.parametrize("kind", ["procedural", "diffusion", "talker", "ditto"])
@pytest.mark.parametrize("sound", [torch.full((9,), torch.nan), torch.zeros(1, 9)], ids=["NaN", "two axes"])
def test_streams_refuse_what_is_no_sound(kind, sound):
    made = GENERATORS[kind]()
    streams = {"procedural": lambda: ProceduralStream(25), "talker": lambda: TalkerStream(made)}
    stream = streams.get(kind, lambda: made.stream())()
    with pytest.raises(ValueError, match="finite mono sound"):
        stream.push(sound)


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_node_keeps_the_sound_as_it_came(kind, monkeypatch):
    monkeypatch.setattr("talking_head.nodes.motion.choose_generator", lambda name, *_: GENERATORS[name]())
    audio = {"waveform": SOUNDS["5.1"].waveform[None], "sample_rate": 48_000}
    required = AudioToMotion.INPUT_TYPES()["required"]
    defaults = {name: entry[1].get("default") for name, entry in required.items() if name != "audio"}
    motion, same, fps, frames = AudioToMotion().run(audio, **(defaults | {"motion": kind, "fps": 23.976}))["result"]
    assert same is audio
    assert (fps, frames, len(motion)) == (pytest.approx(23.976, abs=1e-3), 24, 24)


@pytest.mark.skipif(not RESET_PEAK.exists(), reason="only Linux tells the memory's peak")
@pytest.mark.parametrize("kind", GENERATORS)
def test_half_an_hour_fits_the_memory(kind):
    made = GENERATORS[kind]()
    sound = Audio(voice(60 * SECOND).waveform.repeat(1, 30), SECOND)
    made.generate(voice(SECOND), 25)  # whatever is loaded once
    RESET_PEAK.write_text("5", "ascii")
    before = peak_mb()
    motion = made.generate(sound, 25)
    assert peak_mb() - before < MEMORY_MB
    assert len(motion) == 45_000
    assert all(torch.isfinite(getattr(motion, part)).all() for part in PARTS)


def peak_mb():
    line = next(line for line in MEMORY_PEAK.read_text("ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
