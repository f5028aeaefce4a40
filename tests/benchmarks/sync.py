"""The sync meter: does a mouth that was seen fit a voice that was heard?

The voice is heard by the judge, a viseme net trained with another seed on other voices and languages than the one
that drives the built-in generator (diffpose/training/shipped/visemes.py).
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from talking_head.diffpose.procedural.visemes import load_viseme_net, visemes
from talking_head.diffpose.speech.analysis import SAMPLE_RATE, analyse
from talking_head.diffpose.speech.curves import ANALYSIS_RATE
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.media.rates import frame_count

JUDGE = Path(__file__).with_name("judge_net.safetensors")
LARGEST_LAG = 7  # frames


@dataclass(frozen=True)
class Sync:
    """Mean correlation of opening and width at the best lag, and that lag in frames (below zero: the lips lead)."""

    score: float
    lag: int


def heard_mouth(audio: Audio, fps: Fraction) -> np.ndarray:
    """Opening and width (frames, 2) that the judge hears in a voice."""
    shapes = visemes(analyse(audio.mono(SAMPLE_RATE)), load_viseme_net(JUDGE))
    times = np.arange(frame_count(audio.samples, audio.sample_rate, fps)) / float(fps)
    moments = np.arange(len(shapes.opening)) / ANALYSIS_RATE
    return np.stack([np.interp(times, moments, curve) for curve in (shapes.opening, shapes.width)], -1)


def sync(seen: np.ndarray, heard: np.ndarray) -> Sync:
    """How well opening and width (frames, 2) of a mouth fit what was heard (frames, 2)."""
    frames = min(len(seen), len(heard))
    found = []
    for lag in range(-LARGEST_LAG, LARGEST_LAG + 1):
        late, early = max(lag, 0), max(-lag, 0)
        pairs = zip(seen[late : frames - early].T, heard[early : frames - late].T, strict=True)
        found.append(Sync(float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])), lag))
    return max(found, key=lambda one: one.score)
