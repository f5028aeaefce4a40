"""Sources of head motion besides the voice: a clip, key poses, a learned model, and mixtures of them.

Every source is a MotionSequence with the expression at rest, and `edits.mix(motion, source, ("pose",), weight)`
combines it with any lip motion.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..lp_core.compute.compute import ON_CPU, Compute
from ..lp_core.media.audio import Audio
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionFrame, MotionSequence
from ..lp_core.render.dubbing import ping_pong
from .encoders import hear
from .keyframes import EASINGS, through_keys
from .speech.manifold import Projection
from .talker.head_pose import SIGMA_SCALE, paired
from .talker.pose_models import PoseModel, autoregressive_pose

_log = logging.getLogger(__name__)

MAXIMUM_KEY_DEGREES = 90.0
BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Keyframe:
    """A head-pose keyframe.

    Attributes:
        seconds: 0 or more.
        pitch: degrees from rest, positive down.
        yaw: degrees from rest, positive to the picture's left.
        roll: degrees from rest, positive clockwise.
        easing: one of EASINGS, interpolation to the next keyframe.
    """

    seconds: float
    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0
    easing: str = "smooth"

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"A key pose is at {self.seconds} s; give 0 or more.")
        if not all(abs(angle) <= MAXIMUM_KEY_DEGREES for angle in self.angles):
            raise ValueError(f"A key pose has the angles {self.angles}; give -90 … 90 degrees.")
        if self.easing not in EASINGS:
            raise ValueError(f"The easing is {self.easing!r}; choose from {', '.join(EASINGS)}.")

    @property
    def angles(self) -> tuple[float, float, float]:
        """Degrees pitch, yaw, roll."""
        return self.pitch, self.yaw, self.roll


def parse_keyframes(text: str) -> tuple[Keyframe, ...]:
    """Key poses from lines such as `1.5: 5, -10, 0 ease in`: seconds, pitch, yaw, roll, and an optional easing.

    Empty lines and comments after `#` are ignored; omitted angles are 0.

    Raises:
        ValueError: a line cannot be parsed; the message gives its number and text.
    """
    lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), start=1)]
    return tuple(_keyframe(number, line) for number, line in lines if line)


def keyframe_pose(keyframes: Sequence[Keyframe], frames: int, fps: float | Fraction) -> MotionSequence:
    """Head motion of `frames` frames through key poses; the first is held before, the last after them.

    Raises:
        ValueError: there are no key poses, or two at the same time.
    """
    keys = sorted(keyframes, key=lambda key: key.seconds)
    angles = np.array([key.angles for key in keys])
    now = np.arange(frames) / float(frame_rate(fps))
    degrees = through_keys([key.seconds for key in keys], angles, [key.easing for key in keys], now)
    return _turning(torch.from_numpy(degrees), fps)


def reference_pose(
    clip: MotionSequence,
    frames: int,
    start: int | Literal["random"] = 0,
    seed: int = 0,
    absolute_for: MotionFrame | None = None,
) -> MotionSequence:
    """Head motion of a clip, `frames` frames long: played back and forth when the clip is too short.

    Args:
        clip: motion extracted from a video.
        frames: number of frames, at the clip's rate.
        start: frame to start at, or "random".
        seed: of the random start.
        absolute_for: a portrait's rest frame: its head then takes the clip's absolute poses, which may jump at the
            beginning. None: motion relative to the clip's first used frame is added to the portrait's own pose.

    Raises:
        ValueError: the start is outside the clip.
    """
    first = int(np.random.default_rng(seed).integers(len(clip))) if start == "random" else start
    if not 0 <= first < len(clip):
        raise ValueError(f"The reference starts at frame {first} of {len(clip)}; give 0 … {len(clip) - 1}.")
    places = ping_pong(len(clip), first + frames)[first:]
    pose = _pose_only(clip, places)
    begun = pose.frame(0)
    # Scale and translation depend on the clip's crop, so they are always relative to the first frame.
    rest = begun if absolute_for is None else replace(begun, rotation=absolute_for.rotation)
    return replace(pose, rest=rest)


def learned_pose(
    model: PoseModel,
    audio: Audio,
    folders: Sequence[Path] = (),
    compute: Compute = ON_CPU,
    seed: int = 0,
    sigma_scale: float = SIGMA_SCALE,
    speaker: Projection | None = None,
) -> MotionSequence:
    """Head motion of a voice at the model's rate, from features of the model's own speech encoder.

    Args:
        model: the network; its `encoder` is one of `encoders.ENCODERS`, with two features per pose.
        audio: the voice.
        folders: models folders with the encoder's weights, best first.
        compute: device, precision and placement of the encoder.
        seed: as `autoregressive_pose`.
        sigma_scale: as `autoregressive_pose`.
        speaker: projection of the speech features to those of one speaker; none when None.

    Raises:
        ValueError: the encoder is unknown, the sound too short, or the speaker's bank is of another encoder.
        FileNotFoundError: the encoder's weights are missing.
    """
    features = hear(audio, model.encoder, folders, compute)
    if speaker is not None:
        features = speaker.of(features, model.encoder)
    pairs = paired(features)
    if not len(pairs):
        raise ValueError(f"The sound is too short for a head pose: it lasts {float(audio.duration):.3f} s.")
    return autoregressive_pose(model, pairs, seed, sigma_scale)


def cached_motion(
    video: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    settings: str,
    extract: Callable[[], MotionSequence],
) -> MotionSequence:
    """The motion that `extract` returns for a video, cached in a folder under a hash of content and settings.

    Args:
        video: the file.
        folder: the cache's folder; must exist.
        settings: all other settings that the motion depends on, as text.
        extract: returns the whole clip's motion; called when the cache has no valid entry.
    """
    digest = hashlib.sha256(settings.encode())
    with open(video, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    kept = Path(folder) / f"{digest.hexdigest()}.safetensors"
    if kept.is_file():
        try:
            return MotionSequence.load(kept)
        except ValueError:
            _log.warning("The kept motion %s is damaged and is read from %s again.", kept, video)
    motion = extract()
    motion.save(kept)
    return motion


def _keyframe(number: int, line: str) -> Keyframe:
    seconds, _, pose = line.partition(":")
    easing = next((name for name in EASINGS if pose.rstrip().endswith(name)), None)
    angles = pose.rstrip().removesuffix(easing or "").strip().rstrip(",")
    try:
        pitch, yaw, roll = ([float(angle) for angle in angles.split(",") if angle.strip()] + [0.0] * 3)[:3]
        return Keyframe(float(seconds), pitch, yaw, roll, easing or "smooth")
    except ValueError as error:
        raise ValueError(
            f"Line {number} of the key poses is {line!r} ({error}); write seconds: pitch, yaw, roll, such as "
            "1.5: 5, -10, 0, and after it an easing if wished: " + ", ".join(EASINGS) + "."
        ) from error


def _turning(degrees: Tensor, fps: float | Fraction) -> MotionSequence:
    return replace(MotionSequence.still(len(degrees), fps), rotation=degrees.float())


def _pose_only(clip: MotionSequence, places: Tensor) -> MotionSequence:
    """The clip's frames at indices `places` with the expression at rest."""
    return replace(
        clip,
        expression=clip.rest.expression.expand(len(places), -1, -1).clone(),
        rotation=clip.rotation[places],
        scale=clip.scale[places],
        translation=clip.translation[places],
    )
