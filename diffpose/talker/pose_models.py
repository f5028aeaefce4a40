"""Head-pose networks as pose sources: conversion of their outputs to motion in this pack's space, from rest."""

import json
import os
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from ...lp_core.liveportrait.checkpoint import CheckpointError, build_network
from ...lp_core.media.rates import frame_rate
from ...lp_core.media.tensor_files import save_tensors
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.motion.smoothers import savitzky_golay
from ..container import Container, read_container
from ..speech.manifold import APC_ENCODER
from .apc import VIDEO_FPS
from .head_pose import SIGMA_SCALE, HeadPoseNetwork, sample_poses
from .pose_vae import PoseVae, blocks_of
from .spectrum import FPS

FORMAT = "talking-head pose 1"
PLACES = 6  # numbers of a pose: pitch, yaw, roll, x, y, scale
# The 3D face model has y up and z towards the viewer, this pack y down and z into the picture: a rotation P by 180
# degrees about x. Both multiply Rz Ry Rx, and P R(pitch, yaw, roll) P = R(pitch, -yaw, -roll).
# Check on published weights: `face_3drecon` returns a positive yaw for a face turned to the picture's right.
FACE_MODEL_SIGNS = (1.0, -1.0, -1.0)
# LSP adds 180 degrees to the pitch before it rotates its landmarks, which is P: its angles are this pack's. Its
# positions, in millimetres of its own camera, are not used.
LSP_UNITS = (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
LSP_AHEAD = 15  # frames at 60 a second, 250 ms


@dataclass(frozen=True, eq=False)
class PoseModel:
    """An autoregressive head-pose network and the units of its outputs.

    Attributes:
        network: in evaluation mode.
        fps: poses a second; each has two speech features.
        ahead: frames of voice beyond its own that a pose depends on.
        units: (6,) factors to degrees of pitch, yaw, roll, crop units of x, y, and scale.
        limits: (6,) soft limits on the magnitude of each number; None: no limits.
        encoder: name of the speech encoder of its features.
    """

    network: HeadPoseNetwork
    fps: Fraction
    ahead: int
    units: Tensor
    limits: Tensor | None
    encoder: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as safetensors, atomically."""
        limits = {} if self.limits is None else {"limits": self.limits}
        tensors = {**self.network.state_dict(), "units": self.units, **limits}
        card = json.dumps({"fps": str(self.fps), "ahead": self.ahead, "encoder": self.encoder})
        save_tensors(path, tensors, {"format": FORMAT, "card": card})


def load_pose_model(path: str | os.PathLike[str]) -> PoseModel:
    """A model saved by this pack, or a person's Audio2Headpose file of Live Speech Portraits.

    Raises:
        CheckpointError: the file is missing, damaged or of another network.
    """
    container = read_container(path)
    if container.metadata.get("format") == FORMAT:
        return _own(container)
    network = build_network(container.tensors, HeadPoseNetwork, source=str(path))
    units = torch.tensor(LSP_UNITS)
    return PoseModel(network, frame_rate(VIDEO_FPS), LSP_AHEAD, units, None, APC_ENCODER)


def autoregressive_pose(
    model: PoseModel, features: Tensor, seed: int = 0, sigma_scale: float = SIGMA_SCALE
) -> MotionSequence:
    """Head motion sampled pose by pose, at the model's rate; see `MotionSequence.resampled`.

    Args:
        model: the network.
        features: (T, 2 · feature) pairs of speech features, one per frame; the last is repeated after the end.
        seed: the same seed gives the same motion.
        sigma_scale: 0 the most likely motion … 1 as varied as the training's.
    """
    noise = torch.randn(len(features), model.network.layout.pose, generator=torch.Generator().manual_seed(seed))
    extended = torch.cat([features, features[-1:].expand(model.ahead, -1)])
    poses = sample_poses(model.network, extended, noise, model.ahead, sigma_scale, limits=model.limits)
    moved = poses[:, :PLACES] * model.units
    still = MotionSequence.still(len(moved), model.fps)
    place = torch.cat([moved[:, 3:5], torch.zeros(len(moved), 1)], 1)
    return replace(still, rotation=moved[:, :3], translation=place, scale=1 + moved[:, 5:])


@torch.no_grad()
def vae_pose(
    network: PoseVae,
    windows: Tensor,
    start: Tensor,
    style: int = 0,
    seed: int = 0,
    signs: tuple[float, float, float] = FACE_MODEL_SIGNS,
) -> MotionSequence:
    """Head rotation of SadTalker's PoseVAE, 25 frames a second; offline only. Its translation is not used.

    Args:
        network: the PoseVAE.
        windows: (T, 80, 16) mel windows.
        start: (6,) angles and translation of the first frame (see `reconstruction.FaceCoefficients`).
        style: speaker of its training, 0 … 45.
        seed: the same seed gives the same motion.
        signs: see FACE_MODEL_SIGNS.
    """
    latents = torch.randn(blocks_of(len(windows)), 64, generator=torch.Generator().manual_seed(seed))
    deltas = savitzky_golay(network(windows, start, style, latents))
    degrees = torch.rad2deg(deltas[:, :3]) * torch.tensor(signs)
    return replace(MotionSequence.still(len(windows), FPS), rotation=degrees)


def _own(container: Container) -> PoseModel:
    tensors = dict(container.tensors)
    try:
        card = json.loads(container.metadata["card"])
        units, limits = tensors.pop("units"), tensors.pop("limits", None)
        fps, ahead, encoder = frame_rate(card["fps"]), int(card["ahead"]), str(card["encoder"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{container.path} is a damaged pose model ({error}); train or copy it again."
        ) from error
    network = build_network(tensors, HeadPoseNetwork, source=str(container.path))
    return PoseModel(network, fps, ahead, units, limits, encoder)
