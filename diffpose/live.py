"""The live side of the seam for generators: their streams, for a voice that is still arriving."""

from fractions import Fraction
from typing import Protocol, runtime_checkable

from ..lp_core.live.session import MotionStream
from .motion_generator import MotionGenerator
from .procedural.generator import ProceduralGenerator
from .procedural.stream import ProceduralStream
from .steering.options import MotionOptions
from .steering.style import Style


@runtime_checkable
class LiveGenerator(Protocol):
    """A generator that does not need the whole voice."""

    def live(
        self,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> MotionStream:
        """See live_stream."""
        ...


def live_stream(
    generator: MotionGenerator,
    fps: float | Fraction,
    options: MotionOptions | None = None,
    seed: int = 0,
    style: Style | None = None,
) -> MotionStream:
    """A stream to push a voice into as it arrives; joined, its pieces do not depend on how it was cut.

    Args:
        generator: one of choose_generator's, or any LiveGenerator.
        fps: frames a second; networks have their own rate, 25, alone.
        options: what moves and how much; natural when None.
        seed: 0 or more.
        style: whose manner of moving; a typical talker's when None.

    Raises:
        ValueError: a generator that needs the whole voice, or a rate that it does not have.
    """
    from .diffusion.generator import check_live_rate
    from .talker.driver import Talker
    from .talker.live import LiveTalker

    if isinstance(generator, ProceduralGenerator):
        return ProceduralStream(fps, options, seed, style, generator.speaker)
    if isinstance(generator, Talker):
        check_live_rate(fps)
        return LiveTalker(generator, options or MotionOptions(), seed, style or Style())
    if isinstance(generator, LiveGenerator):
        return generator.live(fps, options, seed, style)
    raise ValueError(f"{type(generator).__name__} needs the whole voice; choose another generator for live work.")
