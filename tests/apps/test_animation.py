"""From files to a video in one call: the same as the steps by hand."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from conftest import ROOT

from talking_head import (
    Animation,
    Audio,
    MotionOptions,
    MotionSequence,
    MotionStatistics,
    Portrait,
    RenderOptions,
    Style,
    VideoOptions,
    animate,
    choose_generator,
    choose_renderer,
    read_video,
    render,
)
from talking_head.diffpose.procedural.generator import ProceduralGenerator
from talking_head.lp_core.render import portrait as portraits

PICTURE = ROOT / "workflows" / "demo_portrait.jpg"
VOICE = ROOT / "workflows" / "demo_speech.wav"
SIDE = 192  # pixels: small, and large enough for the face to be found


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return Portrait.load(PICTURE, choose_renderer("mesh"), longest_side=SIDE)


@pytest.fixture(scope="module")
def voice() -> Audio:
    whole = Audio.load(VOICE)
    return Audio(whole.waveform[:, 40_000:55_000], whole.sample_rate)


@pytest.fixture(scope="module")
def generator():
    return choose_generator("procedural")


def test_it_is_the_steps_by_hand(portrait, voice, generator):
    options = MotionOptions(lips=1.5)
    drawn = RenderOptions(batch_size=3)
    animation = animate(portrait, voice, 12.5, options, drawn, 7, generator=generator)
    motion = generator.generate(voice, Fraction(25, 2), options, 7)
    frames = torch.cat(list(animation.frames()))
    assert torch.equal(frames, torch.cat(list(render(portrait, motion, drawn))))
    assert len(animation) == len(frames) == math.ceil(voice.duration * Fraction(25, 2))
    assert animation.fps == Fraction(25, 2)
    assert animation.audio is voice


def test_frames_are_drawn_anew_at_each_call(portrait):
    animation = Animation(portrait, MotionSequence.still(2, 5))
    assert torch.equal(next(animation.frames()), next(animation.frames()))


def test_a_style_steers_the_motion(portrait, voice, generator):
    wide = Style(statistics=MotionStatistics(mouth_amplitude=0.088))
    usual, steered = (animate(portrait, voice, style=style, generator=generator) for style in (None, wide))
    assert steered.motion.expression.std() > 1.2 * usual.motion.expression.std()


def test_files_do_as_well(voice, tmp_path, monkeypatch):
    monkeypatch.setenv("TALKING_HEAD_MODELS", str(tmp_path))  # no weights are there
    animation = animate(PICTURE, str(VOICE), fps="30000/1001")
    assert isinstance(animation.portrait, Portrait)
    assert animation.audio is not None
    assert len(animation) == math.ceil(animation.audio.duration * Fraction(30000, 1001))


def test_it_is_written_with_its_sound(portrait, voice, generator, tmp_path):
    animation, drawn = animate(portrait, voice, 10, generator=generator), []
    count = animation.write(tmp_path / "talk.mkv", VideoOptions(crf=30), drawn.append)
    video = read_video(tmp_path / "talk.mkv")
    assert count == sum(drawn) == len(animation) == sum(map(len, video.frames()))
    sound = video.audio()
    assert sound is not None
    assert sound.sample_rate == voice.sample_rate


def test_a_portrait_is_loaded_by_the_default_renderer(portrait, monkeypatch):
    monkeypatch.setattr(portraits, "_choices", [lambda: portrait.renderer])
    loaded = Portrait.load(PICTURE, longest_side=SIDE)
    assert loaded.renderer is portrait.renderer
    assert torch.equal(loaded.keypoints, portrait.keypoints)
    assert loaded.picture.shape == (SIDE, SIDE, 3)


def test_the_default_renderer_is_the_chosen_one():
    assert portraits._choices == [choose_renderer]


def test_a_box_is_in_pixels_of_the_file(portrait):
    points = portrait.landmarks[:, :2] * 512 / SIDE
    left, top, right, bottom = (*points.amin(0).tolist(), *points.amax(0).tolist())
    boxed = Portrait.load(PICTURE, portrait.renderer, box=(left, top, right, bottom), longest_side=SIDE)
    eye_distance = (portrait.landmarks[33] - portrait.landmarks[263])[:2].norm()
    assert (boxed.landmarks - portrait.landmarks)[:, :2].norm(dim=1).mean() < 0.05 * eye_distance


def test_a_face_that_is_not_there_is_counted(portrait):
    with pytest.raises(ValueError, match=r"no face 1: .*demo_portrait.jpg has 1"):
        Portrait.load(PICTURE, portrait.renderer, face=1, longest_side=SIDE)


def test_audio_is_loaded_whole():
    audio = Audio.load(VOICE)
    assert type(audio) is Audio
    assert audio.sample_rate == 22_050
    assert audio.channels == 1


def test_the_generator_of_the_portrait_is_chosen(portrait, voice, monkeypatch):
    asked = []

    def choose(**given):
        asked.append(given)
        return ProceduralGenerator(None)

    monkeypatch.setattr("talking_head.apps.animation.choose_generator", choose)
    animate(portrait, voice, 5)
    assert asked == [{"portrait": portrait}]


def test_options_decide_how_frames_are_drawn(portrait):
    options = RenderOptions(paste_back=False)
    animation = replace(Animation(portrait, MotionSequence.still(1, 5)), options=options)
    assert next(animation.frames()).shape == (1, 512, 512, 3)
