import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from liveportrait_goldens import write_small_weights
from PIL import Image
from synthetic_weights import GOLDEN
from test_talker_installed import install
from test_weights import CONTENT, entry, hub, serve  # noqa: F401 `hub` is a fixture

from talking_head.apps.cli import animate, models, weights
from talking_head.apps.cli.main import main
from talking_head.diffpose.diffusion.installed import DIFFUSION
from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.media.picture import load_picture
from talking_head.lp_core.media.video import read_video, write_video
from talking_head.lp_core.motion.sequence import MotionSequence

PORTRAIT = ROOT / "workflows" / "demo_portrait.jpg"
VOICE = ROOT / "workflows" / "demo_speech.wav"
QUICK = ["--quiet", "--device", "cpu", "--max-side", "256"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A models folder with LivePortrait's networks, small and synthetic."""
    return write_small_weights(tmp_path_factory.mktemp("models"))


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


def test_the_head_follows_key_poses_or_a_clip_that_is_read_once(tmp_path, voice, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept, keys, clip = (tmp_path / name for name in ("kept.safetensors", "keys.txt", "clip.mp4"))

    def turned(*options):
        given = ("animate", PORTRAIT, voice, "-o", tmp_path / "x.mp4", "--save-motion", kept, "--pose", "still")
        assert run(*given, *options, *QUICK) == 0
        return MotionSequence.load(kept).rotation[:, 1]

    keys.write_text("0: 0, 0, 0\n0.8: 0, -12, 0 linear", encoding="utf-8")
    assert abs(turned("--head-keys", keys)[-1] + 12) < 0.01
    assert abs(turned("--head-keys", keys, "--head-weight", 0.5)[-1] + 6) < 0.01
    picture = load_picture(PORTRAIT)
    write_video(clip, [picture[:, :400], picture[:, :400].flip(1)], 12.5)
    first = turned("--head-from", clip)
    assert first.abs().max() > 0.5
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1
    monkeypatch.setattr(animate, "clip_motion", None)  # the second time nothing is read
    assert torch.equal(turned("--head-from", clip), first)


def test_the_light_driver_speaks_by_its_weights(tmp_path, voice, capsys):
    folder, kept = install(tmp_path), tmp_path / "kept.safetensors"

    def lips(*options):
        given = ("animate", PORTRAIT, voice, "-o", tmp_path / "x.mp4", "--save-motion", kept, "--lips-only")
        assert run(*given, "--motion", "talker", "--renderer", "mesh", "--models", folder, *options, *QUICK) == 0
        return MotionSequence.load(kept).expression[:, 19]

    silence, first = lips(), lips("--lip-reference", "first frame", "--talker-window", 29)
    assert silence.abs().max() > 0.01
    assert not torch.equal(silence, first)
    assert run("models", "--models", folder) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("talker/")]
    assert len(listed) == 2
    assert all("present" in line and "  no  " in line for line in listed)
    assert run("animate", PORTRAIT, voice, "-o", tmp_path / "y.mp4", "--motion", "talker", *QUICK) == 1
    assert "talking-head models --download talker" in capsys.readouterr().err


def test_a_clip_drives_a_portrait(tmp_path):
    picture = load_picture(PORTRAIT)
    shifts = [torch.roll(picture, shift, dims=1) for shift in (0, 2, 4, 2, 0)]
    clip = tmp_path / "clip.mp4"
    write_video(clip, shifts, 12.5)
    out = tmp_path / "driven.mp4"
    assert run("drive", PORTRAIT, clip, "-o", out, *QUICK) == 0
    assert sum(len(batch) for batch in read_video(out).frames()) == 5
    assert read_video(out).audio() is None


def frames_of(path: Path) -> torch.Tensor:
    return torch.cat(list(read_video(path).frames()))


def test_a_clip_is_dubbed(tmp_path, voice, capsys):
    """The voice is longer than the clip, whose third frame has no face; the rate is an NTSC one, and stays."""
    picture = load_picture(PORTRAIT)[:256, 100:356]
    clip, out = tmp_path / "clip.mp4", tmp_path / "dubbed.mp4"
    write_video(clip, [picture, picture, torch.zeros_like(picture), picture], 6000 / 1001)
    assert run("dub", clip, voice, "-o", out, "--renderer", "mesh", "--device", "cpu", "--lips", 2) == 0
    assert "frames 2 of the clip have no face" in capsys.readouterr().out.lower()
    dubbed, before = frames_of(out), frames_of(clip)
    assert len(dubbed) == 6
    assert read_video(out).fps == read_video(clip).fps
    assert read_video(out).audio() is not None
    change = (dubbed - before[[0, 1, 2, 3, 3, 2]]).abs().amax(-1)
    assert change[[2, 5]].max() < 0.03
    assert change[:, :110].max() < 0.06  # the video's own loss
    assert change[[0, 1, 3, 4]].amax() > 0.2


def test_a_clip_without_a_face_cannot_be_dubbed(tmp_path, voice, capsys):
    clip = tmp_path / "clip.mp4"
    write_video(clip, torch.full((3, 64, 64, 3), 0.5), 12)
    assert run("dub", clip, voice, "-o", tmp_path / "x.mp4", *QUICK[:3]) == 1
    assert "No face" in capsys.readouterr().err
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize("renderer", ["mesh", "liveportrait"])
def test_motion_files_and_templates_drive(tmp_path, folder, renderer, capsys):
    kept, out = tmp_path / "kept.safetensors", tmp_path / "driven.mp4"
    common = ["-o", out, "--renderer", renderer, "--models", folder, "--device", "cpu", "--max-side", 128]
    template = GOLDEN / "driving_template.pkl"
    assert run("drive", PORTRAIT, template, *common, "--neutral", 2, "--save-motion", kept) == 0
    assert f"{renderer} renderer" in capsys.readouterr().out
    assert len(frames_of(out)) == 5
    motion = MotionSequence.load(kept)
    torch.testing.assert_close(motion.rest.expression, motion.expression[2])
    assert run("drive", PORTRAIT, kept, *common, "--regions", "lips", "eyes", "--absolute", "--crop") == 0
    assert frames_of(out).shape == (5, 512, 512, 3)


def test_auto_takes_liveportrait_from_the_models_folders_and_reads_clips_with_it(tmp_path, folder, capsys):
    clip, out = tmp_path / "clip.mp4", tmp_path / "driven.mp4"
    write_video(clip, [load_picture(PORTRAIT)] * 2, 12.5)
    searched = ["--models", tmp_path / "nothing", "--models", folder]
    assert run("drive", PORTRAIT, clip, "-o", out, *searched, "--device", "cpu", "--max-side", 128) == 0
    assert "liveportrait renderer" in capsys.readouterr().out
    assert len(frames_of(out)) == 2


def test_an_animal_is_drawn_where_the_box_is(tmp_path, capsys):
    models, out = write_small_weights(tmp_path / "models", animals=True), tmp_path / "cat.mp4"
    template = GOLDEN / "driving_template.pkl"
    box = ["--animal", "--box", 170, 30, 290, 190]
    assert run("drive", PORTRAIT, template, "-o", out, *box, "--models", models, "--device", "cpu") == 0
    assert "liveportrait renderer" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["clip.mp4", "motion.safetensors", "template.pkl"])
def test_a_driver_that_is_missing_or_damaged_is_named(tmp_path, capsys, name):
    for content in (None, b"garbage"):
        if content:
            (tmp_path / name).write_bytes(content)
        assert run("drive", PORTRAIT, tmp_path / name, "-o", tmp_path / "out.mp4", *QUICK) == 1
        assert name in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


HOSTILE = b"cposix\nsystem\n(S'touch ran'\ntR."


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 99, HOSTILE, b"PK\x03\x04" + HOSTILE])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_broken_and_hostile_weights_are_told_and_nothing_is_written(tmp_path, capsys, monkeypatch, suffix, content):
    monkeypatch.chdir(tmp_path)
    models = write_small_weights(tmp_path / "models")
    file = models / "warping_module.safetensors"
    file.unlink()
    file.with_suffix(suffix).write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    template = GOLDEN / "driving_template.pkl"
    assert run("drive", PORTRAIT, template, "--renderer", "liveportrait", "--models", models, *QUICK) == 1
    assert "warping_module" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("size", "sentence"), [((16, 16), "16×16"), ((9, 4000), "9×4000")])
def test_pictures_without_room_for_a_face_are_refused(tmp_path, capsys, size, sentence):
    Image.new("L", size).save(tmp_path / "small.png")
    template = GOLDEN / "driving_template.pkl"
    assert run("drive", tmp_path / "small.png", template, "-o", tmp_path / "out.mp4", *QUICK) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "I;16"])
def test_pictures_of_every_kind_are_taken(tmp_path, mode):
    with Image.open(PORTRAIT) as picture:
        grey = picture.convert("L")
        other = (
            Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
        )
    other.save(tmp_path / "portrait.png")
    template, out = GOLDEN / "driving_template.pkl", tmp_path / "out.mp4"
    assert run("drive", tmp_path / "portrait.png", template, "-o", out, *QUICK) == 0


def rows(told: str) -> dict[str, list[str]]:
    """The cells of the listing's rows by the weights' name."""
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line) for line in told.splitlines())}


def test_the_listing_tells_what_is_present_missing_and_damaged(folder, tmp_path, capsys):
    broken = tmp_path / "motion_extractor.safetensors"
    broken.write_bytes((folder / broken.name).read_bytes()[:-10])
    assert run("models", "--models", tmp_path) == 0
    alone = rows(capsys.readouterr().out)
    assert alone["liveportrait/motion_extractor"][0] == "damaged"
    assert str(broken) in alone["liveportrait/motion_extractor"][-1]
    assert run("models", "--models", tmp_path, "--models", folder) == 0
    listed = rows(capsys.readouterr().out)
    assert {item.name for item in (*weights.LIVEPORTRAIT, *DIFFUSION)} < set(listed)
    state, size, licence, commercial, file = listed["liveportrait/motion_extractor"]
    assert (state, licence, commercial) == ("present", "MIT", "yes")
    assert re.fullmatch(r"\d+\.\d MB", size)
    assert str(folder / broken.name) in file
    assert "instead of 112496256" in file
    assert listed["liveportrait/animal/motion_extractor"][0] == "missing"


@pytest.fixture
def one_entry(monkeypatch):
    monkeypatch.setattr(weights, "LIVEPORTRAIT", (entry("own/net"),))
    monkeypatch.setattr(models, "HUMAN", (entry("own/net"),))


@pytest.mark.parametrize("names", [[], ["own"], ["own/net"]])
def test_missing_weights_are_fetched_once(one_entry, hub, tmp_path, capsys, names):  # noqa: F811
    serve(hub, name="own/net")
    fetch = ["models", "--models", tmp_path, "--endpoint", hub.url, "--quiet", "--download", *names]
    assert run(*fetch) == 0
    assert rows(capsys.readouterr().out)["own/net"][0] == "present"
    assert (tmp_path / "own" / "net.safetensors").read_bytes() == CONTENT
    asked = len(hub.requests)
    assert run(*fetch) == 0
    assert len(hub.requests) == asked


def test_a_changed_byte_is_found_by_verifying_and_fetched_anew(one_entry, hub, tmp_path, capsys):  # noqa: F811
    serve(hub, name="own/net")
    file = tmp_path / "own" / "net.safetensors"
    file.parent.mkdir()
    file.write_bytes(CONTENT[:-1] + b"?")
    assert run("models", "--models", tmp_path) == 0
    assert rows(capsys.readouterr().out)["own/net"][0] == "present"
    assert run("models", "--models", tmp_path, "--verify") == 0
    assert rows(capsys.readouterr().out)["own/net"][0] == "damaged"
    assert run("models", "--models", tmp_path, "--verify", "--download", "--endpoint", hub.url) == 0
    assert file.read_bytes() == CONTENT


def test_weights_that_cannot_be_fetched_are_told_and_leave_nothing(one_entry, hub, tmp_path, capsys):  # noqa: F811
    for change, sentence in (
        (["--offline"], "switched off"),
        (["--endpoint", hub.url], "could not be downloaded"),
        (["nothing"], "no weights called nothing"),
    ):
        assert run("models", "--models", tmp_path / "new", "--quiet", "--download", *change) == 1
        assert sentence in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size]


def test_diffusion_without_its_weights_says_what_is_missing(tmp_path, voice, capsys):
    assert run("animate", PORTRAIT, voice, "-o", tmp_path / "out.mp4", "--motion", "diffusion", *QUICK) == 1
    assert "joyvasa/motion_generator is missing" in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


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
        (["--regions", "ears"], "regions"),
        (["--multiplier", "9"], "multiplier"),
        (["--animal"], "--box"),
        (["--animal", "--box", 0, 0, 99, 99], "animal"),
        (["--box", 9000, 0, 9999, 99], "box"),
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
