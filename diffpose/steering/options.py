"""Strengths of the parts of a talking face's motion."""

from dataclasses import dataclass
from typing import Any

from ...lp_core.options import check_options, option

POSES = ("synthetic", "still")
LOOKS = ("natural", "viewer")
MOODS = ("neutral", "happy", "sad", "angry", "surprised", "disgusted", "afraid", "contemptuous")
STRENGTHS = ("lips", "brows", "head", "blinks", "gaze", "subtle")
MAXIMUM_STRENGTH = 3.0
MAXIMUM_LEAD_MS = 300.0


def _strength(what: str, label: str) -> Any:
    """A strength option; its default 1 is natural."""
    text = f"Strength of {what}: 1 is natural, 0 none."
    return option(1.0, text, minimum=0.0, maximum=MAXIMUM_STRENGTH, step=0.05, label=f"strength of {label}")


@dataclass(frozen=True)
class MotionOptions:
    """Strengths of the parts of a talking face's motion; the defaults are a natural talker's."""

    lips: float = _strength("lip motion", "lips")
    brows: float = _strength("brow motion", "brows")
    head: float = _strength("head motion", "head")
    blinks: float = _strength("blinking (its rate)", "blinks")
    gaze: float = _strength("glances", "gaze")
    pose: str = option(
        "synthetic",
        "Head motion: synthetic moves the head with the speech; still keeps the portrait's head pose.",
        choices=POSES,
    )
    lip_lead_ms: float = option(
        30.0,
        "Lead of the lips over the sound, in milliseconds. A small lead looks natural.",
        minimum=-MAXIMUM_LEAD_MS,
        maximum=MAXIMUM_LEAD_MS,
        step=5.0,
        unit="ms",
        label="lips' lead",
    )
    lips_only: bool = option(False, "Moves the lips only; the other strengths are ignored.")
    expression: float = _strength("the whole face's expression, lips and brows included", "expression")
    rest_in_silence: bool = option(
        True,
        "Brings the lips to rest in silence; off: the network's own lips are kept. The procedural generator "
        "always rests in silence.",
    )
    subtle: float = _strength(
        "small expressions during speech (brow flashes on emphasis, lid tension, one-sided smiles)", "subtle"
    )
    mood: str = option("neutral", "Facial expression held through speech and silence.", choices=MOODS)
    mood_strength: float = _strength("the mood", "mood")
    look: str = option(
        "natural",
        "Gaze: natural keeps the generator's own gaze; viewer keeps the eyes on the viewer while the head turns.",
        choices=LOOKS,
    )

    def __post_init__(self) -> None:
        check_options(self)


def check_seed(seed: int) -> None:
    """Raise ValueError for a seed below 0."""
    if seed < 0:
        raise ValueError(f"The seed is {seed}; expected 0 or more.")
