"""Motion out of a voice, window by window: settled frames as soon as there is sound for them, and no drift.

    |----context----|--hop--|-ahead-|                 a window denoises hop + ahead frames and settles the hop
            |----context----|--hop--|-ahead-|         the next one begins where that ended

The frames ahead of a hop are denoised again by the next window, with more sound, which fades over from them. Frame
n belongs to samples n·640 … (n+1)·640, however long the stream. Offline is the same stream fed at once.
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
    """How a stream is cut.

    Attributes:
        hop: frames settled by each window.
        ahead: frames denoised beyond the hop.
        fade: frames over which a window takes over from the one before it.
        incremental: whether the speech encoder goes on from what it remembers of earlier windows, which costs a
            tenth of hearing the last seconds anew and is not quite the same (see incremental.IncrementalFeatures).
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
        """Frames of all windows that settle `frames`."""
        return math.ceil(frames / self.hop) * self.hop + self.ahead


LIVE = WindowPlan(hop=5, ahead=2, fade=2)
"""For a voice that is arriving: the first frames settle after 7 · 40 = 280 ms of it."""

LIVE_ON_CPU = WindowPlan(hop=8, ahead=2, fade=2, incremental=True)
"""For machines that LIVE is too slow on, with 4 steps of sampling: nothing is heard twice, and the first frames
settle after 400 ms."""


def trained_plan(model: DiffusionModel) -> WindowPlan:
    """The windows of the network's training, side by side, as the published drivers cut them."""
    return WindowPlan(hop=model.card.layout.new_frames)


@dataclass(frozen=True, eq=False)
class Person:
    """What the person token is told, where the network has one; shapes as in denoiser.WindowInput."""

    shape: Tensor | None = None
    style: Tensor | None = None
    mouth_open_ratio: Tensor | None = None
    mean_expression: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """What a window hands to the next.

    Attributes:
        motion: (1, P, d) clean motion before it.
        audio: (1, P, D) mapped speech features before it.
        guess: (1, ahead, d) motion that the window before expected in it.
    """

    motion: Tensor
    audio: Tensor
    guess: Tensor


class MotionWindows(Protocol):
    """Motion vectors of sound that arrives, as their windows settle."""

    def pieces(self, final: bool = False) -> Iterator[Tensor]:
        """What became settled since the last call, (n, d) of each window, the same however the sound arrived.

        Args:
            final: no more sound comes, and all that is still open is wanted: in all ceil(samples / 640) frames.
        """
        ...


class WindowedMotion:
    """Normalised motion of the sound in a feature stream, window by window.

    The same sound and noise give the same motion however the sound arrived, and later sound changes no frame
    given out before.

    Args:
        model: the denoiser with its schedule.
        features: where the sound arrives.
        plan: how it is cut.
        options: how windows are sampled.
        draw: noise of shape (1, plan.frames, d); see samplers.seeded_noise.
        person: whose motion it is, where the network is told.
        silence: mapped features (1, P, D) before the start, for networks without learned start tokens.
        centred: the motion of each window is given less the mean of what the network last expected without being
            guided, as hazard-10 does: what is left is what the voice moves.
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
        # Every window sets out from the same noise, as in the published drivers.
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
        """The frames (n, d) that became settled since the last call; n may be 0."""
        return torch.cat((self._nothing(), *self.pieces()))

    def rest(self) -> Tensor:
        """The frames (n, d) still open when no more sound comes: in all there are ceil(samples / 640)."""
        return torch.cat((self._nothing(), *self.pieces(final=True)))

    def _nothing(self) -> Tensor:
        return torch.zeros(0, self._model.card.layout.motion_dims)

    @torch.no_grad()
    def _window(self) -> Tensor:
        """Denoise the next window, settle its hop (hop, d), and remember what the one after it needs."""
        heard = self._features.between(self._next, self._next + self._plan.frames)
        self._model.ensure_loaded(0)  # hearing may have put the denoiser off its device
        audio = self._model.denoiser.audio_map(heard.to(self._context.audio))
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
        """The end of denoising the next window, (1, frames, d), under mapped features of the same length."""
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
    """Mapped features (1, P, D) of silence, for networks that begin in it; None for those with start tokens."""
    if model.card.layout.start_tokens:
        return None
    silence = encoder.frames(torch.zeros(1, model.card.layout.context_frames * SAMPLES_PER_FRAME))
    model.ensure_loaded(0)
    return model.denoiser.audio_map(silence.to(model.denoiser.audio_map.weight))


def _beginning(model: DiffusionModel, silence: Tensor | None) -> Context:
    """What comes before the first window."""
    model.ensure_loaded(0)
    motion, audio = model.denoiser.start(1)
    audio = silence if audio is None else audio
    if audio is None:
        raise ValueError("This network has no start tokens: give the features of silence (see silent_context).")
    return Context(motion, audio, motion[:, :0])


def _faded(guess: Tensor, motion: Tensor, frames: int) -> Tensor:
    """Motion (1, L, d) whose first `frames` lead over, linearly, from an earlier guess of them."""
    count = min(frames, guess.shape[1])
    weight = (torch.arange(1, count + 1, device=motion.device) / (count + 1))[:, None]
    return torch.cat((torch.lerp(guess[:, :count], motion[:, :count], weight), motion[:, count:]), 1)
