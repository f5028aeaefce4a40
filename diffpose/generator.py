"""The seam between a voice and a motion: what every generator takes and gives."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from ..lp_core.audio import Audio
from ..lp_core.motion import MotionSequence
from .style import Style

GENERATORS = ("auto", "procedural")
POSES = ("synthetic", "still")
STRENGTHS = ("lips", "brows", "head", "blinks", "gaze")
MAXIMUM_STRENGTH = 3.0
MAXIMUM_LEAD_MS = 300.0


@dataclass(frozen=True)
class MotionOptions:
    """How much of each part of a talking face is wanted; the defaults are a natural talker.

    Attributes:
        lips: 0 … 3, size of the lips' movement; 0 keeps them still.
        brows: 0 … 3, size of the brows' movement.
        head: 0 … 3, size of the head's movement.
        blinks: 0 … 3, blinks against the natural rate of about 19 a minute; 0 is never.
        gaze: 0 … 3, size of the eyes' own movement; at 0 the pupils stay where they are in the picture.
        pose: "synthetic" moves the head with the speech, "still" leaves it in the portrait's pose.
        lip_lead_ms: how far the lips are ahead of the sound, -300 … 300 ms.
        lips_only: nothing but the lips moves, whatever the other strengths say.
    """

    lips: float = 1.0
    brows: float = 1.0
    head: float = 1.0
    blinks: float = 1.0
    gaze: float = 1.0
    pose: str = "synthetic"
    lip_lead_ms: float = 30.0
    lips_only: bool = False

    def __post_init__(self) -> None:
        for name in STRENGTHS:
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= MAXIMUM_STRENGTH):
                raise ValueError(
                    f"The strength of {name} is {value}; expected 0 … {MAXIMUM_STRENGTH:g}, 1 is natural."
                )
        if self.pose not in POSES:
            raise ValueError(f"The pose mode is {self.pose!r}; expected one of {', '.join(POSES)}.")
        if not abs(self.lip_lead_ms) <= MAXIMUM_LEAD_MS:
            raise ValueError(
                f"The lips' lead is {self.lip_lead_ms} ms; expected -{MAXIMUM_LEAD_MS:g} … {MAXIMUM_LEAD_MS:g} ms."
            )


class MotionGenerator(Protocol):
    """A voice in, a motion out."""

    def generate(
        self,
        audio: Audio,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> MotionSequence:
        """The motion of a face that says `audio`: ceil(duration · fps) frames.

        Args:
            audio: the voice, any rate and channels.
            fps: frames a second.
            options: what moves and how much; natural when None.
            seed: 0 or more; the same seed gives the same motion, bit for bit.
            style: whose manner of moving; a typical talker's when None.
        """
        ...


def choose_generator(name: str = "auto") -> MotionGenerator:
    """The generator called `name`; `auto` is the built-in procedural one, which needs no weights.

    Raises:
        ValueError: an unknown name.
    """
    from .procedural import ProceduralGenerator

    if name not in GENERATORS:
        raise ValueError(f"There is no motion generator {name!r}; choose from {', '.join(GENERATORS)}.")
    return ProceduralGenerator()
