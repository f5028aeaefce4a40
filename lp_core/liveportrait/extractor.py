"""Motion read from driving clips by LivePortrait's motion network."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import tee

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.crop import CROP_SIZE, DRIVING, CropOptions, crop_to_picture, cut
from ..faces.faces import FaceFinder, NoFaceError
from ..faces.finder import BuiltinFinder
from ..faces.tracking import track
from ..media.rates import frame_rate
from ..motion.retarget import measured_from, measured_from_neutral, nearest_to_rest
from ..motion.sequence import MotionFrame, MotionSequence
from ..render.extractor import Extraction
from .renderer import LivePortraitRenderer, network_view

AT_ONCE = 8  # crops that the motion network sees at once
STRAY = 0.15  # sides that a face may move, and share by which it may grow, before its square is set anew


@dataclass(frozen=True)
class _Square:
    """A level square in the frame, in pixels: x, y of its middle, and its side."""

    x: float
    y: float
    side: float

    @classmethod
    def around(cls, landmarks: Tensor, options: CropOptions) -> "_Square":
        to_picture = crop_to_picture(landmarks, replace(options, upright=False)).double()
        side = float(to_picture[0, 0]) * CROP_SIZE
        return cls(float(to_picture[0, 2]) + side / 2, float(to_picture[1, 2]) + side / 2, side)

    @classmethod
    def of_frame(cls, frame: Tensor) -> "_Square":
        height, width = frame.shape[:2]
        return cls((width - 1) / 2, (height - 1) / 2, max(width, height))

    @property
    def to_picture(self) -> Tensor:
        """(2, 3) from pixels of a 512 crop."""
        step = self.side / CROP_SIZE
        corner = self.x - self.side / 2, self.y - self.side / 2
        return torch.tensor([[step, 0.0, corner[0]], [0.0, step, corner[1]]])

    def is_near(self, other: "_Square") -> bool:
        """Whether another square is so like this one that the face may stay in it."""
        stray = max(abs(self.x - other.x), abs(self.y - other.y), abs(self.side - other.side))
        return stray <= STRAY * self.side

    def frame_in(self, other: "_Square", seen: MotionFrame) -> MotionFrame:
        """What was seen in this square as it would be seen in the other; exact, since both are level."""
        ratio = self.side / other.side
        shift = seen.translation.new_tensor([self.x - other.x, self.y - other.y, 0.0]) * (2 / other.side)
        return replace(seen, scale=seen.scale * ratio, translation=seen.translation * ratio + shift)


class LivePortraitExtractor:
    """Reads motion with LivePortrait's network (implements lp_core.extractor.MotionExtractor).

    The face is looked at in a level square that stays while the face stays in it; what is seen is then told in one
    square for the whole clip, the mean of all, as if the clip had been cropped once. So no frame has to be kept.

    Args:
        renderer: whose motion network is used.
        finder: who finds the face before it is tracked; the built-in finder when None.
        whole_frames: the clip is cropped around the face already, or shows an animal: no face is looked for.
        framing: how the face is framed; LivePortrait's for driving clips when None.
    """

    def __init__(
        self,
        renderer: LivePortraitRenderer,
        finder: FaceFinder | None = None,
        whole_frames: bool = False,
        framing: CropOptions | None = None,
    ) -> None:
        self._renderer = renderer
        self._finder = finder
        self._whole_frames = whole_frames
        self._framing = framing or DRIVING

    def extract(
        self,
        frames: Iterable[Tensor],
        fps: float | Fraction,
        neutral: int | None = None,
        on_frames: Callable[[int], None] | None = None,
    ) -> Extraction:
        """The motion of the face in a clip; see lp_core.extractor.MotionExtractor."""
        rate = frame_rate(fps)
        squares: list[_Square | None] = []
        seen: list[MotionFrame] = []
        first: list[Tensor] = []
        for faces in _batched(self._faces(_pictures(frames, first, on_frames), squares)):
            seen += self._renderer.read_motion(torch.cat(faces))[1]
        if not first:
            raise ValueError("The driving clip has no frames.")
        if not seen:
            raise NoFaceError(f"No face was found in any of the clip's {len(squares)} frames.", first[0])
        motion = _gathered(seen, squares, rate)
        if neutral is not None and not 0 <= neutral < len(motion):
            raise ValueError(f"The neutral frame {neutral} is outside the clip's frames 0 … {len(motion) - 1}.")
        faceless = tuple(index for index, square in enumerate(squares) if square is None)
        if neutral is None and len(motion) == 1:
            return Extraction(measured_from_neutral(motion), None, faceless)
        chosen = nearest_to_rest(motion) if neutral is None else neutral
        return Extraction(measured_from(motion, chosen), chosen, faceless)

    def _faces(self, pictures: Iterator[Tensor], squares: list[_Square | None]) -> Iterator[Tensor]:
        """Each face as the network sees it (1, 3, 256, 256); where it was, or None, is added to `squares`."""
        if self._whole_frames:
            for picture in pictures:
                squares.append(_Square.of_frame(picture))
                yield network_view(_squared(picture)[None])
            return
        square: _Square | None = None
        shown, searched = tee(pictures)
        for picture, landmarks in zip(shown, track(searched, self._finder or BuiltinFinder()), strict=True):
            if landmarks is None:
                squares.append(None)
                continue
            fitting = _Square.around(landmarks, self._framing)
            square = square if square is not None and square.is_near(fitting) else fitting
            squares.append(square)
            yield network_view(cut(picture, square.to_picture, outside="zeros").image[None])


def _pictures(
    frames: Iterable[Tensor], first: list[Tensor], on_frames: Callable[[int], None] | None
) -> Iterator[Tensor]:
    """The frames (H, W, 3) one by one; the very first is put into `first`, for an error's sake."""
    for batch in frames:
        if batch.ndim != 4 or batch.shape[-1] != 3:
            raise ValueError(f"Frames come as batches (B, H, W, 3); got {tuple(batch.shape)}.")
        if not torch.isfinite(batch).all():
            raise ValueError("The driving clip holds NaN or infinite pixels; mend what made it.")
        if not first and len(batch):
            first.append(batch[0])
        yield from batch.float()
        if on_frames is not None:
            on_frames(len(batch))


def _squared(frame: Tensor) -> Tensor:
    """A frame (H, W, 3) with black beside or above and below it, as high as wide."""
    height, width = frame.shape[:2]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return F.pad(frame, (0, 0, left, side - width - left, top, side - height - top))


def _batched(faces: Iterator[Tensor]) -> Iterator[list[Tensor]]:
    batch: list[Tensor] = []
    for face in faces:
        batch.append(face)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _gathered(seen: list[MotionFrame], squares: list[_Square | None], rate: Fraction) -> MotionSequence:
    """The motion of all frames in the mean of their squares; faceless ones are interpolated, held at the ends."""
    places = [square for square in squares if square is not None]
    mean = _Square(*(float(np.mean([getattr(place, name) for place in places])) for name in ("x", "y", "side")))
    told = [place.frame_in(mean, frame) for place, frame in zip(places, seen, strict=True)]
    values = {name: torch.stack([getattr(frame, name) for frame in told]) for name in MotionFrame.SHAPES}
    motion = MotionSequence(**values, fps=rate, rest=told[0])
    known = [index for index, square in enumerate(squares) if square is not None]
    if len(known) == len(squares):
        return motion
    positions = np.interp(np.arange(len(squares)), known, np.arange(len(known)))
    return motion.at(torch.from_numpy(positions), rate)
