"""The diffusion generator: a voice to LivePortrait motion, at once or while it is still arriving."""

from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ..lp_core.audio import Audio
from ..lp_core.motion import MotionFrame, MotionSequence, frame_rate, join
from .card import KIND_NAMES
from .features import FPS, SAMPLE_RATE, SpeechEncoder
from .hearing import LiveEar, StreamingEar
from .incremental import IncrementalEar
from .normalise import JoyvasaSpace
from .options import MotionOptions
from .samplers import SampleOptions, seeded_noise
from .steering import closed_in_silence, steered, timed
from .style import MotionStatistics, Style
from .weights import DiffusionModel
from .windows import LIVE, Person, WindowedMotion, WindowPlan, silent_context, trained_plan


class MotionStream:
    """LivePortrait motion of a voice that is still arriving, 25 frames a second.

    Made by DiffusionGenerator.stream. All pieces are measured against one rest frame, and joined they are what the
    whole voice gives at once.
    """

    def __init__(self, ear: LiveEar, windows: WindowedMotion, space: JoyvasaSpace) -> None:
        self._ear, self._windows, self._space = ear, windows, space
        self._rest: MotionFrame | None = None
        self._finished = False

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The motion settled by more sound (S,), 16 kHz mono, of any length; None while nothing new is settled.

        Raises:
            ValueError: sound of another shape, with NaN, or after the end.
        """
        if self._finished:
            raise ValueError("The stream has ended; start a new one for more sound.")
        self._ear.push(sound)
        return self._motion(self._windows.settled())

    def finish(self) -> MotionSequence | None:
        """The motion still open when the voice ends: in all ceil(samples / 640) frames; None when there is none."""
        self._finished = True
        return self._motion(self._windows.rest())

    def _motion(self, vectors: Tensor) -> MotionSequence | None:
        if not len(vectors):
            return None
        motion = self._space.motion(vectors, Fraction(FPS), self._rest)
        self._rest = motion.rest
        return motion


class DiffusionGenerator:
    """Implements `generator.MotionGenerator` with a denoiser that writes JoyVASA's motion vectors.

    Args:
        model: the denoiser, of JoyVASA's kind.
        encoder: its speech encoder.
        space: what its vectors mean.
        options: how windows are sampled.

    Raises:
        ValueError: a denoiser of another motion space.
    """

    def __init__(
        self,
        model: DiffusionModel,
        encoder: SpeechEncoder,
        space: JoyvasaSpace,
        options: SampleOptions | None = None,
    ) -> None:
        if model.card.kind != "joyvasa":
            raise ValueError(
                f"{KIND_NAMES[model.card.kind]} does not write LivePortrait motion; "
                f"expected {KIND_NAMES['joyvasa']}."
            )
        self._model, self._encoder, self._space = model, encoder, space
        self._options = options or SampleOptions()

    def generate(
        self,
        audio: Audio,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> MotionSequence:
        """The motion of a face that says `audio`: ceil(duration · fps) frames.

        Args:
            audio: the voice, any rate and channels.
            fps: frames a second; the network's 25 are resampled.
            options: what moves and how much; as the network has it when None.
            seed: 0 or more; the same seed gives the same motion.
            style: its code guides a network that was trained with one, by its strength; its statistics scale the
                motion of one that was not.
        """
        stream = self.stream(seed, style, trained_plan(self._model))
        pieces = (stream.push(audio.mono(SAMPLE_RATE)), stream.finish())
        motion = join([piece for piece in pieces if piece is not None])
        wanted = options or MotionOptions()
        motion = timed(motion, audio, frame_rate(fps), wanted.lip_lead_ms)
        if wanted.rest_in_silence:
            motion = closed_in_silence(motion, audio, wanted.lip_lead_ms)
        return steered(motion, wanted, self._gains(style or Style()))

    def stream(self, seed: int = 0, style: Style | None = None, plan: WindowPlan = LIVE) -> MotionStream:
        """A stream to push sound into; in the default plan the first frames settle after 280 ms of it.

        Args:
            seed: 0 or more.
            style: as in `generate`, for networks that were trained with a style code.
            plan: how the voice is cut into windows.
        """
        if seed < 0:
            raise ValueError(f"The seed is {seed}; expected 0 or more.")
        model, manner = self._model, style or Style()
        ear = self._ear(plan)
        windows = WindowedMotion(
            model,
            ear,
            plan,
            self._guided(manner),
            draw=seeded_noise(seed, (1, plan.frames, model.card.layout.motion_dims)),
            person=self._person(manner),
            silence=silent_context(model, self._encoder),
        )
        return MotionStream(ear, windows, self._space)

    def _ear(self, plan: WindowPlan) -> LiveEar:
        """What hears the sound: a short window together with what came before it, as much as in training."""
        speech, hearing = self._model.card.speech, max(plan.frames, self._model.card.layout.new_frames)
        if plan.incremental:
            return IncrementalEar(self._encoder, speech, hearing - plan.frames)
        return StreamingEar(self._encoder, speech, hearing)

    def _takes_style(self) -> bool:
        return self._model.card.layout.token.style > 0

    def _guided(self, style: Style) -> SampleOptions:
        """The sampling options with the style's scale times its strength: 0 is exactly without style."""
        if not self._takes_style():
            return self._options
        guidance = self._options.guidance
        strength = 0.0 if style.code is None else style.strength
        scale = strength * (1.0 if guidance.style is None else guidance.style)
        return replace(self._options, guidance=replace(guidance, style=scale))

    def _person(self, style: Style) -> Person:
        if not self._takes_style():
            return Person()
        like = self._model.denoiser.null_style[0]
        return Person(style=torch.zeros_like(like) if style.code is None else style.code[None].to(like))

    def _gains(self, style: Style) -> MotionStatistics:
        """Factors on the motion, all 1 for a network that knows the style itself."""
        return replace(style, strength=0.0).gains() if self._takes_style() else style.gains()
