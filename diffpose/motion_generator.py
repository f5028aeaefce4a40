"""Base class of the motion generators: speech in, motion out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction

from ..lp_core.media.audio import Audio
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionSequence
from .steering.options import MotionOptions, check_seed
from .steering.style import MotionStatistics, Style


@dataclass(frozen=True, eq=False)
class MotionRequest:
    """The checked arguments of `MotionGenerator.generate`, with defaults filled in."""

    audio: Audio
    fps: Fraction
    options: MotionOptions
    seed: int
    style: Style

    @property
    def gains(self) -> MotionStatistics:
        """The style's factors on amplitudes and rates."""
        return self.style.gains()


class MotionGenerator(ABC):
    """Generates the motion of a face from a voice. Subclasses override only `_generated`."""

    def generate(
        self,
        audio: Audio,
        fps: float | Fraction,
        options: MotionOptions | None = None,
        seed: int = 0,
        style: Style | None = None,
    ) -> MotionSequence:
        """Motion of a face that speaks `audio`, ceil(duration · fps) frames.

        Args:
            audio: the voice, any rate and channels.
            fps: frames a second; a network's 25 are resampled to it.
            options: strengths of the parts of the motion; natural when None.
            seed: 0 or more; the same seed gives the same motion, bit for bit.
            style: style of the motion; a typical talker's when None. Its statistics scale the motion; its code
                guides a network that was trained with one.

        Raises:
            ValueError: the seed is negative, or the frame rate is out of range.
        """
        check_seed(seed)
        return self._generated(
            MotionRequest(audio, frame_rate(fps), options or MotionOptions(), seed, style or Style())
        )

    @abstractmethod
    def _generated(self, request: MotionRequest) -> MotionSequence:
        """Motion of a checked request."""
