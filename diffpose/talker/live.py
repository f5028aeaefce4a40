"""Streaming of the light driver: lips by the networks, the rest by the built-in stream."""

from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from ...lp_core.motion.sequence import MotionSequence, join
from ..procedural.stream import ProceduralStream
from ..steering.apply import LiveSteering
from ..steering.options import MotionOptions
from ..steering.style import Style
from .driver import Talker, TalkerStream, lip_motion
from .spectrum import FPS


class LiveTalker:
    """A `lp_core.live.session.MotionStream` of a talker: as Talker.generate, except where that needs all sound.

    Args:
        talker: the light driver.
        wanted: strengths of the parts of the motion.
        seed: of all motion but the lips'.
        style: style of the motion.

    Attributes:
        fps: frames a second.
        delay: greatest time from a frame's moment until it settles, seconds of sound.
    """

    def __init__(self, talker: Talker, wanted: MotionOptions, seed: int, style: Style) -> None:
        self._lips = TalkerStream(talker)
        self._size = wanted.lips * wanted.expression * style.gains().mouth_amplitude
        own = MotionOptions(lip_lead_ms=wanted.lip_lead_ms, rest_in_silence=wanted.rest_in_silence, subtle=0.0)
        ahead = self._lips.options.ahead
        self._steering = LiveSteering(own, Style().gains(), seed, ahead, leading="all")
        self._rest = ProceduralStream(FPS, replace(wanted, lips=0.0), seed, style)
        self._waiting: list[list[MotionSequence]] = [[], []]  # of the lips and of the rest
        self.fps = Fraction(FPS)
        slowest_lips = float(self._lips.options.latency) + self._steering.held_back / FPS
        self.delay = max(slowest_lips, self._rest.delay)

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The frames settled by more sound (S,), 16 kHz mono, of any length; None when no new frame is settled."""
        self._steering.push(sound)
        return self._together(self._steered(self._lips.push(sound)), self._rest.push(sound))

    def finish(self) -> MotionSequence | None:
        """The remaining frames at the end of the voice; None when there are none."""
        lips = (self._steered(self._lips.finish()), self._steering.finish())
        given = [piece for piece in lips if piece is not None]
        return self._together(join(given) if given else None, self._rest.finish())

    def _steered(self, deltas: Tensor) -> MotionSequence | None:
        return self._steering.steer(lip_motion(self._size * deltas)) if len(deltas) else None

    def _together(self, lips: MotionSequence | None, rest: MotionSequence | None) -> MotionSequence | None:
        """The combined frames that are settled in both; None when there are none."""
        for waiting, piece in zip(self._waiting, (lips, rest), strict=True):
            waiting.extend([] if piece is None else [piece])
        if not all(self._waiting):
            return None
        lips, rest = (join(waiting) for waiting in self._waiting)
        both = min(len(lips), len(rest))
        self._waiting = [[motion[both:]] if len(motion) > both else [] for motion in (lips, rest)]
        return replace(rest[:both], expression=lips.expression[:both] + rest.expression[:both])
