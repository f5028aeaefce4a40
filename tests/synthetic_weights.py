"""Weights for LivePortrait's networks from a recipe alone, the same on every machine, and networks that hold them.

The golden tensors were made by the original networks with these weights. They are drawn from raw bits of numpy's
Philox generator, so they do not depend on its samplers; `weights.json` beside the goldens has, for every tensor,
its shape, the CRC-32 of its bytes, and its sum.
"""

import json
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden" / "liveportrait"
SEED = 0
STITCHING = {"stitching": "retarget_shoulder.", "lip": "retarget_mouth.", "eye": "retarget_eye."}

# For keys that contain the text: gain of weights, gain of biases, offset of biases; first match counts.
GAINS = {
    "appearance_feature_extractor": (("resblocks_3d", 0.7, 0.1, 0.0), ("", 1.4, 0.1, 0.0)),
    "motion_extractor": (
        (".fc_kp.", 0.35, 0.25, 0.0),
        (".fc_exp.", 0.15, 0.02, 0.0),
        (".fc_t.", 0.1, 0.05, 0.0),
        (".fc_scale.", 0.1, 0.0, 1.4),
        (".fc_pitch.", 2.0, 0.1, 0.0),
        (".fc_yaw.", 2.0, 0.1, 0.0),
        (".fc_roll.", 2.0, 0.1, 0.0),
        ("", 1.0, 0.1, 0.0),
    ),
    "warping_module": (
        (".mask.", 2.5, 0.1, 0.0),
        (".occlusion.", 4.0, 0.1, 0.0),
        ("fourth", 1.0, 0.1, 0.0),
        ("", 1.4, 0.1, 0.0),
    ),
    "spade_generator": (("conv_img", 0.8, 0.1, 0.0), ("", 1.0, 0.1, 0.0)),
    "stitching": (("mlp.6", 0.05, 0.005, 0.0), ("", 1.4, 0.1, 0.0)),
    "lip": (("mlp.6", 0.05, 0.005, 0.0), ("", 1.4, 0.1, 0.0)),
    "eye": (("mlp.10", 0.05, 0.005, 0.0), ("", 1.4, 0.1, 0.0)),
}

TINY = {
    "appearance_feature_extractor": {"widths": (4, 6, 8), "channels": 4, "depth": 3, "residual_blocks": 2},
    "motion_extractor": {"widths": (8, 8, 16), "blocks": (1, 2, 1), "heads": (6, 1, 5, 5, 5, 3, 6)},
    "warping_module": {
        "volume": (4, 3),
        "features": 8,
        "keypoints": 2,
        "compressed": 2,
        "widths": (6, 8),
        "decoder_widths": (8, 4),
    },
    "spade_generator": {"features": 8, "width": 8, "middle": 2, "ups": (6, 4), "hidden": 4, "upscale": 2},
    "stitching_retargeting_module": {"shoulder": (12, 8, 8), "mouth": (8, 8, 6), "eye": (9, 8, 8, 6)},
}


def unit(tag: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 numbers of mean 0 and variance 1, uniform on [-sqrt 3, sqrt 3), fixed by their tag."""
    raw = np.random.Philox(key=zlib.crc32(tag.encode())).random_raw(int(np.prod(shape)))
    fraction = (raw >> np.uint64(40)).astype(np.float64) * 2.0**-24
    return ((2.0 * fraction - 1.0) * np.sqrt(3.0)).reshape(shape)


def golden_input(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """An input tensor that the goldens were made from, fixed by its name."""
    return torch.from_numpy(unit(f"{SEED}/input/{name}", shape).astype(np.float32))


@lru_cache
def fingerprints() -> dict[str, dict[str, tuple[list[int], int, float]]]:
    """For every module and key: shape, CRC-32 of the little-endian bytes, float64 sum."""
    return json.loads((GOLDEN / "weights.json").read_text())


@lru_cache
def state(module: str) -> dict[str, torch.Tensor]:
    """The published tensors of one module, without the prefixes of the stitching file."""
    shapes = {key: tuple(shape) for key, (shape, _, _) in fingerprints()[module].items()}
    drawn = {key: _draw(module, key, shape) for key, shape in shapes.items() if not key.endswith("weight_v")}
    for key in shapes:
        if key.endswith("weight_v"):
            matrix = drawn[key[:-2] + "_orig"].astype(np.float64).reshape(len(drawn[key[:-2] + "_u"]), -1)
            drawn[key] = _normalised(matrix.T @ drawn[key[:-2] + "_u"].astype(np.float64))
    return {key: torch.from_numpy(drawn[key]) for key in shapes}


def canonical_state(published_name: str) -> dict[str, torch.Tensor]:
    """The tensors of one published file under canonical keys."""
    if published_name != "stitching_retargeting_module":
        return state(published_name)
    return {prefix + key: tensor for part, prefix in STITCHING.items() for key, tensor in state(part).items()}


@lru_cache
def network(network_class):
    """The full-size network with these weights, shared by all tests that ask for it; do not change it."""
    from talking_head.lp_core.liveportrait.checkpoint import build_network

    return build_network(canonical_state(network_class.published_name), network_class, source="synthetic weights")


def _draw(module: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros((), np.int64)
    n = unit(f"{SEED}/{module}/{key}", shape)
    weight_gain, bias_gain, offset = next(gains for text, *gains in GAINS[module] if text in key)
    if last in ("weight", "weight_orig"):
        value = 1 + 0.1 * n if len(shape) == 1 else weight_gain * n / np.sqrt(float(np.prod(shape[1:])))
    elif last == "weight_u":
        return _normalised(n)
    else:
        value = {
            "bias": offset + bias_gain * n,
            "running_mean": 0.1 * n,
            "running_var": 1 + 0.1 * np.abs(n),
            "gamma": 0.3 * n,
            "beta": 0.1 * n,
        }[last]
    return value.astype(np.float32)


def _normalised(vector: np.ndarray) -> np.ndarray:
    return (vector / np.sqrt((vector * vector).sum())).astype(np.float32)


def tiny(network_class):
    """A small network of the class as it is before folding, with random weights and statistics."""
    net = network_class(**TINY[network_class.published_name]).eval()
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            if key.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif not key.endswith(("weight_v", "num_batches_tracked")):
                tensor.normal_(std=0.5)
        for key, tensor in net.state_dict().items():
            if key.endswith("weight_v"):  # sigma = u W v is then well above zero
                parts = net.state_dict()
                tensor.copy_(parts[key[:-2] + "_orig"].flatten(1).T @ parts[key[:-2] + "_u"]).div_(tensor.norm())
    return net
