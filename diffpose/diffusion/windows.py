"""Motion of a voice, window by window: frames settle as soon as their sound is available, without drift.

    |----context----|--hop--|-ahead-|                 a window denoises hop + ahead frames and settles the hop
            |----context----|--hop--|-ahead-|         the next one begins where that ended

The frames ahead of a hop are denoised again by the next window, with more sound, and cross-faded to its result.
Frame n is samples n·640 … (n+1)·640, however long the stream. Offline, the same stream gets all sound at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..speech.encoder import SAMPLES_PER_FRAME, SpeechEncoder
from ..speech.streaming import SpeechFeatures
from .checkpoints import DiffusionModel
from .denoiser import WindowInput
from .samplers import DenoisingState, NoiseSource, SampleOptions, arrived, clean_from_noise, guided


@dataclass(frozen=True)
class WindowPlan:
    """Division of a stream into windows.

    Attributes:
        hop: frames settled by each window.
        ahead: frames denoised beyond the hop.
        fade: frames of the linear cross-fade from the previous window.
        incremental: whether the speech encoder continues from cached keys and values of earlier windows, which
            costs a tenth of encoding the last seconds again and is not numerically equal (see
            incremental.IncrementalFeatures).
    """

    hop: int
    ahead: int = 0
    fade: int = 0
    incremental: bool = False

    def __post_init__(self) -> None:
        if self.hop < 1 or self.ahead < 0:
            raise ValueError(f"A window settles at least one frame; got hop {self.hop} and ahead {self.ahead}.")
        shared = min(self.ahead, self.hop)
        if not 0 <= self.fade <= shared:
            raise ValueError(f"Windows can fade over the {shared} frames they share; got {self.fade}.")

    @property
    def frames(self) -> int:
        """Frames denoised at once."""
        return self.hop + self.ahead

    def covering(self, frames: int) -> int:
        """Frames in all windows that are needed to settle `frames`."""
        return math.ceil(frames / self.hop) * self.hop + self.ahead


LIVE = WindowPlan(hop=5, ahead=2, fade=2)
"""For streaming: the first frames settle after 7 · 40 = 280 ms of sound."""

LIVE_ON_CPU = WindowPlan(hop=8, ahead=2, fade=2, incremental=True)
"""For machines on which LIVE is too slow, with 4 sampling steps: no sound is encoded twice, and the first frames
settle after 400 ms."""


def trained_plan(model: DiffusionModel) -> WindowPlan:
    """The window length of the network's training, without overlap, as in the published drivers."""
    return WindowPlan(hop=model.card.layout.new_frames)


@dataclass(frozen=True, eq=False)
class Person:
    """Inputs of the person token, for networks that have one; shapes as in denoiser.WindowInput."""

    shape: Tensor | None = None
    style: Tensor | None = None
    mouth_open_ratio: Tensor | None = None
    mean_expression: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """State passed from one window to the next.

    Attributes:
        motion: (1, P, d) clean motion before the window.
        audio: (1, P, D) mapped speech features before the window.
        guess: (1, ahead, d) the previous window's prediction of the window's first frames.
    """

    motion: Tensor
    audio: Tensor
    guess: Tensor


class MotionWindows(Protocol):
    """Motion vectors of streamed sound, as their windows settle."""

    def pieces(self, final: bool = False) -> Iterator[Tensor]:
        """Frames (n, d) of each window settled since the last call; independent of how the sound was divided.

        Args:
            final: the sound is complete; the remaining frames are returned too, ceil(samples / 640) in all.
        """
        ...


class WindowedMotion:
    """Normalised motion of a feature stream, window by window.

    The same sound and noise give the same motion however the sound was divided, and later sound changes no frame
    returned before.

    Args:
        model: the denoiser with its schedule.
        features: speech features of the sound.
        plan: division of the stream into windows.
        options: sampling of each window.
        draw: source of noise (1, plan.frames, d); see samplers.seeded_noise.
        person: inputs of the person token.
        silence: mapped features (1, P, D) before the start, for networks without learned start tokens.
        centred: subtract from each window the mean of the last unconditional prediction, as hazard-10 does, which
            leaves the motion caused by the voice.
    """

    def __init__(
        self,
        model: DiffusionModel,
        features: SpeechFeatures,
        plan: WindowPlan,
        options: SampleOptions,
        draw: NoiseSource,
        person: Person | None = None,
        silence: Tensor | None = None,
        centred: bool = False,
    ) -> None:
        self._centred = centred
        self._model, self._features, self._plan, self._options = model, features, plan, options
        self._person = person or Person()
        # Every window starts from the same noise, as in the published drivers.
        self._draw, self._noise = draw, draw()
        self._context = _beginning(model, silence)
        self._next = 0  # the first frame that is not settled yet

    def pieces(self, final: bool = False) -> Iterator[Tensor]:
        """See MotionWindows."""
        total = math.ceil(self._features.samples / SAMPLES_PER_FRAME)
        while self._features.samples >= (self._next + self._plan.frames) * SAMPLES_PER_FRAME:
            yield self._window()
        while final and self._next < total:
            wanted = total - self._next
            yield self._window()[:wanted]

    def settled(self) -> Tensor:
        """The frames (n, d) settled since the last call; n may be 0."""
        return torch.cat((self._nothing(), *self.pieces()))

    def rest(self) -> Tensor:
        """The remaining frames (n, d) at the end of the sound, ceil(samples / 640) in all."""
        return torch.cat((self._nothing(), *self.pieces(final=True)))

    def _nothing(self) -> Tensor:
        return torch.zeros(0, self._model.card.layout.motion_dims)

    @torch.no_grad()
    def _window(self) -> Tensor:
        """The settled hop (hop, d) of the next window, which is denoised; updates the context."""
        features = self._features.between(self._next, self._next + self._plan.frames)
        self._model.ensure_loaded(0)  # loading the speech encoder may have unloaded the denoiser
        audio = self._model.denoiser.audio_map(features.to(self._context.audio))
        denoised = self._denoised(audio)
        motion = _faded(self._context.guess, denoised.motion, self._plan.fade)
        hop, context = self._plan.hop, self._model.card.layout.context_frames
        self._context = Context(
            motion=torch.cat((self._context.motion, motion[:, :hop]), 1)[:, -context:],
            audio=torch.cat((self._context.audio, audio[:, :hop]), 1)[:, -context:],
            guess=motion[:, hop:],
        )
        self._next += hop
        self._features.forget(self._next)
        resting = denoised.prediction.unconditional.mean(1) if self._centred else 0
        return (motion[0, :hop] - resting).cpu()

    def _denoised(self, audio: Tensor) -> DenoisingState:
        """The last sampling state of the next window, (1, frames, d), from mapped features of the same length."""
        model, guidance = self._model, self._options.guidance
        flags = torch.arange(self._plan.frames) + self._next < self._features.samples // SAMPLES_PER_FRAME
        inputs = WindowInput(
            audio, self._context.audio, self._context.motion, indicator=flags[None], **vars(self._person)
        )
        window = model.denoiser.window(inputs, guidance.dropped())
        predictor = guided(lambda motion, step: model.denoiser.new_frames(motion, step, window), guidance)
        if model.card.target == "noise":
            predictor = clean_from_noise(predictor, model.schedule)
        return arrived(predictor, self._noise.to(audio), self._draw, model.schedule, self._options)


def silent_context(model: DiffusionModel, encoder: SpeechEncoder) -> Tensor | None:
    """Mapped features (1, P, D) of silence for networks that start with it; None for those with start tokens."""
    if model.card.layout.start_tokens:
        return None
    silence = encoder.frames(torch.zeros(1, model.card.layout.context_frames * SAMPLES_PER_FRAME))
    model.ensure_loaded(0)
    return model.denoiser.audio_map(silence.to(model.denoiser.audio_map.weight))


def _beginning(model: DiffusionModel, silence: Tensor | None) -> Context:
    """The context of the first window."""
    model.ensure_loaded(0)
    motion, audio = model.denoiser.start(1)
    audio = silence if audio is None else audio
    if audio is None:
        raise ValueError("This network has no start tokens: give the features of silence (see silent_context).")
    return Context(motion, audio, motion[:, :0])


def _faded(guess: Tensor, motion: Tensor, frames: int) -> Tensor:
    """Motion (1, L, d) with its first `frames` cross-faded linearly from an earlier prediction of them."""
    count = min(frames, guess.shape[1])
    weight = (torch.arange(1, count + 1, device=motion.device) / (count + 1))[:, None]
    return torch.cat((torch.lerp(guess[:, :count], motion[:, :count], weight), motion[:, count:]), 1)
