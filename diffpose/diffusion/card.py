"""What a checkpoint's tensors alone do not tell."""

from dataclasses import dataclass
from typing import Literal, get_args

from .denoiser import DenoiserLayout

DenoiserKind = Literal["joyvasa", "diffposetalk", "difflivehead"]
Kind = Literal["joyvasa", "diffposetalk", "difflivehead", "style_encoder", "ditto"]
Level = Literal["as_is", "utterance", "window"]
Padding = Literal["zero", "replicate"]
Halving = Literal["pairs", "ends"]
DENOISER_KINDS: tuple[DenoiserKind, ...] = get_args(DenoiserKind)
KIND_NAMES: dict[Kind, str] = {
    "joyvasa": "JoyVASA's motion generator",
    "diffposetalk": "a DiffPoseTalk denoiser",
    "difflivehead": "hazard-10's DiffLiveHead",
    "style_encoder": "a style encoder",
    "ditto": "Ditto's motion network",
}


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


@dataclass(frozen=True)
class DiffusionCard:
    """What a denoiser's tensors alone do not tell, kept as JSON in converted files.

    Attributes:
        kind: the project the network comes from, which fixes the meaning of its motion vector.
        layout: sizes and switches; `position` is written as `pe_mode`.
        target: whether the network predicts clean motion or noise.
        speech: how it wants its sound.
    """

    kind: DenoiserKind
    layout: DenoiserLayout
    target: Literal["sample", "noise"]
    speech: SpeechSettings
