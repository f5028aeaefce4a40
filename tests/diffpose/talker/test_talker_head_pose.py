import pytest
import torch
from talker_goldens import assert_near, filled, golden, waveform

from talking_head.diffpose.talker.apc import Apc, speech_columns
from talking_head.diffpose.talker.head_pose import (
    HeadPoseNetwork,
    PoseLayout,
    PoseSampler,
    gaussian_likelihood,
    paired,
    sample_poses,
    soft_limit,
)
from talking_head.diffpose.talker.spectrum import mel_filters

AHEAD = 15


@pytest.fixture(scope="module")
def network():
    return filled(HeadPoseNetwork, "audio2headpose")


@pytest.fixture(scope="module")
def pairs():
    return paired(golden("lsp_headpose")["feats"])


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(5)
    return HeadPoseNetwork(PoseLayout(feature=8, condition=16, blocks=6)).eval().requires_grad_(False)


def test_speech_columns_equal_the_original():
    stored = golden("lsp_mel_apc")
    assert_near(mel_filters(80, 512, 90.0, 7600.0)[::8], stored["mel_basis"], 1e-6)
    assert_near(speech_columns(waveform(19011)), stored["mel80"], 2e-4)


def test_apc_features_equal_the_original_and_continue():
    network, stored = filled(Apc, "apc"), golden("lsp_mel_apc")
    whole, _ = network(stored["mel80"])
    assert_near(whole, stored["apc_feat"], 1e-4)
    first, memory = network(stored["mel80"][:50])
    second, _ = network(stored["mel80"][50:], memory)
    assert_near(torch.cat([first, second]), whole, 1e-5)


@pytest.mark.parametrize(("name", "scale", "tolerance"), [("0", 0.0, 1e-4), ("03", 0.3, 1e-4), ("1", 1.0, 3e-4)])
def test_roll_out_equals_the_original(network, pairs, name, scale, tolerance):
    stored = golden("lsp_headpose")
    poses = sample_poses(network, pairs, stored["noise"], AHEAD, scale)
    assert_near(poses, stored[f"rollout_sigma{name}"], tolerance)


def test_roll_out_from_another_pose_equals_the_original(network, pairs):
    stored = golden("lsp_headpose")
    poses = sample_poses(network, pairs[:20], stored["noise"][:5], AHEAD, 0.3, first=stored["pre2"])
    assert_near(poses, stored["rollout_pre2"], 1e-4)


def test_incremental_equals_a_sliding_window(tiny):
    """The queues give what running the whole field for every pose gives, velocities fed back as sampled."""
    field, ahead, frames = tiny.layout.field, 4, 20
    features, noise = torch.randn(frames + ahead, 16), torch.randn(frames, 12)
    found = sample_poses(tiny, features, noise, ahead, 0.5, first=torch.full((12,), 0.2))
    history = [torch.full((12,), 0.2)] * field
    padded = torch.cat([features[:1].expand(field, 16), features])
    for frame in range(frames):
        heard = padded[frame + ahead + 1 : frame + ahead + 1 + field]
        parameters = tiny(torch.stack(history[-field:])[None], heard[None])[0]
        history.append(parameters[1:13] + 0.5 * noise[frame] * torch.exp(-parameters[13:]))
    assert field == 15
    assert_near(found, torch.stack(history[field:]), 1e-5)


def test_recomputed_velocities_would_be_another_motion(tiny):
    """Pitfall 17: what is fed back is the sampled velocity, not the difference of the poses."""
    features, noise = torch.randn(30, 16), torch.randn(26, 12)
    poses = sample_poses(tiny, features, noise, 4, 1.0)
    assert (poses[1:, :6] - poses[:-1, :6] - poses[1:, 6:]).abs().max() > 0.05


def test_a_sampler_hears_features_as_they_come(tiny):
    features, noise = torch.randn(14, 16), torch.randn(10, 12)
    whole = sample_poses(tiny, features, noise, 4)
    with torch.no_grad():
        sampler = PoseSampler(tiny, torch.zeros(12), features[0])
        for feature in features[:4]:
            sampler.hear(feature)
        stepped = [sampler.next(feature, drawn) for feature, drawn in zip(features[4:], noise, strict=True)]
    assert torch.equal(torch.stack(stepped), whole)


def test_limits_hold_softly(tiny):
    limits = torch.full((6,), 0.1)
    poses = sample_poses(tiny, torch.randn(30, 16), 5 * torch.randn(26, 12), 4, 1.0, limits=limits)
    assert poses[:, :6].abs().max() <= 0.1
    near = torch.linspace(-0.05, 0.05, 9)[:, None].expand(9, 6)
    assert torch.equal(soft_limit(near, limits), near)
    rising = soft_limit(torch.linspace(0, 1, 50)[:, None].expand(50, 6), limits)
    assert (rising.diff(dim=0) >= 0).all()


def test_sizes_are_read_from_shapes(tiny):
    shapes = {key: value.shape for key, value in tiny.state_dict().items()}
    assert HeadPoseNetwork.for_shapes(shapes).layout == tiny.layout
    assert PoseLayout().field == 255
    assert PoseLayout(blocks=12).field == 127


@pytest.mark.parametrize(
    ("parameters", "target", "expected", "components"),
    [
        ("gmm.params", "gmm.target", "gmm.nll", 3),
        ("gmm.params_sharp", "gmm.target", "gmm.nll_sharp", 3),
        ("gmm1.params", "gmm1.target", "gmm1.nll", 1),
    ],
)
def test_likelihood_equals_the_original(parameters, target, expected, components):
    stored = golden("lsp_headpose")
    loss = gaussian_likelihood(stored[parameters], stored[target], components)
    torch.testing.assert_close(loss, stored[expected][0], rtol=1e-5, atol=1e-4)
