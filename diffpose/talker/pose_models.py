"""Head-pose networks as pose sources: their numbers to motion in this pack's space, measured from rest."""

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
# The 3D face model has y up and z towards the viewer where this pack has y down and z into the picture: half a turn
# about x, P. Both multiply Rz Ry Rx, and P R(pitch, yaw, roll) P = R(pitch, -yaw, -roll).
# Check on published weights: `face_3drecon` gives a face that is turned to the picture's right a positive yaw.
FACE_MODEL_SIGNS = (1.0, -1.0, -1.0)
# LSP adds 180 degrees to the pitch before it turns its landmarks, which is that half turn: its angles are this
# pack's. Its places, in millimetres of its own camera, are not taken.
LSP_UNITS = (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
LSP_AHEAD = 15  # frames at 60 a second, 250 ms


@dataclass(frozen=True, eq=False)
class PoseModel:
    """An autoregressive head-pose network and what its numbers mean.

    Attributes:
        network: in evaluation mode.
        fps: poses a second; two speech features go with each.
        ahead: frames of voice that a pose hears beyond its own.
        units: (6,) what 1 of each number is, in degrees pitch, yaw, roll, crop units x, y, and scale.
        limits: (6,) greatest size of each number, approached softly; None: no limits.
        encoder: the speech encoder whose features it hears, as text.
    """

    network: HeadPoseNetwork
    fps: Fraction
    ahead: int
    units: Tensor
    limits: Tensor | None
    encoder: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as safetensors, whole or not at all."""
        limits = {} if self.limits is None else {"limits": self.limits}
        tensors = {**self.network.state_dict(), "units": self.units, **limits}
        card = json.dumps({"fps": str(self.fps), "ahead": self.ahead, "encoder": self.encoder})
        save_tensors(path, tensors, {"format": FORMAT, "card": card})


def load_pose_model(path: str | os.PathLike[str]) -> PoseModel:
    """A model that this pack saved, or a person's Audio2Headpose file of Live Speech Portraits.

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
    """Head motion drawn pose by pose, at the model's rate; `resampled` brings it to another.

    Args:
        model: the network.
        features: (T, 2 · feature) pairs of speech features, one of each frame; the last stands for what follows.
        seed: the same seed gives the same motion.
        sigma_scale: 0 the most likely motion … 1 as varied as the training's; more is restless.
    """
    noise = torch.randn(len(features), model.network.layout.pose, generator=torch.Generator().manual_seed(seed))
    heard = torch.cat([features, features[-1:].expand(model.ahead, -1)])
    poses = sample_poses(model.network, heard, noise, model.ahead, sigma_scale, limits=model.limits)
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
    """Head motion of SadTalker's PoseVAE, 25 frames a second; offline only. Its places are not taken.

    Args:
        network: the PoseVAE.
        windows: (T, 80, 16) of the mel spectrum.
        start: (6,) angles and place of the first frame (see `reconstruction.FaceCoefficients`).
        style: speaker, 0 … 45.
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
