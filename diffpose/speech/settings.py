"""Preprocessing of a network's speech."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["as_is", "utterance", "window"]
Padding = Literal["zero", "replicate"]
Halving = Literal["pairs", "ends"]


@dataclass(frozen=True)
class SpeechSettings:
    """Preprocessing of a network's speech.

    Attributes:
        encoder: architecture of the speech encoder.
        heads: its attention heads; 0 when the file carries no encoder.
        level: whether the sound is normalised to zero mean and unit deviation, and over which span.
        scope: whether the encoder takes the whole utterance or one window at a time.
        padding: of the sound at its end, in the last window.
        halving: resampling of 50 features a second to 25: mean of each pair, or linear between fixed ends.
    """

    encoder: Literal["hubert", "wav2vec2"]
    heads: int
    level: Level
    scope: Literal["window", "utterance"]
    padding: Padding = "zero"
    halving: Halving = "pairs"
