"""The seam between a voice and a motion: what every generator takes and gives."""

from fractions import Fraction
from typing import Protocol

from ..lp_core.audio import Audio
from ..lp_core.motion import MotionSequence
from .options import MAXIMUM_STRENGTH, POSES, STRENGTHS, MotionOptions
from .style import Style

__all__ = [
    "GENERATORS", "MAXIMUM_STRENGTH", "POSES", "STRENGTHS", "MotionGenerator", "MotionOptions", "choose_generator",
]  # fmt: skip

GENERATORS = ("auto", "procedural")


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
