"""Every published layout loads and gives the same network; everything else is refused in a sentence."""

import os
import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from synthetic_weights import TINY, canonical_state, tiny

from talking_head.lp_core.liveportrait.checkpoint import (
    NETWORKS,
    CheckpointError,
    build_network,
    canonical_key,
    detect,
    load_network,
    read_tensors,
)
from talking_head.lp_core.liveportrait.nets.appearance import AppearanceExtractor
from talking_head.lp_core.liveportrait.nets.decoder import SpadeDecoder
from talking_head.lp_core.liveportrait.nets.motion_extractor import MotionExtractor
from talking_head.lp_core.liveportrait.nets.stitching import StitchingNetworks
from talking_head.lp_core.liveportrait.nets.warping import WarpingNetwork

PARTS = ("shoulder", "mouth", "eye")


def published_state(network_class) -> dict[str, torch.Tensor]:
    return OrderedDict((key, tensor.clone()) for key, tensor in tiny(network_class).state_dict().items())


def save_pth(state, path, network_class, *, prefix=""):
    """As LivePortrait publishes it: flat, but the stitching file in three parts, with more beside them."""
    if network_class is not StitchingNetworks:
        return torch.save(OrderedDict((prefix + key, tensor) for key, tensor in state.items()), path)
    content = {"epoch": 3, "optimizer": {"lr": 0.1, "moment": torch.ones(2)}, "name": "stitching"}
    for part in PARTS:
        start = f"retarget_{part}."
        inner = {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}
        content[f"retarget_{part}"] = OrderedDict((f"module.{key}", value) for key, value in inner.items())
    return torch.save(content, path)


def save_converted(state, path, network_class):
    """As the safetensors conversions have it: flat, the three parts joined to the parallel prefix."""
    if network_class is StitchingNetworks:
        parts = ((key.partition("."), tensor) for key, tensor in state.items())
        state = {f"{part}_module.{rest}": tensor for (part, _, rest), tensor in parts}
    save_file(dict(state), path)


def assert_same_network(loaded, expected):
    loaded, expected = loaded.state_dict(), expected.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


@pytest.mark.parametrize("network_class", NETWORKS)
@pytest.mark.parametrize("layout", ["pth", "pth of parallel training", "safetensors", "without counters", "half"])
def test_every_layout_gives_the_same_network(network_class, layout, tmp_path):
    state = published_state(network_class)
    path = tmp_path / ("weights.pth" if layout.startswith("pth") else "weights.safetensors")
    if layout == "half":
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    expected = build_network(state, network_class, "memory")
    if layout == "without counters":
        state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    if layout.startswith("pth"):
        save_pth(state, path, network_class, prefix="" if layout == "pth" else "module.")
    else:
        save_converted(state, path, network_class)
    loaded = load_network(path, network_class)
    assert_same_network(loaded, expected)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert all(parameter.dtype is torch.float32 for parameter in loaded.parameters())


@pytest.mark.parametrize("network_class", [AppearanceExtractor, StitchingNetworks])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_full_size_files_load(network_class, suffix, tmp_path):
    state = canonical_state(network_class.published_name)
    path = tmp_path / f"weights{suffix}"
    (save_pth if suffix == ".pth" else save_converted)(state, path, network_class)
    assert_same_network(load_network(path, network_class), build_network(state, network_class, "memory"))


@pytest.mark.parametrize("network_class", NETWORKS)
def test_default_sizes_are_the_published_ones(network_class):
    published = {key: tensor.shape for key, tensor in canonical_state(network_class.published_name).items()}
    with torch.device("meta"):
        default, told = network_class(), network_class.for_shapes(published)
    for net in (default, told):
        assert {key: tensor.shape for key, tensor in net.state_dict().items()} == published


widths = st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
@pytest.mark.parametrize("network_class", NETWORKS)
def test_sizes_are_read_from_shapes(network_class, data):
    sizes = {
        AppearanceExtractor: {"widths": widths, "channels": st.integers(1, 5), "depth": st.integers(1, 5)},
        MotionExtractor: {"heads": st.lists(st.integers(1, 70), min_size=7, max_size=7).map(tuple)},
        WarpingNetwork: {
            "volume": st.tuples(st.integers(1, 5), st.integers(1, 5)),
            "features": st.integers(1, 5),
            "keypoints": st.integers(1, 30),
            "compressed": st.integers(1, 5),
        },
        SpadeDecoder: {"ups": widths, "middle": st.integers(1, 4), "upscale": st.integers(1, 4)},
        StitchingNetworks: {"shoulder": widths, "mouth": widths, "eye": widths},
    }[network_class]
    chosen = {name: data.draw(strategy, label=name) for name, strategy in sizes.items()}
    with torch.device("meta"):
        net = network_class(**{**TINY[network_class.published_name], **chosen})
        shapes = {key: tensor.shape for key, tensor in net.state_dict().items()}
        again = network_class.for_shapes(shapes)
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == shapes


@pytest.mark.parametrize("network_class", NETWORKS)
def test_networks_are_told_apart_by_their_keys(network_class):
    assert detect(published_state(network_class)) is network_class
    assert detect({"something.else": torch.zeros(1)}) is None


def test_keys_become_canonical():
    assert canonical_key("module.first.conv.weight") == "first.conv.weight"
    assert canonical_key("first.module.weight") == "first.module.weight"
    for part in PARTS:
        for published in (f"retarget_{part}.module.mlp.0.bias", f"retarget_{part}_module.mlp.0.bias"):
            assert canonical_key(published) == f"retarget_{part}.mlp.0.bias"
        assert canonical_key(f"retarget_{part}.mlp.0.bias") == f"retarget_{part}.mlp.0.bias"


def keys_that_matter(network_class) -> list[str]:
    keys = [key for key in published_state(network_class) if not key.endswith("num_batches_tracked")]
    return [*keys[:: max(1, len(keys) // 12)], keys[-1]]


@pytest.mark.parametrize("network_class", NETWORKS)
def test_a_missing_key_is_named(network_class):
    for key in keys_that_matter(network_class):
        state = published_state(network_class)
        del state[key]
        with pytest.raises(CheckpointError) as refusal:
            build_network(state, network_class, "some/file.pth")
        assert "some/file.pth" in str(refusal.value)
        assert f"lacks the key {key}" in str(refusal.value)


@pytest.mark.parametrize("network_class", NETWORKS)
def test_an_unknown_key_is_named(network_class):
    name = "retarget_eye.surprise" if network_class is StitchingNetworks else "surprise.weight"
    state = {**published_state(network_class), name: torch.zeros(2)}
    with pytest.raises(CheckpointError, match=f"unknown key {name}"):
        build_network(state, network_class, "file")


@pytest.mark.parametrize("network_class", NETWORKS)
def test_a_misshaped_tensor_is_refused(network_class):
    for key in keys_that_matter(network_class):
        state = published_state(network_class)
        state[key] = torch.zeros(*state[key].shape, 3)
        with pytest.raises(CheckpointError, match="file is not a usable checkpoint"):
            build_network(state, network_class, "file")


def test_a_misshaped_tensor_is_named_with_both_shapes():
    state = published_state(AppearanceExtractor)
    state["down_blocks.1.norm.running_mean"] = torch.zeros(5)
    with pytest.raises(CheckpointError, match=r"down_blocks.1.norm.running_mean \(has \[5\], expected \[8\]\)"):
        build_network(state, AppearanceExtractor, "file")


def test_many_faults_are_counted_not_listed():
    state = published_state(MotionExtractor)
    lacking = {key: value for key, value in state.items() if "stages.1.1" not in key or "dwconv.weight" in key}
    with pytest.raises(CheckpointError, match="and 5 more"):
        build_network(lacking, MotionExtractor, "file")


def test_numbers_of_another_type_are_refused():
    state = published_state(AppearanceExtractor)
    state["second.bias"] = torch.zeros(12, dtype=torch.int64)
    with pytest.raises(CheckpointError, match=r"floating-point numbers at second.bias \(torch.int64\)"):
        build_network(state, AppearanceExtractor, "file")


def test_another_networks_file_is_called_by_its_name():
    state = published_state(WarpingNetwork)
    with pytest.raises(CheckpointError, match="file holds the warping network, not the decoder"):
        build_network(state, SpadeDecoder, "file")


def test_a_file_that_is_not_there_or_of_another_kind(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint file .*nothing.pth"):
        read_tensors(tmp_path / "nothing.pth")
    (tmp_path / "picture.png").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"picture.png is not a checkpoint"):
        read_tensors(tmp_path / "picture.png")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list, expected tensors under names"):
        read_tensors(tmp_path / "list.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", bytes(64)],
    ids=["empty", "page", "pointer", "zeros"],
)
def test_what_is_no_checkpoint_is_refused(suffix, content, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        read_tensors(path)


@pytest.mark.parametrize("save", [save_pth, save_converted])
def test_a_file_cut_short_is_refused(save, tmp_path):
    path = tmp_path / ("weights.pth" if save is save_pth else "weights.safetensors")
    save(published_state(AppearanceExtractor), path, AppearanceExtractor)
    whole = path.read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CheckpointError, match=r"weights.* cannot be read"):
            load_network(path, AppearanceExtractor)


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["archive", "raw pickle", "among tensors"])
def test_a_hostile_pickle_runs_nothing(form, tmp_path):
    marker, path = tmp_path / "it ran", tmp_path / "weights.pth"
    payload = Hostile(marker)
    content = {**published_state(AppearanceExtractor), "extra": payload} if form == "among tensors" else payload
    if form == "raw pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match="not loaded for safety"):
        load_network(path, AppearanceExtractor)
    assert not marker.exists()
    run_freely(path)
    assert marker.exists(), "the payload is harmless, so the test shows nothing"


def run_freely(path):
    """What an unguarded reader would do with the file."""
    if zipfile.is_zipfile(path):
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())  # noqa: S301 the point of the test


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("save", [save_pth, save_converted])
def test_altered_files_load_or_are_refused(save, data, tmp_path):
    path = tmp_path / ("weights.pth" if save is save_pth else "weights.safetensors")
    torch.manual_seed(0)
    save(published_state(StitchingNetworks), path, StitchingNetworks)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content) - 1, 4000)))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CheckpointError):
        assert isinstance(load_network(path, StitchingNetworks), StitchingNetworks)
