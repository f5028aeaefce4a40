"""How a network wants its speech."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["as_is", "utterance", "window"]
Padding = Literal["zero", "replicate"]
Halving = Literal["pairs", "ends"]


@dataclass(frozen=True)
class SpeechSettings:
    """How a network wants its speech.

    Attributes:
        encoder: architecture of the speech encoder.
        heads: its attention heads; 0 when the file carries no encoder.
        level: whether the sound is brought to zero mean and unit deviation, and over what.
        scope: whether the encoder hears the whole utterance or one window at a time.
        padding: what follows the end of the sound in the last window.
        halving: how 50 features a second become 25: the mean of each pair, or linearly between the two ends.
    """

    encoder: Literal["hubert", "wav2vec2"]
    heads: int
    level: Level
    scope: Literal["window", "utterance"]
    padding: Padding = "zero"
    halving: Halving = "pairs"
