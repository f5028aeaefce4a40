"""The nodes whose head motion a network makes, run in the stand-in for ComfyUI."""

from dataclasses import replace

import pytest
import torch
from talker_goldens import filled, tensors_of
from test_nodes import NODES, host, pack_module, run  # noqa: F401 (a fixture)
from test_pose_nodes import speaking
from test_speaker_nodes import models, spoken  # noqa: F401 (a fixture)

from talking_head.diffpose.talker.apc import Apc
from talking_head.diffpose.talker.head_pose import HeadPoseNetwork, PoseLayout
from talking_head.diffpose.talker.pose_models import PoseModel
from talking_head.lp_core.media.rates import frame_rate


def own_model(encoder, feature):
    torch.manual_seed(4)
    network = HeadPoseNetwork(PoseLayout(feature, condition=16, blocks=6)).eval().requires_grad_(False)
    return PoseModel(network, frame_rate(25), 6, torch.tensor([3.0, 4, 2, 0.02, 0.02, 0.01]), None, encoder)


@pytest.fixture
def folder(host):  # noqa: F811 (the fixture)
    place = host.folders["models"] / "diffpose"
    (place / "pose").mkdir(parents=True)
    own_model("apc", 512).save(place / "pose" / "ours.safetensors")
    with torch.device("meta"):
        network = HeadPoseNetwork()
    tensors = {f"module.{key}": value for key, value in tensors_of(network, "audio2headpose").items()}
    torch.save(tensors, place / "pose" / "Audio2Headpose.pkl")
    torch.save(tensors_of(filled(Apc, "apc"), "apc"), place / "APC_epoch_160.model")
    return place


@pytest.mark.parametrize("model", ["ours.safetensors", "Audio2Headpose.pkl"])
def test_a_drawn_head_is_put_on_the_motion_by_weight(folder, model):
    assert NODES["LearnedPose"].INPUT_TYPES()["required"]["model"][0] == ["Audio2Headpose.pkl", "ours.safetensors"]
    given = {"motion": speaking(20), "audio": spoken(), "model": model, "seed": 3}
    (full,) = run("LearnedPose", **given)
    (again,) = run("LearnedPose", **given)
    (half,) = run("LearnedPose", **given, weight=0.5)
    (none,) = run("LearnedPose", **given, weight=0.0)
    assert len(full) == 20
    assert full.rotation.abs().max() > 0.1
    assert torch.equal(full.rotation, again.rotation)
    assert half.rotation.norm() < full.rotation.norm()
    torch.testing.assert_close(none.rotation, given["motion"].rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(full.expression, given["motion"].expression)


def test_a_speaker_of_the_models_encoder_changes_the_head(folder):
    speaker, _ = run("BuildSpeaker", audio=spoken(2.0), encoder="apc", strength=1.0)
    given = {"motion": speaking(20), "audio": spoken(), "model": "Audio2Headpose.pkl"}
    assert not torch.equal(
        run("LearnedPose", **given, speaker=speaker)[0].rotation, run("LearnedPose", **given)[0].rotation
    )
    wrong, _ = run("BuildSpeaker", audio=spoken(), encoder="mel")
    with pytest.raises(ValueError, match=r"encoder 'mel'.* through 'apc'"):
        run("LearnedPose", **given, speaker=wrong)


@pytest.mark.parametrize("name", ["../APC_epoch_160.model", "nothing.pkl"])
def test_models_elsewhere_are_not_opened(folder, name):
    with pytest.raises(ValueError, match="There is no head-pose model"):
        run("LearnedPose", motion=speaking(), audio=spoken(), model=name)


def test_a_model_of_an_unknown_encoder_says_so(folder):
    own_model("whisper", 8).save(folder / "pose" / "other.safetensors")
    with pytest.raises(ValueError, match="no speech encoder 'whisper'"):
        run("LearnedPose", motion=speaking(), audio=spoken(), model="other.safetensors")


def test_sadtalkers_head_begins_where_the_portrait_is(models):  # noqa: F811 (the fixture)
    given = {"motion": speaking(40), "audio": spoken(), "pose_style": 7}
    (full,) = run("SadTalkerPose", **given)
    (other,) = run("SadTalkerPose", **given | {"pose_style": 8})
    assert len(full) == 40
    assert full.rotation.abs().max() > 0.1
    assert not torch.equal(full.rotation, other.rotation)
    sound = spoken()
    with pytest.raises(ValueError, match=r"too short for a head pose: it lasts 0\.0"):
        run("SadTalkerPose", motion=speaking(), audio=sound | {"waveform": sound["waveform"][..., :300]})


def test_a_reference_starts_at_its_offset_and_may_be_taken_as_it_is():
    motion_module = pack_module("lp_core.motion.sequence")
    still = motion_module.MotionSequence.still(30, 25)
    yaw = torch.linspace(0, 12, 30)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    clip = motion_module.MotionSequence(still.expression, yaw, still.scale, still.translation, 25, still.rest)
    (pose,) = run("ReferencePose", motion=speaking(8), reference=clip, start="offset", offset=10)
    torch.testing.assert_close(pose.rotation, yaw[10:18] - yaw[10], atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="starts at frame 30 of 30"):
        run("ReferencePose", motion=speaking(8), reference=clip, start="offset", offset=30)


def test_the_reference_is_absolute_for_a_portrait():

    motion_module = pack_module("lp_core.motion.sequence")
    still = motion_module.MotionSequence.still(9, 25)
    yaw = torch.full((9, 1), 12.0) * torch.tensor([0.0, 1.0, 0.0])
    clip = replace(still, rotation=yaw)
    rest = replace(still.rest, rotation=torch.tensor([0.0, 5.0, 0.0]))
    portrait = type("Turned", (), {"rest": rest})()
    (pose,) = run("ReferencePose", motion=speaking(8), reference=clip, portrait=portrait)
    torch.testing.assert_close(pose.rotation[:, 1], torch.full((8,), 7.0), atol=1e-3, rtol=0)
