"""Ditto's motion vectors (265 numbers a frame), its conditions, fusion of its windows, and LivePortrait motion.

A vector is scale - 1, the logits of 66 bins of 3 degrees for pitch, yaw and roll, translation, and expression 63.
Source: Li et al. (2024), "Ditto", and diffpose spec section 6. Symbols: S frames of a window, o of them shared with
the previous window, v = S - o new.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import torch
from torch import Tensor

from ...lp_core.compute.device import EnsureLoaded, already_loaded
from ...lp_core.motion.keypoints import (
    ANGLE_BINS,
    DEGREES_PER_BIN,
    EYES,
    FIRST_BIN,
    KEYPOINTS,
    LIPS,
    angle_degrees,
    neutral_expression,
)
from ...lp_core.motion.sequence import MotionFrame, MotionSequence
from ...lp_core.render.portrait import Portrait
from ..diffusion.samplers import NoiseSource, SampleOptions, guided, sample
from ..diffusion.schedule import Schedule
from ..speech.encoder import SAMPLES_PER_FRAME
from ..speech.streaming import SpeechFeatures
from .network import Lmdm

SIZES = (
    1,
    ANGLE_BINS,
    ANGLE_BINS,
    ANGLE_BINS,
    3,
    3 * KEYPOINTS,
)  # scale, pitch, yaw, roll, translation, expression
DIMS = sum(SIZES)
SMOOTHED = DIMS - SIZES[-1]  # the leading numbers: all but the expression
EMOTIONS = ("angry", "disgusted", "afraid", "happy", "neutral", "sad", "surprised", "contemptuous")  # Ditto's order
EMOTION_SHARPNESS = 8.0  # of the softmax over emotions
USUAL_EYES = (0.3, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # opening of both lids over width, eyeballs
LOOK_AHEAD = 2  # frames of sound that a frame's features need after it
STEPS_OF_TRAINING = 1000
LOGIT_WIDTH = 3.0  # degrees, standard deviation of the bins around a known angle

# Rotation of the eyes against the head: degrees of gaze per degree, and expression per degree by eye and side.
GAZE_PER_YAW, GAZE_PER_PITCH = 0.26, 0.28
OUTWARD, INWARD, UPWARD = 0.0010, 0.0007, -0.001
LEFT_LID, RIGHT_LID = 11, 15  # keypoints

# Canonical keypoints of a typical face, in thousandths: those of lp_core.mesh.renderer's mean face.
TYPICAL_KEYPOINTS = (
    (0, -612, -356), (-194, -487, -352), (194, -487, -352),
    (-182, -167, -367), (0, -218, -518), (-319, -320, -74),
    (-103, -39, -366), (182, -167, -367), (319, -320, -74),
    (0, 162, -356), (-315, -252, -59), (-154, -382, -336),
    (103, -39, -366), (-148, -340, -334), (-114, -39, -358),
    (154, -382, -336), (148, -340, -334), (0, -86, -447),
    (0, -468, -398), (0, 27, -423), (114, -39, -358),
)  # fmt: skip
TYPICAL_SCALE = 1.3


@dataclass(frozen=True, eq=False)
class DittoSource:
    """The face in which Ditto's motion starts.

    Attributes:
        vector: (265,) its own motion.
        keypoints: (63,) its canonical keypoints.
        eyes: (E, 8) opening of both lids and position of the eyeballs in each frame of a clip, which is played
            back and forth; one typical frame for a portrait, since they would need landmarks of its irises.
    """

    vector: Tensor
    keypoints: Tensor
    eyes: Tensor = field(default_factory=lambda: torch.tensor([USUAL_EYES]))

    def __post_init__(self) -> None:
        for name, size in (("vector", DIMS), ("keypoints", 3 * KEYPOINTS)):
            if tuple(getattr(self, name).shape) != (size,):
                raise ValueError(
                    f"Ditto's source has a {name} of ({size},); got {tuple(getattr(self, name).shape)}."
                )

    @classmethod
    def typical(cls) -> "DittoSource":
        """A typical face that looks straight ahead with its mouth closed."""
        keypoints = torch.tensor(TYPICAL_KEYPOINTS, dtype=torch.float32).flatten() / 1000
        rest = MotionFrame(neutral_expression(), torch.zeros(3), torch.tensor([TYPICAL_SCALE]), torch.zeros(3))
        return cls(encoded(rest), keypoints)

    @classmethod
    def of(cls, portrait: Portrait | None) -> "DittoSource":
        """The source of a portrait prepared by LivePortrait's networks; `typical` for any other and for None."""
        if portrait is None or portrait.renderer.name != "liveportrait":
            return cls.typical()
        return cls(encoded(portrait.rest.to("cpu")), portrait.keypoints.detach().cpu().flatten())


def encoded(frame: MotionFrame) -> Tensor:
    """The vector (265,) of a frame; each angle becomes logits of bins that have it as their mean."""
    bins = FIRST_BIN + DEGREES_PER_BIN * torch.arange(ANGLE_BINS)
    logits = -((bins - frame.rotation[:, None]) / LOGIT_WIDTH).square() / 2
    return torch.cat((frame.scale - 1, logits.flatten(), frame.translation, frame.expression.flatten()))


@dataclass(frozen=True)
class DittoControls:
    """Factors on the parts of a vector, as in Ditto's own options; the defaults change nothing.

    Attributes:
        expression: factor on the expression's difference to the source's.
        pitch: factor on the difference of pitch's logits, so that the angle does not grow in proportion.
        yaw: factor on the difference of yaw's logits.
        roll: factor on the difference of roll's logits.
        translation: factor on the translation's difference to the source's.
        eyes: whether the eyes move; else they stay as the source's.
    """

    expression: float = 1.0
    pitch: float = 1.0
    yaw: float = 1.0
    roll: float = 1.0
    translation: float = 1.0
    eyes: bool = True

    def gains(self) -> Tensor:
        """(265,) factors on a vector's difference to the source's."""
        factors = (1.0, self.pitch, self.yaw, self.roll, self.translation, self.expression)
        return torch.tensor(factors).repeat_interleave(torch.tensor(SIZES))


@dataclass(frozen=True, eq=False)
class DittoSpace:
    """Motion space of Ditto's vectors on a face (see `normalise.MotionSpace`).

    Attributes:
        source: the face.
        controls: factors on the vectors.
    """

    source: DittoSource
    controls: DittoControls = DittoControls()

    def motion(self, vectors: Tensor, fps: Fraction, rest: MotionFrame | None = None) -> MotionSequence:
        """Motion of vectors (T, 265), measured from `rest`, or from the source's own frame when None.

        Scale is the source's; of the expression, lips and eyes move, and the eyes turn against the head.
        """
        own = _frames(self.source.vector[None], fps, MotionFrame.neutral()).frame(0)
        scaled = torch.lerp(self.source.vector, vectors, self.controls.gains())
        motion = _frames(scaled, fps, own if rest is None else rest)
        moved = torch.zeros(KEYPOINTS, 1, dtype=torch.bool)
        moved[list(LIPS + EYES if self.controls.eyes else LIPS)] = True
        expression = torch.where(moved, motion.expression, own.expression)
        if self.controls.eyes:
            expression = expression + gaze_against(motion.rotation - own.rotation)
        return replace(motion, expression=expression, scale=own.scale.expand_as(motion.scale).clone())


def relative_to_first(vectors: Tensor, first: Tensor, source: DittoSource) -> Tensor:
    """Vectors (T, 265) moved by the difference of the source to the first one generated; angles by their logits."""
    return source.vector + vectors - first


def conditions(features: Tensor, start: int, source: DittoSource, emotions: tuple[tuple[int, ...], ...]) -> Tensor:
    """The network's conditions (n, 1103) of frames start … start + n.

    Args:
        features: (n, 1024) speech features.
        start: index of the first frame.
        source: the face.
        emotions: indices in EMOTIONS for each frame, repeated cyclically; several of one frame are mixed.
    """
    places = [max(start + index, 0) for index in range(len(features))]
    emotion = torch.stack([_emotion(emotions[place % len(emotions)]) for place in places])
    eyes = source.eyes[[_back_and_forth(place, len(source.eyes)) for place in places]]
    return torch.cat((features, emotion, eyes, source.keypoints.expand(len(features), -1)), 1)


@dataclass(frozen=True)
class DittoPlan:
    """Division of a stream into windows.

    Attributes:
        overlap: frames that a window shares with the previous one; 70 settles 10 at a time, 10 settles 70.
        silence: frames of silence that the first window begins with, so that it ends early.
        frames: S, as in training.
    """

    overlap: int
    silence: int = 0
    frames: int = 80

    def __post_init__(self) -> None:
        if not 0 < self.overlap < self.frames:
            raise ValueError(f"Windows of {self.frames} frames share 1 … {self.frames - 1}; got {self.overlap}.")
        if not 0 <= self.silence < self.frames:
            raise ValueError(f"A window begins with 0 … {self.frames - 1} frames of silence; got {self.silence}.")

    @property
    def new(self) -> int:
        """v, frames that each window adds."""
        return self.frames - self.overlap

    @property
    def fade(self) -> int:
        """Frames of the cross-fade from the previous window."""
        return min(self.overlap, self.new)


LIVE_DITTO, WHOLE_DITTO = DittoPlan(overlap=70, silence=70), DittoPlan(overlap=10)


def fused(known: Tensor, predicted: Tensor, plan: DittoPlan) -> Tensor:
    """Known motion (T, 265) and the next window (S, 265), which begins `overlap` frames before the known one's end.

    The two are cross-faded linearly over the last `fade` shared frames; there, and in the next frame, all but the
    expression is smoothed over three frames.
    """
    weight = (torch.arange(plan.fade) / plan.fade)[:, None].to(known)
    begun = len(known) - plan.fade
    shared = torch.lerp(known[begun:], predicted[plan.overlap - plan.fade : plan.overlap], weight)
    joined = torch.cat((known[:begun], shared, predicted[plan.overlap :]))
    return smoothed_pose(joined, begun, len(known) + 1)


def smoothed_pose(vectors: Tensor, start: int, end: int) -> Tensor:
    """Vectors (T, 265) with frames start … end replaced by the mean of three frames, in all but the expression."""
    values = vectors[:, :SMOOTHED]
    before, after = torch.cat((values[:1], values[:-1])), torch.cat((values[1:], values[-1:]))
    mean = (before + values + after) / 3
    mean[0], mean[-1] = values[:2].mean(0), values[-2:].mean(0)
    smoothed = vectors.clone()
    smoothed[start:end, :SMOOTHED] = mean[start:end]
    return smoothed


class DittoMotion:
    """Ditto's vectors of streamed sound, window by window, starting at the source; see windows.MotionWindows.

    Args:
        network: the denoiser.
        features: speech features of the sound, 1024 a frame.
        source: the face.
        plan: division of the sound into windows.
        options: sampling of each window; noise is drawn once for every step and reused in all windows.
        draw: source of noise (1, S, 265).
        emotion: index in EMOTIONS.
        ensure_loaded: moves the denoiser to its device.
    """

    def __init__(
        self,
        network: Lmdm,
        features: SpeechFeatures,
        source: DittoSource,
        plan: DittoPlan,
        options: SampleOptions,
        draw: NoiseSource,
        emotion: int,
        ensure_loaded: EnsureLoaded = already_loaded,
    ) -> None:
        self._ensure_loaded = ensure_loaded
        self._network, self._features, self._source, self._plan = network, features, source, plan
        self._options, self._draw, self._emotions = options, draw, ((emotion,),)
        self._schedule = Schedule.named("ditto", STEPS_OF_TRAINING)
        self._step_noise = [draw() for _ in options.times(self._schedule)[1:-1]]
        self._known = torch.zeros(0, DIMS)  # the latest frames; the last ones may still change
        self._end = -plan.silence  # the first frame that is not known yet
        self._given = 0  # the first frame not returned yet
        self._first: Tensor | None = None

    def pieces(self, final: bool = False) -> Iterator[Tensor]:
        """Frames (n, 265) of each window settled since the last call; with `final`, the remaining ones too."""
        total = math.ceil(self._features.samples / SAMPLES_PER_FRAME)
        while self._heard(self._next_end() + LOOK_AHEAD) or (final and self._end < total):
            self._window()
            settled = self._end - self._plan.fade - 1
            yield from self._give(min(settled, total) if final else settled)
        if final:
            yield from self._give(total)

    def _heard(self, frame: int) -> bool:
        return self._features.samples >= frame * SAMPLES_PER_FRAME

    def _next_end(self) -> int:
        return self._end + (self._plan.new if len(self._known) else self._plan.frames)

    def _give(self, settled: int) -> Iterator[Tensor]:
        if settled <= self._given:
            return
        begun = self._end - len(self._known)
        piece = self._known[self._given - begun : settled - begun]
        self._first = piece[0] if self._first is None else self._first
        self._given = settled
        yield relative_to_first(piece, self._first, self._source)

    @torch.no_grad()
    def _window(self) -> None:
        """Denoise the next window and fuse it with the known frames."""
        end = self._next_end()
        start = end - self._plan.frames
        features = self._features.between(start, end)[0].float().cpu()
        condition = conditions(features, start, self._source, self._emotions)
        begins = not len(self._known)
        before = self._source.vector if begins else self._known[-self._plan.overlap - 1]
        predicted = self._denoised(condition, before)
        everything = len(predicted)
        known = smoothed_pose(predicted, 0, everything) if begins else fused(self._known, predicted, self._plan)
        self._known, self._end = known[-self._plan.frames - self._plan.new :], end
        self._features.forget(end - self._plan.overlap)

    def _denoised(self, condition: Tensor, before: Tensor) -> Tensor:
        self._ensure_loaded(0)
        network, guidance = self._network, self._options.guidance
        like = network.head.weight
        window = network.window(condition[None].to(like), before[None].to(like), guidance.dropped())
        predictor = guided(lambda motion, step: network(motion, step, window), guidance)
        kept = iter(self._step_noise)
        noise = self._draw().to(like)
        return sample(predictor, noise, lambda: next(kept), self._schedule, self._options)[0].cpu()


def _frames(vectors: Tensor, fps: Fraction, rest: MotionFrame) -> MotionSequence:
    """Motion of vectors (T, 265) without factors or differences."""
    scale, pitch, yaw, roll, translation, expression = vectors.split(SIZES, 1)
    rotation = torch.stack([angle_degrees(logits) for logits in (pitch, yaw, roll)], -1)
    return MotionSequence(expression.unflatten(1, (KEYPOINTS, 3)), rotation, scale + 1, translation, fps, rest)


def gaze_against(turns: Tensor) -> Tensor:
    """Expression (T, 21, 3) of eyes that turn against a head rotated by (T, 3) degrees."""
    across, down = GAZE_PER_YAW * turns[:, 1], GAZE_PER_PITCH * turns[:, 0]
    gaze = turns.new_zeros(len(turns), KEYPOINTS, 3)
    gaze[:, LEFT_LID, 0] = across * torch.where(across > 0, INWARD, OUTWARD)
    gaze[:, RIGHT_LID, 0] = across * torch.where(across > 0, OUTWARD, INWARD)
    gaze[:, LEFT_LID, 1] = gaze[:, RIGHT_LID, 1] = UPWARD * down
    return gaze


def _back_and_forth(place: int, count: int) -> int:
    """Index of `count` entries at a position of back-and-forth play. Check: 0 1 2 2 1 0 0 1 … of three."""
    within = place % (2 * count)
    return min(within, 2 * count - 1 - within)


def _emotion(numbers: tuple[int, ...]) -> Tensor:
    """Weights (8,) of EMOTIONS for the given indices."""
    present = torch.zeros(len(EMOTIONS))
    present[list(numbers)] = EMOTION_SHARPNESS
    return present.softmax(0)
