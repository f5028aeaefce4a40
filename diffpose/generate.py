"""The choice of a motion generator."""

from .generator import MotionGenerator
from .procedural import ProceduralGenerator

GENERATORS = ("auto", "procedural")


def choose_generator(name: str = "auto") -> MotionGenerator:
    """The generator called `name`; `auto` is the procedural one, which is built in.

    Raises:
        ValueError: an unknown name.
    """
    if name not in GENERATORS:
        raise ValueError(f"There is no motion generator {name!r}; choose from {', '.join(GENERATORS)}.")
    return ProceduralGenerator()
