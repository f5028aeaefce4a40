"""SadTalker's and LivePortraitTalker's blinks: five frames each, at random distances.

A blink is drawn again and again, `start` frames after the end of the one before, until one would pass the clip's
end. Clips of 21 frames or fewer have none (the original fails at 21, where it draws from an empty range).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

CLOSEDNESS = (0.5, 0.9, 1.0, 0.9, 0.5)  # SadTalker's network input, 1 closed
OPENNESS = (1.0, 0.5, 0.0, 0.5, 1.0)  # LivePortraitTalker's, a share of the eye's own opening
SHORTEST_WAIT, LONGEST_WAIT = 10, 70  # frames; the longest is also half of the clip at most
SHORTEST_CLIP = 22  # frames


def blink_waits(frames: int, seed: int) -> Iterator[int]:
    """Endless random waits, in frames, for a clip of `frames` frames of at least SHORTEST_CLIP."""
    random = np.random.default_rng(seed)
    while True:
        yield int(random.integers(SHORTEST_WAIT, min(frames // 2, LONGEST_WAIT)))


def closedness(frames: int, waits: Iterable[int]) -> Tensor:
    """How far the lids are closed (T,): 0 open … 1 closed, for ExpNet's blink input."""
    return _blinking(frames, waits, CLOSEDNESS, between=0.0)


def eye_openings(frames: int, waits: Iterable[int], opening: float) -> Tensor:
    """The lid opening over eye width (T,) that eye retargeting is asked for, `opening` between blinks."""
    return opening * _blinking(frames, waits, OPENNESS, between=1.0)


def _blinking(frames: int, waits: Iterable[int], shape: tuple[float, ...], between: float) -> Tensor:
    values = torch.full((frames,), between)
    if frames < SHORTEST_CLIP:
        return values
    end = 0
    for wait in waits:
        start, end = end + wait, end + wait + len(shape)
        if end > frames - 1:
            break
        values[start:end] = torch.tensor(shape)
    return values
