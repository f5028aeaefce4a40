import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from talking_head.lp_core.audio import load_audio
from talking_head.lp_core.motion import MotionSequence
from talking_head.lp_core.picture import load_picture
from talking_head.lp_core.video import read_video, write_video

main = importlib.import_module("talking_head.__main__").main
PORTRAIT = ROOT / "workflows" / "demo_portrait.jpg"
VOICE = ROOT / "workflows" / "demo_speech.wav"
QUICK = ["--quiet", "--device", "cpu", "--max-side", "256"]


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """A second of the bundled voice."""
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    sound = load_audio(VOICE)
    samples = (sound.waveform[0, : sound.sample_rate] * 32767).short().numpy()
    import wave

    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, sound.sample_rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_a_portrait_speaks(tmp_path, voice):
    out = tmp_path / "out.mp4"
    assert run("animate", PORTRAIT, voice, "-o", out, "--fps", 29.97, *QUICK) == 0
    video = read_video(out)
    frames = torch.cat(list(video.frames()))
    assert len(frames) == 30
    sound = video.audio()
    assert sound is not None
    assert abs(float(sound.duration) - 1) < 0.05
    assert frames.diff(dim=0).abs().amax(dim=(1, 2, 3)).max() > 0.1


def test_the_same_seed_gives_the_same_motion_and_strengths_still_it(tmp_path, voice):
    def motion(name, *options):
        path = tmp_path / name
        assert (
            run("animate", PORTRAIT, voice, "-o", tmp_path / "x.mp4", "--save-motion", path, *options, *QUICK) == 0
        )
        return MotionSequence.load(path)

    first, again = motion("a.safetensors", "--seed", 3), motion("b.safetensors", "--seed", 3)
    assert torch.equal(first.expression, again.expression)
    assert torch.equal(first.rotation, again.rotation)
    still = motion("c.safetensors", "--seed", 3, "--pose", "still")
    assert not still.rotation.any()


def test_a_clip_drives_a_portrait(tmp_path):
    picture = load_picture(PORTRAIT)
    shifts = [torch.roll(picture, shift, dims=1) for shift in (0, 2, 4, 2, 0)]
    clip = tmp_path / "clip.mp4"
    write_video(clip, shifts, 12.5)
    out = tmp_path / "driven.mp4"
    assert run("drive", PORTRAIT, clip, "-o", out, *QUICK) == 0
    assert sum(len(batch) for batch in read_video(out).frames()) == 5
    assert read_video(out).audio() is None


def test_no_face_is_told_with_what_was_looked_at(tmp_path, voice, capsys):
    blank = tmp_path / "wall.png"
    Image.fromarray(np.full((128, 128, 3), 127, np.uint8)).save(blank)
    assert run("animate", blank, voice, "-o", tmp_path / "out.mp4", *QUICK) == 1
    told = capsys.readouterr().err
    assert "No face" in told
    assert (tmp_path / "out.no_face.png").is_file()
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--fps", "0"], "frame rate"),
        (["--fps", "1000"], "frame rate"),
        (["--face", "4"], "no face 4"),
        (["--lips", "-1"], "lips"),
        (["--batch", "0"], "batch size"),
        (["--device", "abacus"], "abacus"),
        (["--renderer", "liveportrait"], "weights"),
        (["--style", "nothing.safetensors"], "nothing.safetensors"),
    ],
)
def test_wrong_options_are_told_and_leave_no_file(tmp_path, voice, capsys, change, sentence):
    out = tmp_path / "out.mp4"
    assert run("animate", PORTRAIT, voice, "-o", out, *QUICK, *change) == 1
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_inputs_and_folders_are_named(tmp_path, voice, capsys):
    assert run("animate", tmp_path / "nobody.jpg", voice, "-o", tmp_path / "out.mp4", *QUICK) == 1
    assert "nobody.jpg" in capsys.readouterr().err
    assert run("animate", PORTRAIT, tmp_path / "silence.wav", "-o", tmp_path / "out.mp4", *QUICK) == 1
    assert "silence.wav" in capsys.readouterr().err
    assert run("animate", PORTRAIT, voice, "-o", tmp_path / "nowhere" / "out.mp4", *QUICK) == 1
    assert "nowhere" in capsys.readouterr().err


def test_wrong_usage_ends_with_two():
    with pytest.raises(SystemExit) as ended:
        run("sing")
    assert ended.value.code == 2


def test_the_demo_runs_from_a_bare_clone_anywhere(tmp_path):
    command = [sys.executable, str(ROOT), "demo", "-o", "demo.mp4", *QUICK]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert read_video(tmp_path / "demo.mp4").width == 256
