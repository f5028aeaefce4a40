"""The nodes of the light driver and of speakers' sounds, run in the stand-in for ComfyUI."""

import pytest
import torch
from conftest import ROOT
from test_nodes import NODES, host, pack_module, picture, run, small_portrait  # noqa: F401 (fixtures)
from test_talker_installed import install


def spoken(start=0.4):
    """A second of the bundled voice."""
    sound = pack_module("lp_core.media.audio").load_audio(ROOT / "workflows" / "demo_speech.wav")
    first = round(start * sound.sample_rate)
    return {
        "waveform": sound.waveform[None, :, first : first + sound.sample_rate],
        "sample_rate": sound.sample_rate,
    }


@pytest.fixture
def models(host):  # noqa: F811 (the fixture)
    (host.folders["models"] / "diffpose").mkdir()
    return install(host.folders["models"] / "diffpose")


def test_the_talker_moves_the_lips(models, small_portrait):  # noqa: F811 (the fixture)
    (options,) = run("TalkerOptions", portrait=small_portrait, window=29, lip_reference="mean")
    assert options.person.shape == (70,)
    motion, _, fps, frames = run("AudioToMotion", audio=spoken(), motion="talker", fps=30.0, talker=options)
    assert (fps, frames) == (30.0, 30)
    other, *_ = run("AudioToMotion", audio=spoken(), motion="talker", fps=30.0)
    assert not torch.equal(motion.expression, other.expression)
    assert torch.equal(motion.rotation, other.rotation)


@pytest.mark.parametrize(("motion", "encoder"), [("procedural", "mel"), ("talker", "sadtalker")])
def test_a_speaker_changes_the_lips_by_strength(models, motion, encoder):
    given = {"audio": spoken(), "motion": motion, "pose": "still"}
    plain, *_ = run("AudioToMotion", **given)
    moved = []
    for strength in (0.0, 0.5, 1.0):
        speaker, sounds = run("BuildSpeaker", audio=spoken(2.0), encoder=encoder, strength=strength)
        assert sounds == (101 if encoder == "mel" else 25)
        expression = run("AudioToMotion", **given, speaker=speaker)[0].expression
        moved.append((expression - plain.expression).abs().max().item())
    assert moved[0] == 0 < moved[1] < moved[2]


def test_a_speaker_of_another_encoder_is_refused(models):
    speaker, _ = run("BuildSpeaker", audio=spoken(), encoder="mel")
    with pytest.raises(ValueError, match="encoder 'mel', but this motion hears the voice through 'sadtalker'"):
        run("AudioToMotion", audio=spoken(), motion="talker", speaker=speaker)


def test_a_speaker_survives_the_way_through_a_file(host):  # noqa: F811 (the fixture)
    speaker, _ = run("BuildSpeaker", audio=spoken())
    _, filename = run("SaveSpeaker", speaker=speaker)
    name = f"speaker/{filename.rsplit('/', 1)[-1]} [output]"
    assert NODES["LoadSpeaker"].VALIDATE_INPUTS(file=name) is True
    (again,) = run("LoadSpeaker", file=name, strength=0.25, neighbours=3)
    assert torch.equal(again.bank.features, speaker.bank.features)
    assert (again.bank.encoder, again.strength, again.neighbours) == ("mel", 0.25, 3)


def test_lips_take_a_persons_shapes_and_nothing_else_changes():
    motion, *_ = run("AudioToMotion", audio=spoken(), motion="procedural")
    person, *_ = run("AudioToMotion", audio=spoken(2.0), motion="procedural", lips=0.0)
    keypoints = pack_module("lp_core.motion.keypoints")
    (shut,) = run("ProjectLips", motion=motion, person=person)
    lips = list(keypoints.LIPS)
    others = [keypoint for keypoint in range(21) if keypoint not in lips]
    assert torch.equal(shut.expression[:, others], motion.expression[:, others])
    assert shut.expression[:, lips].abs().max() < 0.5 * motion.expression[:, lips].abs().max()
    (same,) = run("ProjectLips", motion=motion, person=person, strength=0.0)
    torch.testing.assert_close(same.expression, motion.expression)
