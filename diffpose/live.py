"""Streaming interface of the generators, for a voice that is still arriving."""

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
    """A generator that can stream: it does not need the whole voice."""

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
    """A motion stream to push a voice into; the joined motion does not depend on the division into pieces.

    Args:
        generator: from choose_generator, or any LiveGenerator.
        fps: frames a second; networks only support their own rate, 25.
        options: strengths of the parts of the motion; natural when None.
        seed: 0 or more.
        style: style of the motion; a typical talker's when None.

    Raises:
        ValueError: the generator needs the whole voice, or does not support the rate.
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
