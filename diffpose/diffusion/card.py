"""Metadata of a checkpoint that its tensors do not contain."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..speech.settings import SpeechSettings
from .denoiser import DenoiserLayout

DenoiserKind = Literal["joyvasa", "diffposetalk", "difflivehead"]
Kind = Literal["joyvasa", "diffposetalk", "difflivehead", "style_encoder", "ditto"]
DENOISER_KINDS: tuple[DenoiserKind, ...] = get_args(DenoiserKind)
KIND_NAMES: dict[Kind, str] = {
    "joyvasa": "JoyVASA's motion generator",
    "diffposetalk": "a DiffPoseTalk denoiser",
    "difflivehead": "hazard-10's DiffLiveHead",
    "style_encoder": "a style encoder",
    "ditto": "Ditto's motion network",
}


@dataclass(frozen=True)
class DiffusionCard:
    """Metadata of a denoiser that its tensors do not contain, kept as JSON in converted files.

    Attributes:
        kind: the project the network comes from, which determines the motion space of its vectors.
        layout: sizes and switches; `position` is written as `pe_mode`.
        target: whether the network predicts clean motion or noise.
        speech: the preprocessing of its sound.
    """

    kind: DenoiserKind
    layout: DenoiserLayout
    target: Literal["sample", "noise"]
    speech: SpeechSettings


def check_kind(kind: Kind, expected: Kind, fault: str) -> None:
    """Raise ValueError when a network is of another kind than expected; `fault` explains why it cannot be used."""
    if kind != expected:
        raise ValueError(f"{KIND_NAMES[kind]} {fault}; expected {KIND_NAMES[expected]}.")
