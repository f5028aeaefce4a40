import pytest
import torch
from safetensors.torch import save_file
from talker_goldens import assert_near, filled, golden, tensors_of

from talking_head.diffpose.talker.head_pose import HeadPoseNetwork, PoseLayout, paired, sample_poses
from talking_head.diffpose.talker.pose_models import (
    FACE_MODEL_SIGNS,
    LSP_UNITS,
    PoseModel,
    autoregressive_pose,
    load_pose_model,
    vae_pose,
)
from talking_head.diffpose.talker.pose_vae import PoseVae, blocks_of
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError
from talking_head.lp_core.media.rates import frame_rate
from talking_head.lp_core.motion.keypoints import rotation_matrix
from talking_head.lp_core.motion.smoothers import gaussian


@pytest.fixture
def model():
    torch.manual_seed(4)
    network = HeadPoseNetwork(PoseLayout(feature=8, condition=16, blocks=6)).eval().requires_grad_(False)
    units = torch.tensor([3.0, 4.0, 2.0, 0.02, 0.02, 0.01])
    return PoseModel(network, frame_rate(25), 6, units, torch.full((6,), 2.0), "hubert layer 9")


def test_drawn_motion_repeats_by_seed_and_keeps_to_its_limits(model):
    features = torch.randn(40, 16)
    pose = autoregressive_pose(model, features, seed=1, sigma_scale=1.0)
    assert len(pose) == 40
    assert torch.equal(pose.rotation, autoregressive_pose(model, features, seed=1, sigma_scale=1.0).rotation)
    assert not torch.equal(pose.rotation, autoregressive_pose(model, features, seed=2, sigma_scale=1.0).rotation)
    restless = autoregressive_pose(model, features, sigma_scale=9.0)
    assert (restless.rotation.abs() <= 2 * model.units[:3] + 1e-5).all()
    assert not pose.expression.any()


def test_a_model_survives_the_way_through_a_file(model, tmp_path):
    model.save(tmp_path / "pose.safetensors")
    again, features = load_pose_model(tmp_path / "pose.safetensors"), torch.randn(10, 16)
    assert (again.fps, again.ahead, again.encoder) == (25, 6, "hubert layer 9")
    assert_near(autoregressive_pose(again, features).rotation, autoregressive_pose(model, features).rotation, 1e-6)


def test_a_persons_file_of_live_speech_portraits_loads(tmp_path):
    """Its keys begin with `module.`, and it runs 60 poses a second."""
    with torch.device("meta"):
        network = HeadPoseNetwork()
    torch.save({f"module.{k}": v for k, v in tensors_of(network, "audio2headpose").items()}, tmp_path / "a.pkl")
    model, pairs = load_pose_model(tmp_path / "a.pkl"), paired(golden("lsp_headpose")["feats"])
    assert (model.fps, model.ahead, model.network.layout) == (60, 15, PoseLayout())
    poses = sample_poses(model.network, pairs[:20], golden("lsp_headpose")["noise"][:5], model.ahead)
    assert_near(poses, golden("lsp_headpose")["rollout_sigma03"][:5], 1e-4)
    pose = autoregressive_pose(model, pairs[:20], sigma_scale=0.0).resampled(25)
    expected = sample_poses(model.network, pairs[:16], torch.zeros(1, 12), 15, 0.0)[0, :3]
    assert_near(pose.rotation[0], expected, 1e-4)
    assert not pose.translation.any()


HALF_TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # from y up, z towards the viewer, to this pack's axes


def test_angles_of_live_speech_portraits_are_ours():
    """Its golden projection comes out of this pack's rotation by the same angles, less the 180 of its pitch."""
    stored = golden("lsp_post")
    degrees = stored["headpose"][:3] - torch.tensor([180.0, 0.0, 0.0])
    turned = stored["face3d"] @ HALF_TURN @ rotation_matrix(degrees)
    seen = (stored["scale"] * turned + stored["headpose"][3:]) @ stored["K"].T
    assert_near(seen[:, :2] / seen[:, 2:], stored["projected"], 1e-3)
    assert LSP_UNITS[:3] == (1, 1, 1)


def test_the_face_models_angles_are_ours_by_its_signs():
    """Turning in its axes and going over to ours is going over and turning by its angles with the signs."""
    degrees, points = 40 * torch.randn(20, 3), torch.randn(20, 5, 3)
    theirs = points @ rotation_matrix(degrees) @ HALF_TURN
    ours = points @ HALF_TURN @ rotation_matrix(degrees * torch.tensor(FACE_MODEL_SIGNS))
    assert_near(ours, theirs, 1e-5)
    nose = torch.tensor([[[0.0, 0.0, 1.0]]]) @ rotation_matrix(torch.tensor([[0.0, 90.0, 0.0]]))
    assert_near(nose[0, 0], torch.tensor([1.0, 0.0, 0.0]), 1e-6)  # to the picture's right


def test_damaged_models_are_named(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"format": "talking-head pose 1"})
    with pytest.raises(CheckpointError, match="damaged pose model"):
        load_pose_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize("frames", [2, 33, 34])
def test_vae_motion_starts_in_the_portraits_pose(frames):
    network, windows = filled(PoseVae, "audio2pose"), golden("sadtalker_audio2pose")["45.mel"][:frames]
    pose = vae_pose(network, windows, torch.randn(6) * 0.1, style=3, seed=1)
    assert len(pose) == frames
    assert blocks_of(frames) == (frames + 30) // 32
    assert pose.rotation.std() > 0.1
    other = vae_pose(network, windows, torch.randn(6) * 0.1, style=3, seed=1, signs=(1.0, 1.0, 1.0))
    assert pose.rotation.shape == other.rotation.shape


def test_landmark_smoothing_equals_the_original():
    stored = golden("lsp_post")
    assert_near(gaussian(stored["pts"], 1.5), stored["smooth_mouth_1.5"], 1e-6)
    for rotation, place in ((5, 10), (2, 8)):
        smoothed = [gaussian(stored["head"][:, :3], rotation), gaussian(stored["head"][:, 3:], place)]
        assert_near(torch.cat(smoothed, 1), stored[f"smooth_head_{rotation}_{place}"], 1e-6)
