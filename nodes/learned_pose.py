"""Head motion by networks: drawn pose by pose, and by SadTalker's PoseVAE."""

from typing import Any

from ..diffpose.pose_sources import learned_pose
from ..diffpose.speech.manifold import Projection
from ..diffpose.talker.head_pose import SIGMA_SCALE
from ..diffpose.talker.installed import installed_vae_pose
from ..diffpose.talker.pose_models import load_pose_model
from ..diffpose.talker.pose_vae import STYLES
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait
from . import host
from .node import Node
from .pose import MOTION_IN, SEED, WEIGHT, PosesHead
from .widgets import file_choice
from .wires import audio_of

POSE_FOLDER = "pose"  # within models/diffpose
POSE_SUFFIXES = (".safetensors", ".pkl", ".pt", ".pth")


class LearnedPose(PosesHead, Node):
    """Head motion drawn pose by pose, each from those before it and the voice."""

    DESCRIPTION = (
        "Generates head motion with an autoregressive network, such as a Live Speech Portraits model of a person."
    )
    SEARCH_ALIASES = ("talking head", "autoregressive head pose", "live speech portraits", "audio2headpose")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": MOTION_IN,
                "audio": ("AUDIO", {"tooltip": "Voice that drives the head motion."}),
                "model": file_choice(sorted(host.model_files("diffpose", POSE_FOLDER, POSE_SUFFIXES)), (
                    "A file in models/diffpose/pose: a model in this pack's motion space, or a person's "
                    "Audio2Headpose.pkl of Live Speech Portraits, which also needs APC_epoch_160.model in "
                    "models/diffpose."
                )),
                "weight": WEIGHT,
                "seed": SEED,
                "variety": ("FLOAT", {"default": SIGMA_SCALE, "min": 0.0, "max": 2.0, "step": 0.05, "tooltip": (
                    "Factor on the standard deviation of the drawn poses: 0 the most likely pose, 0.3 as "
                    "published, 1 as varied as the training data."
                )}),
            },
            "optional": {
                "speaker": ("SPEAKER", {"tooltip": (
                    "Speaker that the voice's features are mapped to, from BuildSpeaker."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        motion: MotionSequence,
        audio: dict[str, Any],
        model: str,
        weight: float,
        seed: int,
        variety: float,
        speaker: Projection | None = None,
    ) -> tuple[MotionSequence]:
        """The motion with the drawn head."""
        found = host.model_files("diffpose", POSE_FOLDER, POSE_SUFFIXES)
        if model not in found:
            raise ValueError(
                f"There is no head-pose model {model!r} in models/diffpose/{POSE_FOLDER}; put it there."
            )
        folders, network = host.model_folders("diffpose"), load_pose_model(found[model])
        pose = learned_pose(network, audio_of(audio), folders, host.compute(), seed, variety, speaker)
        return self.posed(motion, pose, weight)


class SadTalkerPose(PosesHead, Node):
    """Head motion by SadTalker's PoseVAE."""

    DESCRIPTION = (
        "Generates head motion with SadTalker's PoseVAE, in the style of one of 46 speakers; whole clips only."
    )
    SEARCH_ALIASES = ("talking head", "sadtalker", "audio2pose", "pose style")
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": MOTION_IN,
                "audio": ("AUDIO", {"tooltip": "Voice that drives the head motion."}),
                "weight": WEIGHT,
                "seed": SEED,
                "pose_style": ("INT", {"default": 0, "min": 0, "max": STYLES - 1, "tooltip": (
                    "Index of the training speaker whose head motion is imitated."
                )}),
            },
            "optional": {
                "portrait": ("PORTRAIT", {"tooltip": (
                    "Portrait with the initial head pose of the network; frontal when not connected."
                )}),
            },
        }  # fmt: skip

    def run(
        self,
        motion: MotionSequence,
        audio: dict[str, Any],
        weight: float,
        seed: int,
        pose_style: int,
        portrait: Portrait | None = None,
    ) -> tuple[MotionSequence]:
        """The motion with SadTalker's head."""
        folders = host.model_folders("diffpose")
        pose = installed_vae_pose(audio_of(audio), folders, portrait, pose_style, seed)
        return self.posed(motion, pose, weight)
