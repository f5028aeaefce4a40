"""Frames as they are to be seen: upright, with square pixels, of one size, in BT.709 colours, not interlaced."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .picture import GROUND
from .tone import BT2020, DEEP, needs_toning, toned

if TYPE_CHECKING:
    from av import VideoFrame

HD_HEIGHT = 720  # pixels; untagged pictures at least so high are taken for BT.709, smaller ones for BT.601
SQUARE = Fraction(1)
LARGEST_ASPECT = 16  # of a pixel's sides; beyond it a file is wrong about itself
FULL_RANGE = 2  # its number in ITU-T H.273


class View:
    """Shows the frames of one stream at the size of the first.

    Args:
        first: its first frame.
        pixel_aspect: width by height of a pixel, None or 0 where the file does not say.

    Attributes:
        width: pixels of what is shown.
        height: the same.
    """

    def __init__(self, first: "VideoFrame", pixel_aspect: Fraction | None) -> None:
        known = pixel_aspect if pixel_aspect and 1 / LARGEST_ASPECT <= pixel_aspect <= LARGEST_ASPECT else SQUARE
        self._pixel_aspect = known
        turned = _orientation(first)[0]
        stored = _square(first, known)
        self.width, self.height = stored[::-1] if turned else stored

    def pixels(self, frame: "VideoFrame", alpha: bool = False) -> Tensor:
        """A frame as bytes (H, W, 3), laid over GROUND where it is transparent, or with its alpha (H, W, 4)."""
        turned, flipped = _orientation(frame)
        width, height = self._fitted(frame, turned)
        stored = _rgba(frame, width, height, alpha) if _has_alpha(frame) else _rgb(frame, width, height)
        upright = _upright(stored, turned, flipped)
        if upright.shape[:2] != (self.height, self.width):
            upright = _centred(upright, self.height, self.width)
        if alpha and upright.shape[-1] == 3:
            return torch.cat([upright, torch.full_like(upright[..., :1], 255)], -1)
        return upright

    def _fitted(self, frame: "VideoFrame", turned: bool) -> tuple[int, int]:
        """Width and height, before it is turned, at which a frame fits into what is shown."""
        width, height = _square(frame, self._pixel_aspect)
        room = (self.height, self.width) if turned else (self.width, self.height)
        if (width, height) == room:
            return width, height
        scale = min(Fraction(room[0], width), Fraction(room[1], height))
        return max(round(width * scale), 1), max(round(height * scale), 1)


def _square(frame: "VideoFrame", pixel_aspect: Fraction) -> tuple[int, int]:
    return max(round(frame.width * pixel_aspect), 1), frame.height


def _orientation(frame: "VideoFrame") -> tuple[bool, tuple[int, ...]]:
    """How the display matrix turns a frame: whether rows and columns change places, and the axes flipped then.

    Convention: the matrix [a b u; c d v; x y w] brings column p and row q of the stored picture to column
    ap + cq and row bp + dq. Check: a = d = 0, b = 1, c = -1 turns clockwise by 90°, which is transposing and
    then flipping columns.
    """
    from av.sidedata.sidedata import Type

    known: Any = frame.side_data
    side = known.get(Type.DISPLAYMATRIX)
    if side is None:
        return False, ()
    a, b, _, c, d, *_ = np.frombuffer(bytes(side), np.int32).tolist()
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    return turned, ((0,) if down < 0 else ()) + ((1,) if across < 0 else ())


def _upright(pixels: Tensor, turned: bool, flipped: tuple[int, ...]) -> Tensor:
    straight = pixels.transpose(0, 1) if turned else pixels
    return straight.flip(flipped) if flipped else straight


def _centred(pixels: Tensor, height: int, width: int) -> Tensor:
    """Pixels in the middle of a larger black picture."""
    left, above = (width - pixels.shape[1]) // 2, (height - pixels.shape[0]) // 2
    right, below = width - pixels.shape[1] - left, height - pixels.shape[0] - above
    opaque = F.pad(pixels, (0, 0, left, right, above, below))
    if pixels.shape[-1] == 4:
        opaque[..., 3] = F.pad(pixels[..., 3], (left, right, above, below), value=255)
    return opaque


def _rgb(frame: "VideoFrame", width: int, height: int) -> Tensor:
    """An opaque frame as bytes (H, W, 3), scaled, by the matrix and the range that its file names."""
    if needs_toning(frame):
        return torch.from_numpy(toned(_converted(frame, DEEP, width, height).to_ndarray(), int(frame.color_trc)))
    return _plane(_converted(frame, "rgb24", width, height))


def _plane(frame: "VideoFrame") -> Tensor:
    """The memory of an rgb24 frame itself, as bytes (H, W, 3)."""
    plane: Any = frame.planes[0]
    rows = torch.frombuffer(plane, dtype=torch.uint8).view(-1, plane.line_size)[: frame.height]
    return rows[:, : 3 * frame.width].unflatten(1, (frame.width, 3))


def _rgba(frame: "VideoFrame", width: int, height: int, alpha: bool) -> Tensor:
    """A transparent frame as bytes (H, W, 4) or laid over GROUND (H, W, 3), scaled; hidden colours do not bleed."""
    stored = torch.from_numpy(_converted(frame, "rgba", frame.width, frame.height).to_ndarray()).float().div_(255)
    colours, opacity = stored[..., :3] * stored[..., 3:], stored[..., 3:]
    if (frame.width, frame.height) != (width, height):
        both = torch.cat([colours, opacity], -1).movedim(-1, 0)[None]
        scaled = F.interpolate(both, (height, width), mode="bilinear", antialias=True)[0].movedim(0, -1)
        colours, opacity = scaled[..., :3], scaled[..., 3:]
    laid = colours + GROUND * (1 - opacity)
    seen = torch.cat([colours / opacity.clamp(min=1e-6), opacity], -1) if alpha else laid
    return seen.clamp(0, 1).mul(255).round().to(torch.uint8)


def _has_alpha(frame: "VideoFrame") -> bool:
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _converted(frame: "VideoFrame", form: str, width: int, height: int) -> "VideoFrame":
    from av.video.reformatter import ColorRange, Interpolation

    is_full = int(frame.color_range) == FULL_RANGE or frame.format.name.startswith("yuvj")
    is_scaled = (width, height) != (frame.width, frame.height)
    return frame.reformat(
        width=width,
        height=height,
        format=form,
        src_colorspace=_matrix(frame),
        src_color_range=ColorRange.JPEG if is_full else None,
        interpolation=Interpolation.BICUBIC if is_scaled else None,
    )


def _matrix(frame: "VideoFrame") -> int:
    """The colour matrix that a frame's file names, or a guess by its height."""
    from av.video.reformatter import Colorspace

    wide = getattr(Colorspace, "BT2020", Colorspace.ITU709)  # PyAV before 18 has no name for it
    known = {
        1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
        7: Colorspace.SMPTE240M, BT2020: wide,
    }  # fmt: skip
    guess = Colorspace.ITU709 if frame.height >= HD_HEIGHT else Colorspace.ITU601
    return known.get(int(frame.colorspace), guess)


class _Deinterlacer:
    """Makes one whole picture of the two fields of each interlaced frame; progressive ones pass."""

    def __init__(self, frame: "VideoFrame", time_base: Fraction) -> None:
        from av.filter import Graph

        self._graph: Any = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=time_base
        )
        filtering = self._graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced")
        self._graph.link_nodes(source, filtering, self._graph.add("buffersink"))
        self._graph.configure()

    def push(self, frame: "VideoFrame | None") -> "Iterator[VideoFrame]":
        """The pictures that are ready after one more frame, or after the last (None)."""
        from av import BlockingIOError, EOFError

        self._graph.push(frame)
        with suppress(BlockingIOError, EOFError):
            while True:
                yield self._graph.pull()


def deinterlaced(
    frames: "Iterable[tuple[int | None, VideoFrame]]", time_base: Fraction
) -> "Iterator[tuple[int | None, VideoFrame]]":
    """Frames with their times in ticks, of which the interlaced ones are made whole; as many as come in."""
    filtering: _Deinterlacer | None = None
    times: list[int | None] = []  # of the frames inside the filter
    layout = None
    for time, frame in frames:
        now = (frame.width, frame.height, frame.format.name)
        if filtering is not None and now != layout:
            yield from zip(times, filtering.push(None), strict=False)
            filtering, times = None, []
        if filtering is None:
            if not frame.interlaced_frame:
                yield time, frame
                continue
            filtering, layout = _Deinterlacer(frame, time_base), now
        times.append(time)
        for whole in filtering.push(frame):
            yield times.pop(0), whole
    if filtering is not None:
        yield from zip(times, filtering.push(None), strict=False)
