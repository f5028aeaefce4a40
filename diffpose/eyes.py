"""Eyes of somebody who speaks to the viewer: blinks, eye contact with micro-saccades, lids that follow the gaze.

Sizes follow mesh spec, section 4, and liveportrait_templates.md, section 4.
"""

import numpy as np

from ..lp_core.edits import CONTACT_PER_PITCH, CONTACT_PER_YAW
from .curves import Curve, minimum_jerk, stepped

CLOSING, HELD, OPENING = 0.09, 0.04, 0.20  # seconds of a blink
BLINK_INTERVAL, BLINK_VARIATION = 3.0, 0.35  # median in seconds, and log-normal deviation
BLINK_INTERVALS = (1.9, 7.0)  # seconds
DOUBLE_BLINK, DOUBLE_SPACING = 0.03, 0.38  # probability, seconds
PAUSE_REACH = 0.8  # seconds by which a blink moves to a pause
FIXATION = (0.4, 1.6)  # seconds
MICRO_SACCADE = (0.045, 0.03)  # iris radii, standard deviation in x and y
AVERSION = 0.10  # probability that a fixation looks away
AVERSION_TIME = (0.35, 0.8)  # seconds
SACCADE = 0.04  # seconds
LID_FOLLOW = 0.5  # of lid per iris radius that the gaze goes down
LID_FOLLOW_RANGE = (-0.10, 0.12)


def blink_times(duration: float, breaks: Curve, rate: float, random: np.random.Generator) -> Curve:
    """Seconds (N,) at which blinks begin.

    Args:
        duration: seconds to fill.
        breaks: (M,) seconds of pauses in the speech; blinks near one move to it.
        rate: factor on the natural rate of about 19 a minute; 0 is never.
        random: its draws do not depend on the breaks.
    """
    if not rate:
        return np.zeros(0)
    times, planned = [], random.uniform(0.6, 2.0) / rate
    while planned < duration:
        near = breaks[np.abs(breaks - planned) < PAUSE_REACH] + 0.05
        start = float(near[0]) if len(near) and random.random() < 0.6 else planned
        times.append(max(start, times[-1] + DOUBLE_SPACING) if times else start)
        if random.random() < DOUBLE_BLINK:
            times.append(times[-1] + DOUBLE_SPACING)
        interval = random.lognormal(np.log(BLINK_INTERVAL), BLINK_VARIATION)
        planned += max(float(np.clip(interval, *BLINK_INTERVALS)) / rate, DOUBLE_SPACING)
    return np.array(times)


def blink_curve(times: Curve, blinks: Curve) -> Curve:
    """How far the lids are closed (T,), 0 … 1: fast down, a moment shut, slowly up."""
    if not len(blinks):
        return np.zeros(len(times))
    latest = np.searchsorted(blinks, times, side="right") - 1
    since = np.where(latest >= 0, times - blinks[np.maximum(latest, 0)], np.inf)
    return minimum_jerk(since / CLOSING) * (1 - minimum_jerk((since - CLOSING - HELD) / OPENING))


def wandering_gaze(times: Curve, random: np.random.Generator) -> Curve:
    """Gaze around the viewer's eyes (T, 2) in iris radii right and down: small saccades, a rare look away."""
    starts, places = [0.0], [np.zeros(2)]
    while starts[-1] < times[-1]:
        away = random.random() < AVERSION
        side = random.choice((-1, 1)) * random.uniform(0.18, 0.35)
        aside, near = np.array([side, random.uniform(-0.1, 0.15)]), random.normal(0, MICRO_SACCADE)
        starts.append(starts[-1] + random.uniform(*FIXATION))
        places.append(aside if away else near)
        if away:
            starts.append(starts[-1] + random.uniform(*AVERSION_TIME))
            places.append(near)
    return stepped(times, np.array(starts), np.array(places), np.full(len(starts), SACCADE))


def counter_rotation(rotation: Curve) -> Curve:
    """Gaze (T, 2) in iris radii that holds the viewer while the head turns by (T, 3) degrees.

    Check: a head turned 10° to the picture's left (yaw +10) looks 0.35 iris radii to the right.
    """
    return np.stack([CONTACT_PER_YAW * rotation[:, 1], -CONTACT_PER_PITCH * rotation[:, 0]], -1)


def lid_following(gaze: Curve) -> Curve:
    """How far the lids go (T,) with a gaze (T, 2): down with a look down, wider with a look up."""
    return np.clip(LID_FOLLOW * gaze[:, 1], *LID_FOLLOW_RANGE)
