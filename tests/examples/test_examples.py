"""Every script in examples/ is run, as a user would, on the bundled inputs made short."""

import ast
import math
import runpy
import sys
import wave

import numpy as np
import pytest
import torch
from conftest import ROOT

from talking_head import Audio, MotionSequence, load_audio, load_picture, read_video, write_video

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
BUNDLED = ROOT / "workflows"
PORTRAIT = str(BUNDLED / "demo_portrait.jpg")
SECONDS = 0.4


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
    """The examples take what is installed; here that is nothing, whatever the machine has."""
    monkeypatch.setenv("TALKING_HEAD_MODELS", str(tmp_path))


@pytest.fixture
def run(monkeypatch):
    def run(name: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")

    return run


def short(name: str, folder) -> Audio:
    """The beginning of a bundled voice, which is written to a file of the same name too."""
    whole = load_audio(BUNDLED / name)
    samples = round(SECONDS * whole.sample_rate)
    begin = whole.samples // 4
    waveform = whole.waveform[:, begin : begin + samples]
    with wave.open(str(folder / name), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(whole.sample_rate)
        file.writeframes((waveform[0] * 32767).numpy().astype(np.int16).tobytes())
    return load_audio(folder / name)


def frames_of(path) -> torch.Tensor:
    return torch.cat(list(read_video(path).frames()))


def test_every_example_has_a_test_and_a_usage_line():
    tested = {
        node.args[0].value
        for node in ast.walk(ast.parse((ROOT / "tests" / "examples" / "test_examples.py").read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "run"
        if isinstance(node.args[0], ast.Constant)
    }
    assert tested == {script.name for script in SCRIPTS}
    for script in SCRIPTS:
        assert f"python examples/{script.name}" in (ast.get_docstring(ast.parse(script.read_text())) or "")


def test_a_portrait_is_animated(run, tmp_path, capsys):
    voice = short("demo_speech.wav", tmp_path)
    run("animate_portrait.py", PORTRAIT, tmp_path / "demo_speech.wav", tmp_path / "out.mp4")
    assert len(frames_of(tmp_path / "out.mp4")) == 10
    heard = read_video(tmp_path / "out.mp4").audio()
    assert heard is not None
    assert abs(float(heard.duration - voice.duration)) < 0.1
    assert "10 frames at 25 a second" in capsys.readouterr().out


def test_a_portrait_is_driven_by_a_clip(run, tmp_path, capsys):
    clip = read_video(BUNDLED / "demo_clip.mp4")
    write_video(tmp_path / "clip.mp4", next(clip.frames(12)), clip.fps)
    run("drive_by_clip.py", PORTRAIT, tmp_path / "clip.mp4", tmp_path / "out.mp4")
    assert len(frames_of(tmp_path / "out.mp4")) == 12
    assert "0 frames have no face" in capsys.readouterr().out


def test_motion_is_edited_and_kept(run, tmp_path):
    voice = short("demo_speech.wav", tmp_path)
    run("edit_motion.py", PORTRAIT, tmp_path / "demo_speech.wav", tmp_path / "m.safetensors", tmp_path / "out.mp4")
    kept = MotionSequence.load(tmp_path / "m.safetensors")
    assert len(kept) == len(frames_of(tmp_path / "out.mp4")) == -(-voice.samples * 25 // voice.sample_rate)
    assert kept.rotation[:, 1].mean() == pytest.approx(-5.0, abs=1.0)


def test_a_voice_is_spoken_live(run, tmp_path, capsys):
    voice = short("demo_speech.wav", tmp_path)
    run("live_from_file.py", PORTRAIT, tmp_path / "demo_speech.wav", tmp_path / "out.mp4")
    count = -(-voice.samples * 25 // voice.sample_rate)
    assert len(frames_of(tmp_path / "out.mp4")) == count
    assert f"{count} frames" in capsys.readouterr().out


def test_two_people_speak_in_turn(run, tmp_path):
    pair, first, second = BUNDLED / "demo_pair.jpg", tmp_path / "demo_speech.wav", tmp_path / "demo_answer.wav"
    seconds = float(short(first.name, tmp_path).duration + short(second.name, tmp_path).duration) + 0.3
    run("several_speakers.py", pair, first, second, tmp_path / "out.mp4")
    video, picture = frames_of(tmp_path / "out.mp4"), load_picture(pair)
    assert len(video) == math.ceil(round(seconds * 25, 3))
    assert video.shape[1:] == picture.shape
