"""LivePortrait's warping network and decoder as the original computes them, step by step in plain PyTorch.

Nothing is folded, hoisted, shared or split: batch and spectral normalisation act at every call, pictures are
doubled before they are convolved, every keypoint samples the volume, and the masks come from a 3-D convolution. The
pack's own networks are measured against this form, for what they give and for the time they take.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

KEYPOINT_VARIANCE = 0.01
Weights = Mapping[str, Tensor]


def plain_warping(weights: Weights, volume: Tensor, source: Tensor, driving: Tensor) -> Tensor:
    """Features (B, 256, 64, 64) for a published state dict; arguments as those of `WarpingNetwork`."""
    frames, depth = len(driving), volume.shape[2]
    volume, source = volume.expand(frames, -1, -1, -1, -1), source.expand(frames, -1, -1)
    grid = _grid(volume.shape[2:], volume)
    motions = torch.cat([grid.expand(frames, 1, *grid.shape), _moved(grid, source, driving)], 1)
    dense = _part(weights, "dense_motion_network.")
    prediction = _hourglass(_part(dense, "hourglass."), _hints(dense, volume, motions, grid, source, driving))
    mask = _convolved(dense, "mask", prediction, padding=3).softmax(1)
    deformation = (mask[..., None] * motions).sum(1)
    occlusion = _convolved(dense, "occlusion", prediction.flatten(1, 2), padding=3).sigmoid()
    warped = F.grid_sample(volume, deformation, align_corners=False).reshape(frames, -1, *volume.shape[3:])
    assert warped.shape[1] == volume.shape[1] * depth
    third = _normed(weights, "third.norm", _convolved(weights, "third.conv", warped, padding=1))
    return _convolved(weights, "fourth", F.leaky_relu(third, 0.01)) * occlusion


def plain_decoder(weights: Weights, features: Tensor) -> Tensor:
    """Pictures (B, 3, 512, 512) for a published state dict; arguments as those of `SpadeDecoder`."""
    x = _convolved(weights, "fc", features, padding=1)
    names = sorted({key.split(".")[0] for key in weights if key.startswith(("G_middle_", "up_"))})
    for name in names:
        x = F.interpolate(x, scale_factor=2) if name.startswith("up_") else x
        x = _spade_block(_part(weights, f"{name}."), x, features)
    return F.pixel_shuffle(_convolved(weights, "conv_img.0", F.leaky_relu(x, 0.2), padding=1), 2).sigmoid()


def _part(weights: Weights, prefix: str) -> Weights:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _convolved(weights: Weights, name: str, x: Tensor, padding: int = 0) -> Tensor:
    convolve = F.conv3d if weights[f"{name}.weight"].ndim == 5 else F.conv2d
    return convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)


def _normed(weights: Weights, name: str, x: Tensor) -> Tensor:
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _grid(size: torch.Size, like: Tensor) -> Tensor:
    z, y, x = torch.meshgrid(*(2 * torch.arange(n, device=like.device) / (n - 1) - 1 for n in size), indexing="ij")
    return torch.stack([x, y, z], -1).to(like.dtype)


def _moved(grid: Tensor, source: Tensor, driving: Tensor) -> Tensor:
    """The grid moved by every keypoint, (B, K, D, H, W, 3)."""
    return grid - (driving - source)[:, :, None, None, None]


def _hints(
    dense: Weights, volume: Tensor, motions: Tensor, grid: Tensor, source: Tensor, driving: Tensor
) -> Tensor:
    """The hourglass's input: per motion one heat map and the compressed features, moved."""
    compressed = _normed(dense, "norm", _convolved(dense, "compress", volume)).relu()
    repeated = compressed.repeat_interleave(motions.shape[1], 0)
    moved = F.grid_sample(repeated, motions.flatten(0, 1), align_corners=False).unflatten(0, motions.shape[:2])
    heat = _gaussians(grid, driving) - _gaussians(grid, source)
    heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)
    return torch.cat([heat[:, :, None], moved], 2).flatten(1, 2)


def _gaussians(grid: Tensor, keypoints: Tensor) -> Tensor:
    distance = (grid - keypoints[:, :, None, None, None]).square().sum(-1)
    return torch.exp(-0.5 * distance / KEYPOINT_VARIANCE)


def _hourglass(weights: Weights, x: Tensor) -> Tensor:
    levels = [x]
    while f"encoder.down_blocks.{len(levels) - 1}.conv.weight" in weights:
        block = f"encoder.down_blocks.{len(levels) - 1}"
        y = _normed(weights, f"{block}.norm", _convolved(weights, f"{block}.conv", levels[-1], padding=1)).relu()
        levels.append(F.avg_pool3d(y, (1, 2, 2)))
    y = levels.pop()
    for index, beside in enumerate(reversed(levels)):
        block, doubled = f"decoder.up_blocks.{index}", F.interpolate(y, scale_factor=(1, 2, 2))
        y = _normed(weights, f"{block}.norm", _convolved(weights, f"{block}.conv", doubled, padding=1)).relu()
        y = torch.cat([y, beside], 1)
    return _normed(weights, "decoder.norm", _convolved(weights, "decoder.conv", y, padding=1)).relu()


def _spade_block(weights: Weights, x: Tensor, features: Tensor) -> Tensor:
    has_shortcut = "conv_s.weight_orig" in weights
    shortcut = _spectral(weights, "conv_s", _spade(weights, "norm_s", x, features)) if has_shortcut else x
    y = _spectral(weights, "conv_0", F.leaky_relu(_spade(weights, "norm_0", x, features), 0.2))
    return shortcut + _spectral(weights, "conv_1", F.leaky_relu(_spade(weights, "norm_1", y, features), 0.2))


def _spade(weights: Weights, name: str, x: Tensor, features: Tensor) -> Tensor:
    label = F.interpolate(features, size=x.shape[2:])
    shared = _convolved(weights, f"{name}.mlp_shared.0", label, padding=1).relu()
    gamma = _convolved(weights, f"{name}.mlp_gamma", shared, padding=1)
    return F.instance_norm(x) * (1 + gamma) + _convolved(weights, f"{name}.mlp_beta", shared, padding=1)


def _spectral(weights: Weights, name: str, x: Tensor) -> Tensor:
    stored = weights[f"{name}.weight_orig"]
    sigma = weights[f"{name}.weight_u"] @ (stored.flatten(1) @ weights[f"{name}.weight_v"])
    return F.conv2d(x, stored / sigma, weights.get(f"{name}.bias"), padding=stored.shape[-1] // 2)
