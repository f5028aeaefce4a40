"""Motion out of a clip: who does it, and what comes of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor

from ..motion.sequence import MotionSequence


@dataclass(frozen=True, eq=False)
class Extraction:
    """What was read from a clip.

    Attributes:
        motion: one motion frame for each frame of the clip; its rest is the neutral frame.
        neutral: index of the frame that was taken for the face at rest; None when the motion is measured from a
            calm face that looks straight ahead, since the clip is a single picture.
        faceless: indices of the frames in which no face was seen; their motion is interpolated between the
            neighbours, and held at the ends.
    """

    motion: MotionSequence
    neutral: int | None
    faceless: tuple[int, ...]

    def held(self) -> MotionSequence:
        """The motion in which frames without a face repeat the last one with a face, or the first at the start."""
        frames = torch.arange(len(self.motion))
        seen = frames[~torch.isin(frames, torch.tensor(self.faceless, dtype=frames.dtype))]
        latest = (torch.searchsorted(seen, frames, right=True) - 1).clamp(min=0)
        return self.motion.at(seen[latest], self.motion.fps)


class MotionExtractor(Protocol):
    """Something that reads motion from clips: the built-in landmark extractor, or LivePortrait's network."""

    def extract(
        self,
        frames: Iterable[Tensor],
        fps: float | Fraction,
        neutral: int | None = None,
        on_frames: Callable[[int], None] | None = None,
    ) -> Extraction:
        """The motion of the face in a clip.

        Args:
            frames: batches (B, H, W, 3) in 0…1, read once, in order, as they come.
            fps: frames per second of the clip.
            neutral: index of the frame in which the face is at rest; chosen when None.
            on_frames: called after each batch with its number of frames; may raise to stop.

        Raises:
            ValueError: no frames, or a neutral frame that the clip does not have.
            NoFaceError: no frame has a face.
        """
        ...


def frame_ranges(frames: Sequence[int]) -> str:
    """Frame numbers as in "3-5, 9"."""
    starts = [frame for frame in frames if frame - 1 not in frames]
    ends = [frame for frame in frames if frame + 1 not in frames]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
