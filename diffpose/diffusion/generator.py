"""The diffusion generator: a voice to LivePortrait motion, at once or while it is still arriving."""

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ...lp_core.media.rates import frame_rate
from ...lp_core.motion.sequence import MotionFrame, MotionSequence, join
from ..motion_generator import MotionGenerator, MotionRequest
from ..speech.analysis import analyse_pieces
from ..speech.encoder import FPS, SAMPLE_RATE, SpeechEncoder
from ..speech.incremental import IncrementalFeatures
from ..speech.streaming import StreamingFeatures, WindowedFeatures
from ..steering.apply import LiveSteering, closed_in_silence, steered, timed
from ..steering.options import MotionOptions, check_seed
from ..steering.style import MotionStatistics, Style
from ..steering.subtle import with_expressions
from .card import check_kind
from .checkpoints import DiffusionModel
from .normalise import JoyvasaSpace, MotionSpace
from .samplers import SampleOptions, seeded_noise
from .windows import (
    LIVE,
    LIVE_ON_CPU,
    MotionWindows,
    Person,
    WindowedMotion,
    WindowPlan,
    silent_context,
    trained_plan,
)


class WindowStream:
    """A `lp_core.live.MotionStream` of windows: LivePortrait motion of a voice that arrives, 25 frames a second.

    Made by a generator's `stream`. All pieces are measured against one rest frame, and joined they are the same
    however the voice is cut.

    Args:
        features: where the sound arrives.
        windows: what makes vectors of it.
        space: what the vectors mean.
        steering: what is done to the motion; nothing when None.
        delay: seconds of sound from a frame's moment on until it settles, at most.

    Attributes:
        fps: frames a second.
        delay: as given.
    """

    def __init__(
        self,
        features: StreamingFeatures,
        windows: MotionWindows,
        space: MotionSpace,
        steering: LiveSteering | None,
        delay: float,
    ) -> None:
        self.fps, self.delay = Fraction(FPS), delay
        self._features, self._windows, self._space, self._steering = features, windows, space, steering
        self._rest: MotionFrame | None = None
        self._finished = False

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The motion settled by more sound (S,), 16 kHz mono, of any length; None while nothing new is settled.

        Raises:
            ValueError: sound of another shape, with NaN, or after the end.
        """
        if self._finished:
            raise ValueError("The stream has ended; start a new one for more sound.")
        self._features.push(sound)
        if self._steering is not None:
            self._steering.push(sound)
        return self._joined(self._moved())

    def finish(self) -> MotionSequence | None:
        """The motion still open when the voice ends: in all ceil(samples / 640) frames; None when there is none."""
        self._finished = True
        moved = self._moved(final=True)
        return self._joined(moved if self._steering is None else (*moved, self._steering.finish()))

    def _moved(self, final: bool = False) -> list[MotionSequence | None]:
        """The motion of every window that settled, as it is wanted."""
        moved = []
        for vectors in self._windows.pieces(final):
            motion = self._space.motion(vectors, Fraction(FPS), self._rest)
            self._rest = motion.rest
            moved.append(motion if self._steering is None else self._steering.steer(motion))
        return moved

    @staticmethod
    def _joined(pieces: Iterable[MotionSequence | None]) -> MotionSequence | None:
        given = [piece for piece in pieces if piece is not None]
        return join(given) if given else None


def whole_motion(stream: WindowStream, request: MotionRequest, gains: MotionStatistics) -> MotionSequence:
    """The whole motion of a requested voice: the output of a stream that was fed at once, steered.

    Args:
        stream: a new one, without steering.
        request: the voice, and what moves and how much.
        gains: factors of a style.
    """
    moved = (*map(stream.push, request.audio.mono_pieces(SAMPLE_RATE)), stream.finish())
    return as_wanted(join([piece for piece in moved if piece is not None]), request, gains)


def as_wanted(motion: MotionSequence, request: MotionRequest, gains: MotionStatistics) -> MotionSequence:
    """A network's whole motion of a requested voice, steered; see `whole_motion`."""
    audio, wanted = request.audio, request.options
    motion = timed(motion, audio, request.fps, wanted.lip_lead_ms)
    speech = analyse_pieces(audio.mono_pieces(SAMPLE_RATE))
    if wanted.rest_in_silence:
        seconds = np.arange(len(motion)) / float(motion.fps) + wanted.lip_lead_ms / 1000
        motion = closed_in_silence(motion, speech.activity_at(seconds))
    return with_expressions(steered(motion, wanted, gains), speech, wanted, request.seed)


def check_live_rate(fps: float | Fraction) -> None:
    """Refuse rates that a network cannot give while a voice is still arriving.

    Raises:
        ValueError: another rate than 25 frames a second.
    """
    if frame_rate(fps) != FPS:
        raise ValueError(f"This motion network gives {FPS} frames a second live; got {float(frame_rate(fps)):g}.")


class DiffusionGenerator(MotionGenerator):
    """A generator made of a denoiser that writes JoyVASA's motion vectors.

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
        check_kind(model.card.kind, "joyvasa", "does not write LivePortrait motion")
        self._model, self._encoder, self._space = model, encoder, space
        self._options = options or SampleOptions()

    def _generated(self, request: MotionRequest) -> MotionSequence:
        stream = self._stream(request.seed, request.style, trained_plan(self._model), None)
        return whole_motion(stream, request, self._gains(request.style))

    def stream(
        self,
        seed: int = 0,
        style: Style | None = None,
        plan: WindowPlan = LIVE,
        options: MotionOptions | None = None,
    ) -> WindowStream:
        """A stream to push sound into; in the default plan the first frames settle after 280 ms of it.

        Args:
            seed: 0 or more.
            style: as in `generate`.
            plan: how the voice is cut into windows.
            options: what moves and how much, as in `generate`; frames that the lips' lead looks ahead to are held
                back until they settle.
        """
        manner, wanted = style or Style(), options or MotionOptions()
        return self._stream(seed, manner, plan, LiveSteering(wanted, self._gains(manner), seed, plan.ahead))

    def live(
        self,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> WindowStream:
        """See live.LiveGenerator: in the plan that suits the device, LIVE_ON_CPU on a CPU.

        Raises:
            ValueError: another rate than the network's 25, or on a CPU an encoder that cannot go on.
        """
        check_live_rate(fps)
        plan = LIVE_ON_CPU if self._encoder.device.type == "cpu" else LIVE
        return self.stream(seed, style, plan, options)

    def _stream(self, seed: int, manner: Style, plan: WindowPlan, steering: LiveSteering | None) -> WindowStream:
        check_seed(seed)
        model = self._model
        features = self._features(plan)
        windows = WindowedMotion(
            model,
            features,
            plan,
            self._guided(manner),
            draw=seeded_noise(seed, (1, plan.frames, model.card.layout.motion_dims)),
            person=self._person(manner),
            silence=silent_context(model, self._encoder),
        )
        held_back = 0 if steering is None else steering.held_back
        return WindowStream(features, windows, self._space, steering, (plan.frames + held_back) / FPS)

    def _features(self, plan: WindowPlan) -> StreamingFeatures:
        """What hears the sound: a short window together with what came before it, as much as in training."""
        speech, hearing = self._model.card.speech, max(plan.frames, self._model.card.layout.new_frames)
        if plan.incremental:
            return IncrementalFeatures(self._encoder, speech, hearing - plan.frames)
        return WindowedFeatures(self._encoder, speech, hearing)

    def _takes_style(self) -> bool:
        return self._model.card.layout.token.style > 0

    def _guided(self, style: Style) -> SampleOptions:
        """The sampling options with the style's scale times its strength: 0 is exactly without style."""
        if not self._takes_style():
            return self._options.guided_by_style(None)
        strength, scale = 0.0 if style.code is None else style.strength, self._options.guidance.style
        return self._options.guided_by_style(strength * (1.0 if scale is None else scale))

    def _person(self, style: Style) -> Person:
        if not self._takes_style():
            return Person()
        like = self._model.denoiser.null_style[0]
        return Person(style=torch.zeros_like(like) if style.code is None else style.code[None].to(like))

    def _gains(self, style: Style) -> MotionStatistics:
        """Factors on the motion, all 1 for a network that knows the style itself."""
        return replace(style, strength=0.0).gains() if self._takes_style() else style.gains()
