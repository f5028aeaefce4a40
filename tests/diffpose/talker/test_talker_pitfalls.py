"""Pitfalls of the originals (talker spec, section 9) that no other file's tests hold.

Every test says what the original does, in a few lines of its own, and that ours does otherwise.
"""

import math

import numpy as np
import pytest
import torch
from conftest import ROOT
from talker_goldens import assert_near, filled, golden, waveform
from test_dubbing import mesh

from talking_head.diffpose.talker.apc import speech_columns
from talking_head.diffpose.talker.driver import Talker
from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.head_pose import HeadPoseNetwork, PoseLayout, gaussian_likelihood, sample_poses
from talking_head.diffpose.talker.mapping import MappingNetwork
from talking_head.diffpose.talker.pose_models import vae_pose
from talking_head.diffpose.talker.pose_vae import PoseVae, blocks_of
from talking_head.diffpose.talker.reconstruction import align, aligned_picture, five_points
from talking_head.diffpose.talker.spectrum import mel_windows
from talking_head.lp_core.faces.crop import CropOptions, crop_to_picture, cut
from talking_head.lp_core.faces.faces import NoFaceError
from talking_head.lp_core.faces.search import find_faces
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError, build_network
from talking_head.lp_core.motion.keypoints import angle_degrees, rotation_matrix
from talking_head.lp_core.motion.smoothers import savitzky_golay
from talking_head.lp_core.render.dubbing import clip_faces

SHIPPED_NETS = {"viseme_net", "eye_net", "mouth_net", "face_model", "landmark_net", "judge_net"}


def test_pictures_are_red_green_blue():
    """Pitfall 9: the original trains on pictures whose red and blue are swapped."""
    picture = torch.zeros(200, 200, 3)
    picture[..., 0] = 1.0
    landmarks = mesh(200, 100.0)
    aligned = aligned_picture(picture, align(five_points(landmarks), 200))
    assert aligned[112, 112].tolist() == [1.0, 0.0, 0.0]
    assert aligned.flip(-1)[112, 112].tolist() == [0.0, 0.0, 1.0]  # the original's


def test_crops_keep_their_aspect():
    """Pitfall 9: the original squeezes a crop of any shape into a square."""
    wide = torch.rand(90, 240, 3)
    crop = cut(wide, crop_to_picture(mesh(90, 45.0), CropOptions()))
    linear = crop.to_picture[:, :2]
    assert_near(linear.T @ linear, torch.eye(2) * torch.linalg.det(linear).abs(), 1e-4)
    squeezed = torch.tensor([[240 / 256, 0.0], [0.0, 90 / 256]])
    assert (squeezed.T @ squeezed - torch.eye(2) * torch.linalg.det(squeezed)).abs().max() > 0.1


@pytest.mark.parametrize("larger", [15.0, 40.0])
def test_crops_of_large_pictures_lie_where_the_face_is(larger):
    """Pitfall 9: the original shrinks faces larger than 2048 pixels, and never goes back to the picture's own."""
    small, large = mesh(200, 100.0), mesh(200, 100.0) * larger
    left, right = five_points(large)[:2]
    assert 4 * (right - left).norm() / 512 * 0.5 > 2  # where `shrink` begins
    first, second = (crop_to_picture(points, CropOptions()) for points in (small, large))
    assert_near(second / larger, first, 1e-2)


def test_pictures_without_a_face_are_said_and_clips_go_on():
    """Pitfall 9: the original unpacks six values of three there, and drops a clip with one such frame."""
    wall = torch.full((64, 64, 3), 0.5)
    with pytest.raises(NoFaceError):
        find_faces(wall)
    assert clip_faces([wall, wall]) == (None, None)


def test_networks_leave_their_sizes_alone():
    """Pitfall 10: the original's encoder adds to the list of sizes that it is given, so a second one differs."""
    with torch.device("meta"):
        first, second = PoseVae(), PoseVae()
    shapes = [{key: value.shape for key, value in network.state_dict().items()} for network in (first, second)]
    assert shapes[0] == shapes[1]

    def original(sizes):
        sizes[0] += 64 + 192 + 6
        return tuple(sizes)

    shared = [192, 128]
    assert original(shared) != original(shared)


def test_angles_are_not_sadtalkers_rough_ones():
    """Pitfall 14: SadTalker counts bins from -99 and turns by 3.14."""
    bins = torch.full((1, 66), -50.0)
    bins[0, 33] = 50.0  # the bin above straight ahead
    assert angle_degrees(bins).item() == pytest.approx(33 * 3 - 97.5)
    assert angle_degrees(bins).item() != pytest.approx(33 * 3 - 99)
    half_turn = rotation_matrix(torch.tensor([[0.0, 180.0, 0.0]]))[0]
    assert_near(half_turn, torch.diag(torch.tensor([-1.0, 1.0, -1.0])), 1e-6)
    rough = 180 / 180 * 3.14
    assert abs(math.sin(rough)) > 1e-3


def test_vae_angles_are_degrees_by_pi():
    """Pitfall 14: radians by 3.14 would be off by a twentieth of a degree at 90."""
    network, windows = filled(PoseVae, "audio2pose"), golden("sadtalker_audio2pose")["45.mel"]
    pose = vae_pose(network, windows, torch.zeros(6), seed=1, signs=(1.0, 1.0, 1.0))
    latents = torch.randn(blocks_of(45), 64, generator=torch.Generator().manual_seed(1))
    radians = savitzky_golay(network(windows, torch.zeros(6), 0, latents))[:, :3]
    exact, rough = (radians.double() * 180 / pi for pi in (math.pi, 3.14))
    assert_near(pose.rotation.double(), exact, 1e-4)
    assert (rough - exact).abs().max() > 1e-3


def test_columns_start_at_fractions_of_samples():
    """Pitfall 15: every third column starts 400 samples on; whole steps of 133 would drift by a sample."""
    period = waveform(400)
    columns = speech_columns(period.repeat(60))
    assert_near(columns[3:60], columns[:57], 1e-5)
    whole_steps = torch.tensor([133 * column for column in range(60)])
    assert (whole_steps[3:] - whole_steps[:-3] != 400).all()


def test_each_clip_is_mirrored_at_its_own_ends():
    """Pitfall 15: mirroring the whole sound once, as librosa does, gives other columns."""
    sound = waveform(8000)
    columns = speech_columns(sound)
    half = speech_columns(sound[4000:])
    assert_near(columns[30:50], half[:20], 1e-5)


@pytest.mark.parametrize("ahead", [0, 4])
def test_a_pose_hears_as_far_ahead_as_the_model_says_and_no_farther(ahead):
    """Pitfall 15: the original trains with the voice of one frame less than it runs with."""
    torch.manual_seed(5)
    network = HeadPoseNetwork(PoseLayout(feature=8, condition=16, blocks=6)).eval().requires_grad_(False)
    features, noise, frame = torch.randn(20 + ahead, 16), torch.randn(20, 12), 9

    def poses(changed):
        other = features.clone()
        other[changed:] += 1.0
        return sample_poses(network, other, noise, ahead)

    plain = sample_poses(network, features, noise, ahead)
    assert not torch.equal(poses(frame + ahead)[frame], plain[frame])
    assert torch.equal(poses(frame + ahead + 1)[: frame + 1], plain[: frame + 1])


def test_mixtures_are_no_poses():
    """Pitfall 15: the original's loss leaves out the weights of a mixture, so only one component is right."""
    parameters = torch.randn(5, 27)
    weighted = parameters.clone()
    weighted[:, 0] += 3.0
    target = torch.randn(5, 4)
    assert torch.equal(gaussian_likelihood(parameters, target, 3), gaussian_likelihood(weighted, target, 3))
    network = HeadPoseNetwork(PoseLayout(feature=8, condition=16, blocks=6))
    state = {key: value.detach().clone() for key, value in network.state_dict().items()}
    state["WaveNet.end_conv_2.weight"] = torch.zeros(3 * 25, 25, 1)
    state["WaveNet.end_conv_2.bias"] = torch.zeros(3 * 25)
    with pytest.raises(CheckpointError, match="end_conv_2"):
        build_network(state, HeadPoseNetwork, source="a mixture")


def test_everything_runs_without_cuda(monkeypatch):
    """Pitfall 15: the original's loss and sampler call `.cuda()`."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.Tensor, "cuda", refuse)
    monkeypatch.setattr(torch.nn.Module, "cuda", refuse)
    network = HeadPoseNetwork(PoseLayout(feature=8, condition=16, blocks=6)).eval()
    assert len(sample_poses(network, torch.randn(6, 16), torch.randn(4, 12), 2)) == 4
    assert gaussian_likelihood(torch.randn(5, 25), torch.randn(5, 12)).isfinite()


def test_sizes_are_plain_numbers():
    """Pitfall 19: the original turns arrays of one element into numbers, which numpy 2.4 refuses."""
    one = np.array([102.0])
    with pytest.raises((TypeError, DeprecationWarning)):  # warnings are errors here
        float(one)
    assert isinstance(align(five_points(mesh(200, 100.0)), 200).scale, float)


def test_nobodys_weights_are_shipped_and_the_notice_stands():
    """Pitfall 20: the original's repository comes with real people's files and without a word on consent."""
    suffixes = (".safetensors", ".pkl", ".pt", ".pth", ".npy", ".npz", ".model", ".tar", ".mat")
    kept = {
        path.stem
        for folder in ("diffpose", "lp_core", "nodes", "web", "example_workflows", "workflows", "tests/benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes
    }
    assert kept <= SHIPPED_NETS
    assert "Animate only people who agreed to it" in (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "web" / "js" / "docs" / "DubVideo.md").read_text(encoding="utf-8")
    assert "Only dub people who agreed to it" in page


def test_a_windows_place_is_cut_towards_zero():
    """Pitfall 2: rounding down instead shifts the first two frames' windows by a column."""
    columns = torch.arange(40.0)[:, None].expand(40, 80)
    ours = mel_windows(columns, range(2))[:, 0]
    down = torch.tensor([[math.floor(3.2 * (frame - 2)) for frame in range(2)]]).T + torch.arange(16)
    assert not torch.equal(ours, down.clamp(min=0).float())
    assert ours[:, -1].tolist() == [9.0, 12.0]


def test_lips_do_not_depend_on_where_a_clip_is_cut():
    """Pitfall 4: measured from the first frame, the same speech has other lips when the clip begins later."""
    torch.manual_seed(3)
    mapping = MappingNetwork(width=16).eval().requires_grad_(False)
    driver, sound = Talker(filled(ExpressionNetwork, "audio2exp"), mapping), waveform(32_000)
    whole, later = driver.lip_deltas(sound), driver.lip_deltas(sound[12_800:])
    assert_near(later[20:], whole[40:], 1e-4)
    from_first = [lips - lips[0] for lips in (whole, later)]
    assert (from_first[1][20:] - from_first[0][40:]).abs().max() > 0.05
