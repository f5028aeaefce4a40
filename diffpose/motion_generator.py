"""The seam between a voice and a motion: what every generator takes and returns."""

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
        """Factors of the style on sizes and rates."""
        return self.style.gains()


class MotionGenerator(ABC):
    """A voice in, a motion out. A generator overrides `_generated` alone."""

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
            fps: frames a second; a network's 25 are resampled.
            options: what moves and how much; natural when None.
            seed: 0 or more; the same seed gives the same motion, bit for bit.
            style: how the speaker moves; a typical talker when None. Its statistics scale the motion; its code
                guides a network that was trained with one.

        Raises:
            ValueError: a negative seed, or a frame rate out of range.
        """
        check_seed(seed)
        return self._generated(
            MotionRequest(audio, frame_rate(fps), options or MotionOptions(), seed, style or Style())
        )

    @abstractmethod
    def _generated(self, request: MotionRequest) -> MotionSequence:
        """The motion of a checked request."""
