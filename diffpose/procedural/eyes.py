"""Eye motion of a talker facing the viewer: blinks, eye contact with micro-saccades, lids that follow the gaze.

Amplitudes follow mesh spec, section 4, and liveportrait_templates.md, section 4.
"""

import numpy as np

from ...lp_core.motion.edits import CONTACT_PER_PITCH, CONTACT_PER_YAW
from ..speech.curves import Curve, minimum_jerk, stepped

CLOSING, HELD, OPENING = 0.09, 0.04, 0.20  # seconds of a blink
BLINK_INTERVAL, BLINK_VARIATION = 3.0, 0.35  # median in seconds, and standard deviation of the logarithm
BLINK_INTERVALS = (1.9, 7.0)  # seconds
DOUBLE_BLINK, DOUBLE_SPACING = 0.03, 0.38  # probability, seconds
PAUSE_REACH = 0.8  # greatest distance to a pause that a blink is moved to, seconds
FIXATION = (0.4, 1.6)  # seconds
MICRO_SACCADE = (0.045, 0.03)  # iris radii, standard deviation in x and y
AVERSION = 0.10  # probability that a fixation looks away
AVERSION_TIME = (0.35, 0.8)  # seconds
SACCADE = 0.04  # seconds
LATEST = 16  # blinks and gaze targets that a stream keeps
LID_FOLLOW = 0.5  # lid closing per iris radius of downward gaze
LID_FOLLOW_RANGE = (-0.10, 0.12)


def blink_times(duration: float, breaks: Curve, rate: float, random: np.random.Generator) -> Curve:
    """Start times (N,) of blinks in seconds.

    Args:
        duration: seconds.
        breaks: (M,) times of pauses in the speech, seconds; blinks near one are moved to it.
        rate: factor on the natural rate of about 19 a minute; 0 gives none.
        random: generator of the intervals.
    """
    blinks = Blinks(rate, random)
    blinks.extend(duration, breaks)
    return blinks.times


class Blinks:
    """Start times of blinks, drawn as far as the voice is known.

    Args:
        rate: factor on the natural rate of about 19 a minute; 0 gives none.
        random: generator of the intervals.
    """

    def __init__(self, rate: float, random: np.random.Generator) -> None:
        self._rate, self._random = rate, random
        self._times: list[float] = []
        self._planned = random.uniform(0.6, 2.0) / rate if rate else np.inf

    @property
    def times(self) -> Curve:
        """(N,) start times in seconds."""
        return np.array(self._times)

    def extend(self, end: float, breaks: Curve, since: float = 0.0) -> None:
        """Draw blinks until `end` seconds, moved to near pauses (M,); no new one begins before `since` seconds."""
        while self._planned < end:
            near = breaks[np.abs(breaks - self._planned) < PAUSE_REACH] + 0.05
            start = float(near[0]) if len(near) and self._random.random() < 0.6 else self._planned
            earliest = self._times[-1] + DOUBLE_SPACING if self._times else 0.0
            self._times.append(max(start, earliest, since))
            if self._random.random() < DOUBLE_BLINK:
                self._times.append(self._times[-1] + DOUBLE_SPACING)
            interval = self._random.lognormal(np.log(BLINK_INTERVAL), BLINK_VARIATION)
            self._planned += max(float(np.clip(interval, *BLINK_INTERVALS)) / self._rate, DOUBLE_SPACING)

    def forget(self) -> None:
        """Keep only the latest blinks."""
        del self._times[:-LATEST]


def blink_curve(times: Curve, blinks: Curve) -> Curve:
    """Closing of the lids (T,), 0 … 1: fast closing, a short hold, slow opening."""
    if not len(blinks):
        return np.zeros(len(times))
    latest = np.searchsorted(blinks, times, side="right") - 1
    since = np.where(latest >= 0, times - blinks[np.maximum(latest, 0)], np.inf)
    return minimum_jerk(since / CLOSING) * (1 - minimum_jerk((since - CLOSING - HELD) / OPENING))


def wandering_gaze(times: Curve, random: np.random.Generator) -> Curve:
    """Gaze (T, 2) in iris radii right and down: micro-saccades around the viewer's eyes, rarely a look away."""
    gaze = Gaze(random)
    gaze.extend(float(times[-1]))
    return gaze.at(times)


class Gaze:
    """Gaze targets of `wandering_gaze`, drawn as far as requested."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._starts, self._places = [0.0], [np.zeros(2)]

    def extend(self, end: float) -> None:
        """Draw gaze targets until `end` seconds."""
        random = self._random
        while self._starts[-1] < end:
            away = random.random() < AVERSION
            side = random.choice((-1, 1)) * random.uniform(0.18, 0.35)
            aside, near = np.array([side, random.uniform(-0.1, 0.15)]), random.normal(0, MICRO_SACCADE)
            self._starts.append(self._starts[-1] + random.uniform(*FIXATION))
            self._places.append(aside if away else near)
            if away:
                self._starts.append(self._starts[-1] + random.uniform(*AVERSION_TIME))
                self._places.append(near)

    def at(self, times: Curve) -> Curve:
        """Gaze (T, 2) in iris radii right and down."""
        starts = np.array(self._starts)
        return stepped(times, starts, np.array(self._places), np.full(len(starts), SACCADE))

    def forget(self) -> None:
        """Keep only the latest gaze targets."""
        for kept in (self._starts, self._places):
            del kept[:-LATEST]


def counter_rotation(rotation: Curve) -> Curve:
    """Gaze (T, 2) in iris radii that stays on the viewer while the head is rotated by (T, 3) degrees.

    Check: a head turned 10° to the picture's left (yaw +10) looks 0.35 iris radii to the right.
    """
    return np.stack([CONTACT_PER_YAW * rotation[:, 1], -CONTACT_PER_PITCH * rotation[:, 0]], -1)


def lid_following(gaze: Curve) -> Curve:
    """Lid closing (T,) that follows a gaze (T, 2): positive when looking down, negative when looking up."""
    return np.clip(LID_FOLLOW * gaze[:, 1], *LID_FOLLOW_RANGE)
