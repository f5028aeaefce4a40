"""The built-in generator for a voice that is still arriving: frames as soon as they are settled.

Every hop of HOP seconds is read from the last HEARD seconds of the voice and AHEAD seconds beyond it, whatever the
pieces the voice came in, so chunked equals whole. It is ProceduralGenerator's motion but for what only later sound
tells: loudness is measured over the past and 0.3 s instead of 2 s ahead, nods and brows answer an accent where they
otherwise foresee it, and a blink or a new posture waits for no pause that has not been heard.
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
HOP = 0.12  # seconds of frames settled at once
HEARD = 6.0  # seconds of the past that averages are taken over
SURE = 0.1  # seconds after which an accent or a pause is taken for one


class ProceduralStream:
    """Motion of a voice that is still arriving: the first frames settle after 420 ms of it at 25 a second.

    Args:
        fps: frames a second.
        options: what moves and how much; natural when None.
        seed: 0 or more.
        style: its statistics steer sizes and rates; a typical talker's when None.
        speaker: whose way of speaking the mouth shapes are taken from; nobody's when None.
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
        """Seconds of sound that must have arrived before its own first frame settles, at most."""
        return float(self._hop / self.fps) + AHEAD

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The motion settled by more sound (S,), 16 kHz mono, of any length; None while nothing new is settled.

        Raises:
            ValueError: sound of another shape, with NaN, or after the end.
        """
        if self._finished:
            raise ValueError("The stream has ended; start a new one for more sound.")
        self._sound.push(sound)
        hops = []
        while self._sound.samples >= (needed := self._needed(self._next + self._hop)):
            hops.append(self._settle(self._next + self._hop, needed))
        return join(hops) if hops else None

    def finish(self) -> MotionSequence | None:
        """The motion still open when the voice ends: in all ceil(duration · fps) frames; None for none."""
        self._finished = True
        total, hops = math.ceil(Fraction(self._sound.samples, SAMPLE_RATE) * self.fps), []
        while self._next < total:
            end = min(self._next + self._hop, total)
            hops.append(self._settle(end, min(self._needed(end), self._sound.samples)))
        return join(hops) if hops else None

    def _needed(self, end: int) -> int:
        """Samples heard for the frames before `end`."""
        return math.ceil((end / self.fps + Fraction(AHEAD)) * SAMPLE_RATE)

    def _settle(self, end: int, samples: int) -> MotionSequence:
        """The frames up to `end`, from the first `samples` of the voice."""
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
    """Head, brows and eyes as far as they are planned; every part has the random stream it has offline."""

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
        brow_drift(np.zeros(1), rise_random)  # the accents' draws follow the drift's
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
        """What they do at the times of a hop, when the voice has been heard a little beyond it."""
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
        """Nods and brows for the accents that have become known, and no more for those long gone."""
        sure = heard_from + speech.times[-1] - SURE
        stressed = accents(speech)
        for moment, weight in zip(stressed.times + heard_from, stressed.weights, strict=True):
            if moment <= sure and moment >= max(self.accent + NOD_SPACING, now - NOD_SPACING):
                self.accent = float(moment)
                self.nods.append(drawn_nod(moment, weight, self.nod_random, now))
                self.rises.append(drawn_rise(moment, self.rise_random, now))
        self.nods = [nod for nod in self.nods if nod.accent > now - ACCENT_REACH]
        self.rises = [rise for rise in self.rises if rise.accent > now - ACCENT_REACH]
