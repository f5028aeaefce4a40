"""Style of motion: a learned code for the diffusion generator, and statistics that scale any motion.

Amplitudes are deviations from a part's rest over about a second, so that a change of posture or a look aside does
not count.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...lp_core.media.tensor_files import save_tensors
from ...lp_core.motion.controls import from_expression
from ...lp_core.motion.keypoints import rotation_degrees
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.motion.smoothers import gaussian

FORMAT = "talking-head style 2"
CODE_SIZE = 128
SHORTEST_CLIP = 1.0  # seconds
MAXIMUM_STRENGTH = 2.0
GAIN_RANGE = (0.4, 2.5)  # range of a statistic's factor on the typical motion
BLINK_CLOSED, BLINK_OPEN = 0.55, 0.3  # lid amounts at which a blink begins and ends
TYPICAL_SECONDS = 10.0  # of typical blinking, averaged with a clip's: short clips have few blinks
STILL_MOUTH = 0.003  # eye distances; the tempo of a mouth that moves less is undefined
RESTING = 0.5  # seconds, standard deviation of the Gaussian that estimates a part's rest
LEAST_SHARE = 0.05  # of the typical; smaller statistics are measurement noise and count as equal


@dataclass(frozen=True)
class MotionStatistics:
    """Statistics of a motion; the defaults are the typical talker's.

    Attributes:
        mouth_amplitude: standard deviation of the lips' opening from rest, eye distances.
        mouth_tempo: mean frequency of the opening, Hz.
        head_pitch: standard deviation from rest, degrees.
        head_yaw: standard deviation from rest, degrees.
        head_roll: standard deviation from rest, degrees.
        blink_rate: blinks a minute.
        brow_activity: standard deviation of the brows' height from rest, eye distances.
        gaze_spread: standard deviation of the pupils' position from rest, iris radii.
    """

    mouth_amplitude: float = 0.044
    mouth_tempo: float = 2.75
    head_pitch: float = 1.1
    head_yaw: float = 0.82
    head_roll: float = 0.6
    blink_rate: float = 19.0
    brow_activity: float = 0.0062
    gaze_spread: float = 0.065

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"The style's {name} is {value}; expected a number of 0 or more.")


TYPICAL = MotionStatistics()


@dataclass(frozen=True, eq=False)
class Style:
    """Style of a generated motion.

    Attributes:
        code: (128,) from a style encoder, for generators trained with one; None without.
        statistics: measured on a clip; the default changes nothing.
        strength: 0 … 2: 0 is exactly style-free, 1 as measured, 2 exaggerated.
    """

    code: Tensor | None = None
    statistics: MotionStatistics = field(default_factory=MotionStatistics)
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.code is not None and tuple(self.code.shape) != (CODE_SIZE,):
            raise ValueError(f"A style code has shape ({CODE_SIZE},); got {tuple(self.code.shape)}.")
        if not 0 <= self.strength <= MAXIMUM_STRENGTH:
            raise ValueError(f"The style's strength is {self.strength}; expected 0 … {MAXIMUM_STRENGTH:g}.")

    def with_strength(self, strength: float) -> "Style":
        """The same style with another strength."""
        return replace(self, strength=strength)

    def gains(self) -> MotionStatistics:
        """Each statistic as a factor on the typical talker's, to the power of the strength; 1 when style-free."""
        pairs = zip(astuple(self.statistics), astuple(TYPICAL), strict=True)
        low, high = GAIN_RANGE
        return MotionStatistics(*(min(max(own / usual, low), high) ** self.strength for own, usual in pairs))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the code as safetensors and the rest into its JSON metadata, atomically."""
        tensors = {} if self.code is None else {"code": self.code.float()}
        about = {"statistics": asdict(self.statistics), "strength": self.strength}
        save_tensors(path, tensors, {"format": FORMAT, "style": json.dumps(about)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Style":
        """A style written by `save`.

        Raises:
            ValueError: the file is missing, damaged or not a style.
        """
        code, metadata = _read(Path(path))
        if metadata.get("format") != FORMAT:
            raise ValueError(
                f"{path} is not a style file of this pack: its format is {metadata.get('format')!r}, "
                f"expected {FORMAT!r}. Style files are written by StyleEncode."
            )
        try:
            about = json.loads(metadata["style"])
            return cls(code, MotionStatistics(**about["statistics"]), about["strength"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"The style file {path} is damaged ({error}); save it again.") from error


def average(styles: Sequence[Style]) -> Style:
    """The mean of several styles; codes are averaged when all have one.

    Raises:
        ValueError: there is no style, or only some have a code.
    """
    if not styles:
        raise ValueError("Averaging needs at least one style; got none.")
    return _mixed(styles, [1 / len(styles)] * len(styles))


def interpolate(first: Style, second: Style, weight: float) -> Style:
    """The style between the first (weight 0) and the second (weight 1)."""
    if not 0 <= weight <= 1:
        raise ValueError(f"The weight between two styles is {weight}; expected 0 … 1.")
    return _mixed((first, second), (1 - weight, weight))


def distance(first: Style, second: Style) -> float:
    """Distance of two styles: the root mean square of the log ratios of their statistics.

    0 is equal, and d means that every statistic differs by a factor of e^d: 0.7 is twice or half as much. Ratios
    make it symmetric and independent of units, and amplitudes and rates of movement vary by factors. Statistics
    below a twentieth of the typical count as that. Strengths and codes are ignored.

    Two halves of a clip are at 0.2 … 0.4 (0.7 when the motion changes within it), two people at 0.5 … 1.4: on the
    six driving clips of LivePortrait's examples, each half of every clip is nearer to its other half than to either
    half of any other.
    """
    ratios = _logarithms(first.statistics) - _logarithms(second.statistics)
    return float(ratios.square().mean().sqrt())


def motion_statistics(motion: MotionSequence) -> MotionStatistics:
    """Statistics of a motion of at least one second; the tempo of a still mouth is the typical one.

    The blink rate is averaged with ten seconds of the typical one.

    Raises:
        ValueError: the motion is shorter than a second.
    """
    if motion.duration < SHORTEST_CLIP:
        raise ValueError(
            f"A style needs at least {SHORTEST_CLIP:g} s of motion; got {float(motion.duration):.2f} s."
        )
    controls = from_expression(motion.expression - motion.rest.expression)
    fps = float(motion.fps)
    brows = (controls.brow_left + controls.brow_right) / 2
    pitch, yaw, roll = _unwrapped(rotation_degrees(motion.relative_rotation())).unbind(1)
    return MotionStatistics(
        mouth_amplitude=_deviation(controls.jaw, fps),
        mouth_tempo=_mean_frequency(controls.jaw, fps),
        head_pitch=_deviation(pitch, fps),
        head_yaw=_deviation(yaw, fps),
        head_roll=_deviation(roll, fps),
        blink_rate=_blink_rate((controls.blink_left + controls.blink_right) / 2, float(motion.duration)),
        brow_activity=_deviation(brows, fps),
        gaze_spread=math.hypot(_deviation(controls.pupil_x, fps), _deviation(controls.pupil_y, fps)),
    )


def _logarithms(statistics: MotionStatistics) -> Tensor:
    """Logarithms (statistics,) of the ratios to the typical talker's."""
    ratios = torch.tensor(astuple(statistics), dtype=torch.float64) / torch.tensor(astuple(TYPICAL))
    return ratios.clamp(min=LEAST_SHARE).log()


def _mixed(styles: Sequence[Style], weights: Sequence[float]) -> Style:
    codes = [style.code for style in styles if style.code is not None]
    if codes and len(codes) < len(styles):
        raise ValueError("Cannot mix styles of which some have a code and some have none; encode them all alike.")
    shares = torch.tensor(weights, dtype=torch.float32)
    code = shares @ torch.stack(codes).float() if codes else None
    mixed = {
        entry.name: sum(
            getattr(style.statistics, entry.name) * weight for style, weight in zip(styles, weights, strict=True)
        )
        for entry in fields(MotionStatistics)
    }
    strength = sum(style.strength * weight for style, weight in zip(styles, weights, strict=True))
    return Style(code, MotionStatistics(**mixed), strength)


def _deviation(values: Tensor, fps: float) -> float:
    """Standard deviation of a signal (T,) from its rest."""
    exact = values.double()
    return float((exact - gaussian(exact, RESTING * fps)).std(unbiased=False))


def _unwrapped(degrees: Tensor) -> Tensor:
    """Angles (T, 3) without the jumps at ±180°."""
    return torch.from_numpy(np.unwrap(degrees.double().cpu().numpy(), axis=0, period=360))


def _mean_frequency(values: Tensor, fps: float) -> float:
    """Root mean square frequency of a signal (T,) in Hz, which for a sine is its own (Rice 1944)."""
    spread = _deviation(values, fps)
    if spread < STILL_MOUTH:
        return TYPICAL.mouth_tempo
    speed = float(values.double().diff().square().mean().sqrt()) * fps
    return speed / (2 * math.pi * spread)


def _blink_rate(closed: Tensor, seconds: float) -> float:
    """Blinks a minute in lid amounts (T,): closures relative to the typical amount, with hysteresis."""
    amounts = closed - closed.median()
    blinks, shut = 0, False
    for amount in amounts.tolist():
        blinks += amount > BLINK_CLOSED and not shut
        shut = amount > (BLINK_OPEN if shut else BLINK_CLOSED)
    return 60 * (blinks + TYPICAL.blink_rate * TYPICAL_SECONDS / 60) / (seconds + TYPICAL_SECONDS)


def _read(path: Path) -> tuple[Tensor | None, dict[str, str]]:
    """The code in a style file, None without one, and the metadata."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            code = file.get_tensor("code") if "code" in file.keys() else None  # noqa: SIM118
            return code, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"Cannot read the style file {path}: {error}.") from error
