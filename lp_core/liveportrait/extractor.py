"""Motion extraction from driving clips by LivePortrait's motion network."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import tee

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.crop import CROP_SIZE, DRIVING, CropOptions, crop_to_picture, cut
from ..faces.faces import FaceFinder
from ..faces.finder import BuiltinFinder
from ..faces.tracking import track
from ..motion.retarget import measured_from, measured_from_neutral, nearest_to_rest
from ..motion.sequence import MotionFrame, MotionSequence
from ..render.extractor import ClipPictures, Extraction, MotionExtractor
from .renderer import LivePortraitRenderer, network_view

AT_ONCE = 8  # batch size of the motion network, in crops
STRAY = 0.15  # sides that a face may move, and share that it may grow, before a new square is set


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
        """The affine map (2, 3) from pixels of a 512 crop to the frame."""
        step = self.side / CROP_SIZE
        corner = self.x - self.side / 2, self.y - self.side / 2
        return torch.tensor([[step, 0.0, corner[0]], [0.0, step, corner[1]]])

    def is_near(self, other: "_Square") -> bool:
        """Whether another square differs from this one by at most STRAY, so that this one can be kept."""
        stray = max(abs(self.x - other.x), abs(self.y - other.y), abs(self.side - other.side))
        return stray <= STRAY * self.side

    def frame_in(self, other: "_Square", seen: MotionFrame) -> MotionFrame:
        """Motion seen in this square, converted to the other one; exact, since both are level."""
        ratio = self.side / other.side
        shift = seen.translation.new_tensor([self.x - other.x, self.y - other.y, 0.0]) * (2 / other.side)
        return replace(seen, scale=seen.scale * ratio, translation=seen.translation * ratio + shift)


class LivePortraitExtractor(MotionExtractor):
    """Extracts motion with LivePortrait's network.

    The face is cropped by a level square that is kept while the face stays in it; the motion is then converted to
    one square for the whole clip, the mean of all, as if the clip had been cropped once. No frame has to be kept.

    Args:
        renderer: renderer with the motion network.
        finder: face finder for the start of tracking; the built-in finder when None.
        whole_frames: skips face detection, for clips that are already cropped around the face or show an animal.
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

    def _extracted(self, clip: ClipPictures, fps: Fraction, neutral: int | None) -> Extraction:
        squares: list[_Square | None] = []
        seen: list[MotionFrame] = []
        for faces in _batched(self._faces(iter(clip), squares)):
            seen += self._renderer.read_motion(torch.cat(faces))[1]
        faceless = clip.check(squares, neutral)
        motion = _gathered(seen, squares, fps)
        if neutral is None and len(motion) == 1:
            return Extraction(measured_from_neutral(motion), None, faceless)
        chosen = nearest_to_rest(motion) if neutral is None else neutral
        return Extraction(measured_from(motion, chosen), chosen, faceless)

    def _faces(self, pictures: Iterator[Tensor], squares: list[_Square | None]) -> Iterator[Tensor]:
        """Yields each face as network input (1, 3, 256, 256); appends its square, or None, to `squares`."""
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


def _squared(frame: Tensor) -> Tensor:
    """A frame (H, W, 3) padded with black to a square."""
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
    frames = [place.frame_in(mean, frame) for place, frame in zip(places, seen, strict=True)]
    values = {name: torch.stack([getattr(frame, name) for frame in frames]) for name in MotionFrame.SHAPES}
    motion = MotionSequence(**values, fps=rate, rest=frames[0])
    known = [index for index, square in enumerate(squares) if square is not None]
    if len(known) == len(squares):
        return motion
    positions = np.interp(np.arange(len(squares)), known, np.arange(len(known)))
    return motion.at(torch.from_numpy(positions), rate)
