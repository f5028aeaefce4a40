"""The interface of motion extractors: the inputs and the result common to all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ..faces.faces import NoFaceError
from ..media.rates import frame_rate
from ..motion.sequence import MotionSequence


@dataclass(frozen=True, eq=False)
class Extraction:
    """The motion extracted from a clip.

    Attributes:
        motion: one motion frame for each frame of the clip; its rest is the neutral frame.
        neutral: index of the frame taken as the face at rest; None when the motion is relative to a neutral face
            that looks straight ahead, since the clip is a single picture.
        faceless: indices of the frames in which no face was found; their motion is interpolated between the
            neighbours, and held at the ends.
    """

    motion: MotionSequence
    neutral: int | None
    faceless: tuple[int, ...]

    def held(self) -> MotionSequence:
        """The motion with the last frame with a face, or at the start the first, repeated in frames without one."""
        frames = torch.arange(len(self.motion))
        seen = frames[~torch.isin(frames, torch.tensor(self.faceless, dtype=frames.dtype))]
        latest = (torch.searchsorted(seen, frames, right=True) - 1).clamp(min=0)
        return self.motion.at(seen[latest], self.motion.fps)


OnFrames = Callable[[int], None]
"""Called after each batch of a clip with its number of frames; may raise to stop."""


class ClipPictures:
    """An iterator over the single pictures of a clip; only the first is kept, for error messages.

    Raises:
        ValueError: in iteration, a batch has another shape, or NaN or infinite pixels.
    """

    def __init__(self, batches: Iterable[Tensor], on_frames: OnFrames | None) -> None:
        self._batches, self._on_frames = batches, on_frames
        self.first: Tensor | None = None

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self._batches:
            if batch.ndim != 4 or batch.shape[-1] != 3:
                raise ValueError(f"Frames come as batches (B, H, W, 3); got {tuple(batch.shape)}.")
            if not torch.isfinite(batch).all():
                raise ValueError("The driving clip holds NaN or infinite pixels; mend what made it.")
            if self.first is None and len(batch):
                self.first = batch[0]
            yield from batch.float()
            if self._on_frames is not None:
                self._on_frames(len(batch))

    def check(self, seen: Sequence[object | None], neutral: int | None) -> tuple[int, ...]:
        """The indices of frames without a face, after the whole clip is read; `seen` holds None for those.

        Raises:
            ValueError: there are no frames, or the clip does not have the neutral frame.
            NoFaceError: no frame has a face.
        """
        if self.first is None:
            raise ValueError("The driving clip has no frames.")
        if neutral is not None and not 0 <= neutral < len(seen):
            raise ValueError(f"The neutral frame {neutral} is outside the clip's frames 0 … {len(seen) - 1}.")
        faceless = tuple(index for index, face in enumerate(seen) if face is None)
        if len(faceless) == len(seen):
            raise NoFaceError(f"No face was found in any of the clip's {len(seen)} frames.", self.first)
        return faceless


class MotionExtractor(ABC):
    """Base class of motion extractors; subclasses override `_extracted` only."""

    def extract(
        self,
        frames: Iterable[Tensor],
        fps: float | Fraction,
        neutral: int | None = None,
        on_frames: OnFrames | None = None,
    ) -> Extraction:
        """The motion of the face in a clip.

        Args:
            frames: batches (B, H, W, 3) in 0…1, read once, in order; none is kept.
            fps: frames per second of the clip.
            neutral: index of the frame in which the face is at rest; chosen when None.
            on_frames: called after each batch with its number of frames; may raise to stop.

        Raises:
            ValueError: there are no frames, frames have another shape or NaN, or the clip does not have the neutral
                frame.
            NoFaceError: no frame has a face.
        """
        return self._extracted(ClipPictures(frames, on_frames), frame_rate(fps), neutral)

    @abstractmethod
    def _extracted(self, clip: ClipPictures, fps: Fraction, neutral: int | None) -> Extraction:
        """The motion of a clip; implementations call `clip.check` after reading all of it."""


def frame_ranges(frames: Sequence[int]) -> str:
    """Frame numbers as text, such as "3-5, 9"."""
    starts = [frame for frame in frames if frame - 1 not in frames]
    ends = [frame for frame in frames if frame + 1 not in frames]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
