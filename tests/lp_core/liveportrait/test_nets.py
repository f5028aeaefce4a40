"""LivePortrait's networks against the original's numbers, and the identities their rewrites rest on."""

import zlib
from copy import deepcopy
from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from plain_networks import plain_decoder, plain_warping
from safetensors.torch import load_file
from synthetic_weights import GOLDEN, fingerprints, golden_input, network, state, tiny
from torch import nn

from talking_head.lp_core.liveportrait.nets import warping
from talking_head.lp_core.liveportrait.nets.appearance import AppearanceExtractor
from talking_head.lp_core.liveportrait.nets.blocks import SlicedConv3d, fold
from talking_head.lp_core.liveportrait.nets.convolutions import (
    FourierHeads,
    RepeatedConvolution,
    WinogradConvolution,
)
from talking_head.lp_core.liveportrait.nets.decoder import SpadeDecoder
from talking_head.lp_core.liveportrait.nets.motion_extractor import HEADS, MotionExtractor
from talking_head.lp_core.liveportrait.nets.stitching import StitchingNetworks
from talking_head.lp_core.liveportrait.nets.warping import WarpingNetwork


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@lru_cache
def golden(name: str) -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


def pictures(count: int) -> torch.Tensor:
    return golden("motion")["image_u8"][:count].permute(0, 3, 1, 2).float() / 255


def strided(tensor: torch.Tensor, *steps: int) -> torch.Tensor:
    """Every n-th element along the last dimensions."""
    return tensor[(..., *(slice(None, None, step) for step in steps))]


class Recorder:
    """What the named submodules give during the calls made inside the block, by name."""

    def __init__(self, net: nn.Module, *names: str):
        self.net, self.names, self.outputs = net, names, {}

    def __enter__(self) -> dict[str, torch.Tensor]:
        self.hooks = [
            self.net.get_submodule(name).register_forward_hook(
                lambda _module, _inputs, output, name=name: self.outputs.__setitem__(name, output)
            )
            for name in self.names
        ]
        return self.outputs

    def __exit__(self, *_error):
        for hook in self.hooks:
            hook.remove()


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float, what: str = "") -> None:
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)}, golden {tuple(expected.shape)}"
    difference = (actual.double() - expected.double()).abs().max().item()
    assert difference <= tolerance, f"{what} differs by {difference:.2e}, allowed {tolerance:.0e}"


@pytest.mark.parametrize("module", fingerprints())
def test_synthetic_weights_are_those_the_goldens_were_made_with(module):
    for key, (shape, checksum, total) in fingerprints()[module].items():
        array = state(module)[key].numpy()
        assert list(array.shape) == shape
        assert array.astype("float64").sum() == pytest.approx(total, abs=1e-5)
        if not key.endswith("weight_v"):  # goes through a matrix product, whose last bit is the machine's
            assert zlib.crc32(array.tobytes()) == checksum, key


def test_appearance_extractor_equals_the_original():
    net, expected = network(AppearanceExtractor), golden("appearance")
    with Recorder(net, "first", "down_blocks.0", "down_blocks.1", "second") as seen:
        volume = net(pictures(1))
    assert volume.shape == (1, 32, 16, 64, 64)
    assert_close(strided(seen["first"], 4, 16, 16), expected["first_s8"], 5e-6)
    assert_close(strided(seen["down_blocks.0"], 8, 8, 8), expected["down0_s"], 5e-6)
    assert_close(strided(seen["down_blocks.1"], 8, 4, 4), expected["down1_s"], 5e-6)
    assert_close(strided(seen["second"], 16, 4, 4), expected["second_s"], 1e-5)
    assert_close(strided(volume, 4, 4, 8, 8), expected["f_s_s"], 1e-5)
    assert_close(volume.double().mean(dim=(2, 3, 4)), expected["f_s_mean"], 1e-6)
    assert_close(volume.double().std(dim=(2, 3, 4), correction=0), expected["f_s_std"], 1e-6)


def test_motion_extractor_equals_the_original():
    net, expected = network(MotionExtractor), golden("motion")
    downs = [f"detector.downsample_layers.{level}" for level in range(4)]
    stages = [f"detector.stages.{level}" for level in range(4)]
    with Recorder(net, *downs, *stages, "detector", *(f"detector.fc_{head}" for head in HEADS)) as seen:
        motion = net(pictures(3))
    for level, steps in enumerate([(4, 8, 8), (4, 4, 4), (4, 2, 2), (8, 1, 1)]):
        assert_close(strided(seen[downs[level]][:1], *steps), expected[f"down{level}_s"], 2e-5, f"down{level}")
        assert_close(strided(seen[stages[level]][:1], *steps), expected[f"stage{level}_s"], 5e-5, f"stage{level}")
    assert_close(seen["detector"], expected["pooled_norm"], 1e-5)
    for name, actual, tolerance in (
        ("pitch", motion.pitch, 2e-5),
        ("yaw", motion.yaw, 2e-5),
        ("roll", motion.roll, 2e-5),
        ("t", motion.translation, 1e-6),
        ("exp", motion.expression.flatten(1), 3e-6),
        ("scale", motion.scale, 1e-6),
        ("kp", motion.keypoints.flatten(1), 3e-6),
    ):
        assert_close(actual, expected[f"raw_{name}"], tolerance, name)


def test_warping_network_equals_the_original():
    net, expected = network(WarpingNetwork), golden("warp")
    dense = net.dense_motion_network
    names = ["compress", "hourglass.encoder", "hourglass", "mask"]
    with Recorder(dense, *names) as seen:
        warped = net(golden_input("f_s", (1, 32, 16, 64, 64)), expected["kp_source"], expected["kp_driving"])
    hints = seen["hourglass.encoder"][0][:1]
    motions = hints.unflatten(1, (22, 5))
    assert_close(strided(seen["compress"].relu(), 4, 4, 4), expected["compress_s"], 5e-6)
    assert_close(strided(motions[:, :, :1].squeeze(2), 4, 8, 8), expected["heatmap_s"].squeeze(2), 1e-6)
    assert_close(strided(motions[:, :, 1:], 8, 8, 8), expected["deformed_s"], 2e-5)
    assert_close(strided(hints, 2, 8, 8, 8), expected["hourglass_in_s"], 2e-5)
    assert_close(strided(seen["hourglass.encoder"][5][:1], 16, 2, 1, 1), expected["encoder4_s"], 1e-5)
    assert_close(strided(seen["hourglass"][:1], 2, 4, 8, 8), expected["prediction_s"], 2e-5)
    assert_close(strided(seen["mask"][:1].softmax(dim=1), 8, 8, 8), expected["mask_s"], 5e-6)
    assert_close(strided(warped.deformation, 4, 4, 4, 1), expected["deformation_s"], 2e-6)
    assert_close(warped.occlusion, expected["occlusion"], 1e-5)
    assert_close(strided(warped.features, 8, 4, 4), expected["out_s"], 5e-5)
    assert_close(warped.features.double().mean(dim=(2, 3)), expected["out_mean"], 2e-6)
    assert_close(warped.features.double().std(dim=(2, 3), correction=0), expected["out_std"], 2e-6)


def test_decoder_equals_the_original():
    net, expected = network(SpadeDecoder), golden("decode")
    middle = [f"G_middle_{index}" for index in range(6)]
    with Recorder(net, "fc", *middle, "up_0", "up_1", "conv_img") as seen:
        picture = net(0.5 * golden_input("seg", (1, 256, 64, 64)))
    assert picture.shape == (1, 3, 512, 512)
    assert_close(strided(seen["fc"], 16, 4, 4), expected["fc_s"], 1e-5)
    # CPUs sum in orders of their own: those without AVX-512 are off by 2.5e-5.
    tight = 2e-5 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 4e-5
    for index, name in enumerate(middle):
        assert_close(strided(seen[name], 16, 4, 4), expected[f"middle{index}_s"], tight, name)
    assert_close(strided(seen["up_0"], 16, 8, 8), expected["up0_s"], tight)
    assert_close(strided(seen["up_1"], 8, 8, 8), expected["up1_s"], tight)
    assert_close(strided(seen["conv_img"], 16, 16), expected["logit_s"], tight)
    assert_close(strided(picture, 8, 8), expected["image_s4"], 5e-6)
    assert_close(picture[:, :, 200:232, 200:232], expected["image_patch"], 5e-6)
    grey = (255 * strided(picture, 4, 4)).byte().permute(0, 2, 3, 1).int()
    levels = (grey - expected["image_u8"].int()).abs()
    assert levels.max() <= 1
    assert (levels > 0).double().mean() <= 2e-4


def test_stitching_networks_equal_the_original():
    net, expected = network(StitchingNetworks), golden("mlps")
    source, driving = expected["kp_source"], expected["kp_driving"]
    delta, shift = net.stitching_delta(source, driving)
    assert delta.shape == (8, 21, 3)
    assert_close(torch.cat([delta.flatten(1), shift], dim=1), expected["stitch_delta"], 1e-7)
    assert_close(net.eye_delta(source, expected["eye_ratio"]), expected["eye_delta"], 1e-7)
    assert_close(net.mouth_delta(source, expected["lip_ratio"]), expected["lip_delta"], 1e-7)


def test_coordinates_are_those_of_the_original():
    grid = warping.identity_grid((16, 64, 64), torch.empty(0))
    assert_close(grid[::5, ::21, ::21], golden("warp")["grid_corner"], 1e-6)
    assert grid[0, 0, 0].tolist() == [-1, -1, -1]
    assert grid[-1, 0, -1].tolist() == [1, -1, 1]  # x right, y down, z inwards


def tiny_input(network_class, batch: int = 2) -> tuple[torch.Tensor, ...]:
    return {
        AppearanceExtractor: lambda: (torch.rand(batch, 3, 16, 16),),
        MotionExtractor: lambda: (torch.rand(batch, 3, 32, 32),),
        WarpingNetwork: lambda: (
            torch.randn(1, 4, 3, 8, 8),
            torch.rand(1, 2, 3) - 0.5,
            torch.rand(batch, 2, 3) - 0.5,
        ),
        SpadeDecoder: lambda: (torch.randn(batch, 8, 8, 8),),
    }[network_class]()


@pytest.mark.parametrize("network_class", [AppearanceExtractor, WarpingNetwork, SpadeDecoder])
def test_folding_changes_nothing_but_the_form(network_class):
    net, inputs = tiny(network_class).double(), tiny_input(network_class)
    inputs = tuple(tensor.double() for tensor in inputs)
    before = net(*inputs)
    fold(net)
    after = net(*inputs)
    if network_class is WarpingNetwork:
        before, after = before.features, after.features
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5 if network_class is WarpingNetwork else 1e-9)
    left = [key for key in net.state_dict() if key.endswith(("running_var", "weight_orig", "weight_u"))]
    assert all(".norm1." in key for key in left)  # these precede their convolution
    fold(net)
    assert net(*inputs) is not None


def test_one_source_serves_a_batch_as_it_serves_single_frames():
    net = tiny(WarpingNetwork)
    volume, source, driving = tiny_input(WarpingNetwork, batch=3)
    together = net(volume, source, driving)
    for index in range(3):
        alone = net(volume, source, driving[index : index + 1])
        torch.testing.assert_close(together.features[index : index + 1], alone.features, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(together.deformation[index : index + 1], alone.deformation, rtol=1e-3, atol=1e-4)
    repeated = net(volume.repeat(3, 1, 1, 1, 1), source.repeat(3, 1, 1), driving)
    torch.testing.assert_close(together.features, repeated.features)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coordinates_stay_in_single_precision_when_the_network_is_half(dtype):
    net = tiny(WarpingNetwork)
    fold(net)
    inputs = tiny_input(WarpingNetwork)
    exact = net(*inputs)
    net.prepare(torch.device("cpu"), dtype)
    half = net(*inputs)
    assert half.deformation.dtype is half.occlusion.dtype is torch.float32
    assert not torch.equal(half.deformation, half.deformation.to(dtype).float())
    assert 0 < (half.deformation - exact.deformation).abs().mean() < 0.02


def test_motion_extractor_reads_half_precision_pictures_in_single_precision():
    net = tiny(MotionExtractor)
    picture = tiny_input(MotionExtractor)[0].half()
    motion = net(picture)
    assert motion.keypoints.dtype is torch.float32
    assert torch.equal(motion.keypoints, net(picture.float()).keypoints)


def test_translations_by_matrices_equal_grid_sample():
    volume = torch.randn(2, 3, 5, 7, 6, dtype=torch.float64)
    shifts = torch.randn(2, 4, 3, dtype=torch.float64)
    shifts[0, 0], shifts[0, 1] = 0, 5  # standing still; wholly outside
    copies = warping.translated_copies(volume, shifts)
    grid = warping.identity_grid((5, 7, 6), volume).double()
    for motion in range(4):
        expected = F.grid_sample(
            volume, grid + shifts[:, motion, None, None, None], mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(copies[:, motion], expected, rtol=1e-6, atol=1e-6)
    assert not copies[0, 1].any()
    assert not torch.allclose(copies[0, 0], volume[0])  # the identity grid is not an identity


def test_heat_maps_are_gaussians_of_the_distance():
    keypoints = torch.rand(2, 3, 3) * 2 - 1
    grid = warping.identity_grid((4, 6, 5), keypoints)
    distance = (grid - keypoints[:, :, None, None, None]).square().sum(dim=-1)
    torch.testing.assert_close(warping.heat_maps(keypoints, (4, 6, 5)), torch.exp(-0.5 * distance / 0.01))


def test_deformation_is_the_masked_mean_of_moved_grids():
    mask, shifts = torch.randn(2, 4, 3, 5, 6).softmax(dim=1), torch.randn(2, 3, 3)
    moved = F.pad(shifts, (0, 0, 1, 0))[:, :, None, None, None] + warping.identity_grid((3, 5, 6), mask)
    torch.testing.assert_close(warping.deformation(mask, shifts), (mask.unsqueeze(-1) * moved).sum(dim=1))


@pytest.mark.parametrize(("depth", "kernel"), [(16, 7), (4, 3), (2, 7), (1, 5)])
def test_sliced_convolution_equals_a_3d_convolution(depth, kernel):
    sliced = SlicedConv3d(3, 5, kernel).double()
    plain = nn.Conv3d(3, 5, kernel, padding=kernel // 2).double()
    plain.load_state_dict(sliced.state_dict())
    x = torch.randn(2, 3, depth, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(sliced(x), plain(x))


def test_networks_equal_their_plain_form():
    """Full-size, all rewrites on: what the original's steps give, one by one."""
    volume, expected = golden_input("f_s", (1, 32, 16, 64, 64)), golden("warp")
    source, driving = expected["kp_source"], expected["kp_driving"][:1]
    warping = deepcopy(network(WarpingNetwork))
    for _ in range(2):  # the second time changes nothing
        warping.prepare(torch.device("cpu"), torch.float32)
    features = plain_warping(state("warping_module"), volume, source, driving)
    assert_close(warping(volume, source, driving).features, features, 5e-5)
    picture = plain_decoder(state("spade_generator"), features)
    decoder = deepcopy(network(SpadeDecoder))
    decoder.prepare(torch.device("cpu"), torch.float32)
    for net, tolerance in ((network(SpadeDecoder), 5e-6), (decoder, 5e-5)):
        assert_close(net(features), picture, tolerance)


@pytest.mark.parametrize(
    ("repeat", "size"), [(2, (5, 6)), (4, (3, 1)), (3, (4, 4)), (2, (3, 5, 6)), (2, (16, 1, 1))]
)
def test_convolving_repeated_pixels_equals_enlarging_first(repeat, size):
    kernel = torch.randn(4, 3, *[3] * len(size), dtype=torch.float64)
    x, bias = torch.randn(2, 3, *size, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    enlarged = x.repeat_interleave(repeat, -1).repeat_interleave(repeat, -2)
    convolve = F.conv3d if len(size) == 3 else F.conv2d
    torch.testing.assert_close(
        RepeatedConvolution(kernel, bias, repeat)(x), convolve(enlarged, kernel, bias, padding=1)
    )


@pytest.mark.parametrize("size", [(64, 64), (40, 33), (5, 8)])
def test_heads_by_spectra_equal_their_convolutions(size):
    mask, occlusion = SlicedConv3d(3, 5, 7), nn.Conv2d(3 * 4, 1, 7, padding=3)
    volume = torch.randn(2, 3, 4, *size)
    logits, hidden = FourierHeads(mask, occlusion)(volume)
    assert_close(logits, mask(volume), 1e-5)
    assert_close(hidden, occlusion(volume.flatten(1, 2)), 1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (64, 64), (130, 9), (1, 1), (5, 9, 7), (1, 4, 4), (3, 65, 8)])
def test_winograds_convolution_equals_the_definition(size):
    plain = (nn.Conv3d if len(size) == 3 else nn.Conv2d)(6, 4, 3, padding=1)
    x = torch.randn(2, 6, *size)
    assert_close(WinogradConvolution(plain)(x), plain(x), 2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", [WarpingNetwork, SpadeDecoder])
def test_a_cpu_does_wide_convolutions_of_large_pictures_by_fewer_products(kind, dtype):
    net = deepcopy(network(kind))
    for _ in range(2):  # the second time changes nothing
        net.prepare(torch.device("cpu"), dtype)
    replaced = {name for name, module in net.named_modules() if isinstance(module, WinogradConvolution)}
    if kind is WarpingNetwork:
        always = {"third.conv", "dense_motion_network.hourglass.decoder.conv"}
        first = {"dense_motion_network.hourglass.encoder.down_blocks.0.conv"}
        assert replaced == (always if dtype is torch.bfloat16 else always | first)
    else:
        assert {"fc", "G_middle_0.conv_0", "G_middle_5.conv_1"} <= replaced
        assert ("up_1.norm_0.both" in replaced) is (dtype is torch.float32)
    on_gpu = deepcopy(network(kind))
    on_gpu.prepare(torch.device("cuda"), dtype)
    assert not any(isinstance(module, WinogradConvolution) for module in on_gpu.modules())
