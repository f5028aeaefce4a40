"""The diffusion generator: a voice to LivePortrait motion, offline or streamed."""

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
    """A `lp_core.live.session.MotionStream` of windows: LivePortrait motion of a streamed voice at 25 fps.

    Made by a generator's `stream`. All pieces are measured from one rest frame; concatenated, they do not depend on
    the division of the voice into pieces.

    Args:
        features: speech features of the pushed sound.
        windows: motion vectors of those features.
        space: converts the vectors to motion.
        steering: post-processing of the motion; nothing when None.
        delay: greatest time from a frame's moment until it settles, seconds of sound.

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
        """The frames settled by more sound (S,), 16 kHz mono, of any length; None when no new frame is settled.

        Raises:
            ValueError: the sound has another shape, contains NaN, or is pushed after the end.
        """
        if self._finished:
            raise ValueError("The stream has ended; start a new one for more sound.")
        self._features.push(sound)
        if self._steering is not None:
            self._steering.push(sound)
        return self._joined(self._moved())

    def finish(self) -> MotionSequence | None:
        """The remaining frames at the end of the voice, ceil(samples / 640) in all; None when there are none."""
        self._finished = True
        moved = self._moved(final=True)
        return self._joined(moved if self._steering is None else (*moved, self._steering.finish()))

    def _moved(self, final: bool = False) -> list[MotionSequence | None]:
        """The steered motion of every newly settled window."""
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
    """The whole motion of a requested voice: the output of a stream given all sound at once, steered.

    Args:
        stream: a new stream without steering.
        request: the voice and the motion options.
        gains: the style's factors on the motion.
    """
    moved = (*map(stream.push, request.audio.mono_pieces(SAMPLE_RATE)), stream.finish())
    return as_wanted(join([piece for piece in moved if piece is not None]), request, gains)


def as_wanted(motion: MotionSequence, request: MotionRequest, gains: MotionStatistics) -> MotionSequence:
    """A network's whole motion of a requested voice, resampled and steered; arguments as in `whole_motion`."""
    audio, wanted = request.audio, request.options
    motion = timed(motion, audio, request.fps, wanted.lip_lead_ms)
    speech = analyse_pieces(audio.mono_pieces(SAMPLE_RATE))
    if wanted.rest_in_silence:
        seconds = np.arange(len(motion)) / float(motion.fps) + wanted.lip_lead_ms / 1000
        motion = closed_in_silence(motion, speech.activity_at(seconds))
    return with_expressions(steered(motion, wanted, gains), speech, wanted, request.seed)


def check_live_rate(fps: float | Fraction) -> None:
    """Raise unless a network can stream at a frame rate.

    Raises:
        ValueError: the rate is not 25 frames a second.
    """
    if frame_rate(fps) != FPS:
        raise ValueError(f"This motion network gives {FPS} frames a second live; got {float(frame_rate(fps)):g}.")


class DiffusionGenerator(MotionGenerator):
    """Motion generator with a denoiser of JoyVASA's motion vectors.

    Args:
        model: the denoiser.
        encoder: its speech encoder.
        space: statistics of its vectors.
        options: sampling of each window.

    Raises:
        ValueError: the denoiser is of another motion space.
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
        """A stream that returns motion as sound is pushed; with the default plan the first frames need 280 ms.

        Args:
            seed: 0 or more.
            style: as in `generate`.
            plan: division of the voice into windows.
            options: as in `generate`; frames are held back until those that the lip lead refers to settle.
        """
        style, options = style or Style(), options or MotionOptions()
        return self._stream(seed, style, plan, LiveSteering(options, self._gains(style), seed, plan.ahead))

    def live(
        self,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> WindowStream:
        """See live.LiveGenerator; the plan is LIVE_ON_CPU on a CPU, else LIVE.

        Raises:
            ValueError: the rate is not the network's 25, or, on a CPU, the encoder cannot work incrementally.
        """
        check_live_rate(fps)
        plan = LIVE_ON_CPU if self._encoder.device.type == "cpu" else LIVE
        return self.stream(seed, style, plan, options)

    def _stream(self, seed: int, style: Style, plan: WindowPlan, steering: LiveSteering | None) -> WindowStream:
        check_seed(seed)
        model = self._model
        features = self._features(plan)
        windows = WindowedMotion(
            model,
            features,
            plan,
            self._guided(style),
            draw=seeded_noise(seed, (1, plan.frames, model.card.layout.motion_dims)),
            person=self._person(style),
            silence=silent_context(model, self._encoder),
        )
        held_back = 0 if steering is None else steering.held_back
        return WindowStream(features, windows, self._space, steering, (plan.frames + held_back) / FPS)

    def _features(self, plan: WindowPlan) -> StreamingFeatures:
        """A new feature stream; it encodes each window together with as much earlier sound as in training."""
        speech, hearing = self._model.card.speech, max(plan.frames, self._model.card.layout.new_frames)
        if plan.incremental:
            return IncrementalFeatures(self._encoder, speech, hearing - plan.frames)
        return WindowedFeatures(self._encoder, speech, hearing)

    def _takes_style(self) -> bool:
        return self._model.card.layout.token.style > 0

    def _guided(self, style: Style) -> SampleOptions:
        """The sampling options with the style's scale times its strength; 0 is without style."""
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
        """Factors on the motion; all 1 for a network with a style input."""
        return replace(style, strength=0.0).gains() if self._takes_style() else style.gains()
