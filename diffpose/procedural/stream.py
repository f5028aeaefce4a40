"""Streaming of the built-in generator, for a voice that is still arriving.

Every hop of HOP seconds is computed from the last HEARD seconds of the voice and AHEAD seconds beyond it, so the
motion does not depend on the chunk size. It differs from ProceduralGenerator's only where that uses later sound:
loudness is measured over the past and 0.3 s ahead instead of 2 s, nods and brow rises follow an accent instead of
starting before it, and blinks and new postures are not moved to pauses that are still to come.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.random import SeedSequence, default_rng
from torch import Tensor

from ...lp_core.media.rates import frame_rate
from ...lp_core.motion.sequence import MotionSequence, join
from ..speech.analysis import HOP as ANALYSIS_HOP
from ..speech.analysis import SAMPLE_RATE, Speech, analyse
from ..speech.curves import Curve, smoothed
from ..speech.manifold import Projection
from ..speech.streaming import SoundMemory
from ..steering.options import MotionOptions, check_seed
from ..steering.style import MotionStatistics, Style
from ..steering.subtle import with_expressions
from .eyes import Blinks, Gaze, blink_curve
from .generator import BrowRise, Face, brow_drift, drawn_rise, lips_of, moved
from .head import (
    ACCENT_REACH,
    IDLE_SHARE,
    NOD_SPACING,
    HeadMotion,
    Nod,
    Postures,
    accents,
    begun,
    drawn_nod,
    drift,
    nodding,
    pauses,
    sway,
)

AHEAD = 0.3  # seconds; the viseme net sees 0.23 s ahead, the lips' smoothing 0.07 s more
HOP = 0.12  # seconds of frames settled together
HEARD = 6.0  # seconds of past sound over which averages are taken
SURE = 0.1  # seconds after which an accent or a pause is certain


class ProceduralStream:
    """Motion of a streamed voice; at 25 frames a second the first ones settle after 420 ms of sound.

    Args:
        fps: frames a second.
        options: strengths of the parts of the motion; natural when None.
        seed: 0 or more.
        style: its statistics scale amplitudes and rates; a typical talker's when None.
        speaker: projection of the voice's mel spectrum to that of one speaker; none when None.
    """

    def __init__(
        self,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
        speaker: Projection | None = None,
    ) -> None:
        check_seed(seed)
        self.fps = frame_rate(fps)
        self._wanted, self._gains = options or MotionOptions(), (style or Style()).gains()
        self._seed, self._speaker = seed, speaker
        self._hop = max(round(self.fps * Fraction(HOP)), 1)  # frames
        self._life = _Life.of(seed, self._wanted, self._gains)
        self._sound = SoundMemory()
        self._next = 0  # the first frame not settled yet
        self._finished = False

    @property
    def delay(self) -> float:
        """Greatest time from a frame's moment until it settles, seconds of sound."""
        return float(self._hop / self.fps) + AHEAD

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The frames settled by more sound (S,), 16 kHz mono, of any length; None when no new frame is settled.

        Raises:
            ValueError: the sound has another shape, contains NaN, or is pushed after the end.
        """
        if self._finished:
            raise ValueError("The stream has ended; start a new one for more sound.")
        self._sound.push(sound)
        hops = []
        while self._sound.samples >= (needed := self._needed(self._next + self._hop)):
            hops.append(self._settle(self._next + self._hop, needed))
        return join(hops) if hops else None

    def finish(self) -> MotionSequence | None:
        """The remaining frames at the end of the voice, ceil(duration · fps) in all; None when there are none."""
        self._finished = True
        total, hops = math.ceil(Fraction(self._sound.samples, SAMPLE_RATE) * self.fps), []
        while self._next < total:
            end = min(self._next + self._hop, total)
            hops.append(self._settle(end, min(self._needed(end), self._sound.samples)))
        return join(hops) if hops else None

    def _needed(self, end: int) -> int:
        """Samples needed to settle the frames before `end`."""
        return math.ceil((end / self.fps + Fraction(AHEAD)) * SAMPLE_RATE)

    def _settle(self, end: int, samples: int) -> MotionSequence:
        """The next frames before `end`, from the first `samples` samples of the voice."""
        times = np.arange(self._next, end) / float(self.fps)
        past = max(math.floor((times[0] - HEARD) * SAMPLE_RATE / ANALYSIS_HOP) * ANALYSIS_HOP, 0)
        self._sound.forget(past)
        heard_from, wanted = past / SAMPLE_RATE, self._wanted
        speech = analyse(self._sound.between(past, samples))
        mouth = lips_of(speech, self._gains.mouth_tempo, self._speaker)
        mouth = mouth.at(times - heard_from + wanted.lip_lead_ms / 1000)
        head, face = self._life.at(times, speech, heard_from)
        motion = moved(mouth, head, face, wanted, self._gains, self.fps)
        self._next = end
        return with_expressions(motion, speech, wanted, self._seed, float(times[0]), heard_from)


@dataclass(eq=False)
class _Life:
    """State of head, brows and eyes, drawn as far as the voice is known; random streams are those used offline."""

    sway_seed: SeedSequence
    drift_seed: SeedSequence
    brow_seed: SeedSequence
    nod_random: np.random.Generator
    rise_random: np.random.Generator
    postures: Postures
    blinks: Blinks
    gaze: Gaze
    nods: list[Nod] = field(default_factory=list)
    rises: list[BrowRise] = field(default_factory=list)
    accent: float = -np.inf  # seconds of the last one

    @classmethod
    def of(cls, seed: int, wanted: MotionOptions, gains: MotionStatistics) -> "_Life":
        head, brow, blink, gaze = SeedSequence(seed).spawn(4)
        sway_seed, nod, posture, drift_seed = head.spawn(4)
        rise_random = default_rng(brow)
        brow_drift(np.zeros(1), rise_random)  # draws of accents come after those of the drift
        return cls(
            sway_seed,
            drift_seed,
            brow,
            default_rng(nod),
            rise_random,
            Postures(default_rng(posture)),
            Blinks(wanted.blinks * gains.blink_rate, default_rng(blink)),
            Gaze(default_rng(gaze)),
        )

    def at(self, times: Curve, speech: Speech, heard_from: float) -> tuple[HeadMotion, Face]:
        """Motion at the times of a hop, with the voice analysed from `heard_from` seconds to a little beyond it."""
        start, end = float(times[0]), float(times[-1])
        self._answer(speech, heard_from, start)
        sure = heard_from + speech.times[-1] - SURE
        breaks = heard_from + pauses(speech)
        breaks = breaks[breaks <= sure]
        self.postures.extend(end, breaks, start)
        self.blinks.extend(end, breaks, start)
        self.gaze.extend(end)
        attention = IDLE_SHARE + (1 - IDLE_SHARE) * smoothed(speech.activity, 0.4)
        degrees = sway(times, default_rng(self.sway_seed))
        degrees *= np.interp(times - heard_from, speech.times, attention)[:, None]
        degrees += nodding(self.nods, times) + self.postures.at(times)
        brows = brow_drift(times, default_rng(self.brow_seed))
        for rise in self.rises:
            brows += rise.at(times)
        face = Face(brows, self.gaze.at(times), blink_curve(times, self.blinks.times))
        for planned in (self.postures, self.blinks, self.gaze):
            planned.forget()
        return begun(degrees, drift(times, default_rng(self.drift_seed)), times), face

    def _answer(self, speech: Speech, heard_from: float, now: float) -> None:
        """Add nods and brow rises on newly known accents, and drop those long past."""
        sure = heard_from + speech.times[-1] - SURE
        stressed = accents(speech)
        for moment, weight in zip(stressed.times + heard_from, stressed.weights, strict=True):
            if moment <= sure and moment >= max(self.accent + NOD_SPACING, now - NOD_SPACING):
                self.accent = float(moment)
                self.nods.append(drawn_nod(moment, weight, self.nod_random, now))
                self.rises.append(drawn_rise(moment, self.rise_random, now))
        self.nods = [nod for nod in self.nods if nod.accent > now - ACCENT_REACH]
        self.rises = [rise for rise in self.rises if rise.accent > now - ACCENT_REACH]
