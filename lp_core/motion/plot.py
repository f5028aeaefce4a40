"""Named curves of a motion, and their plot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..media.audio import Audio
from .controls import from_expression
from .sequence import MotionSequence

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SIDES = (256, 4096)  # pixels of a plot, smallest and largest
MARGIN = 0.06  # of the plot's shorter side, around each panel
MOST_TICKS = 12  # labels of seconds under the last panel
BACKGROUND, PAPER, GRID, INK, SOUND = "#15171a", "#1f2226", "#383d44", "#d6dae0", "#39434f"
COLOURS = ("#5ab0f7", "#f7a35a", "#6fd08c")  # distinguishable with all common kinds of colour blindness


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity over time.

    Attributes:
        name: plain name.
        panel: panel of quantities with a common scale: "mouth", "eyes", "gaze" or "head".
        unit: unit of the values, in words.
        values: (T,) float32 on the CPU.
    """

    name: str
    panel: str
    unit: str
    values: Tensor


def motion_curves(motion: MotionSequence) -> tuple[Curve, ...]:
    """The main quantities of a motion relative to its rest frame: lips, lids, gaze and head."""
    own = motion.to("cpu")
    shown = from_expression((own.expression - own.rest.expression).float())
    turned = (own.rotation - own.rest.rotation).float()
    mouth, eyes, gaze, head = "eye distances", "0 open … 1 closed", "iris radii", "degrees"
    return (
        Curve("opening", "mouth", mouth, shown.jaw),
        Curve("width", "mouth", mouth, shown.wide),
        Curve("smile", "mouth", mouth, shown.smile),
        Curve("left lid", "eyes", eyes, shown.blink_left),
        Curve("right lid", "eyes", eyes, shown.blink_right),
        Curve("right", "gaze", gaze, shown.pupil_x),
        Curve("down", "gaze", gaze, shown.pupil_y),
        Curve("pitch", "head", head, turned[:, 0]),
        Curve("yaw", "head", head, turned[:, 1]),
        Curve("roll", "head", head, turned[:, 2]),
    )


def envelope(values: Tensor, points: int) -> Tensor:
    """At most `points` of the values (T,), in order: of each of equal intervals the value farthest from the mean.

    So short events such as blinks keep their height at any width of the plot.
    """
    if len(values) <= points:
        return values
    distance = (values - values.mean()).abs()
    stretches = np.array_split(np.arange(len(values)), points)
    return values[torch.tensor([part[int(distance[part].argmax())] for part in stretches])]


def plot(motion: MotionSequence, audio: Audio | None = None, width: int = 1024, height: int = 768) -> Tensor:
    """The plot (height, width, 3), RGB in 0…1, of a motion's curves, with the sound behind those of the mouth.

    Raises:
        ValueError: width or height is outside SIDES.
    """
    from PIL import Image, ImageDraw

    if not SIDES[0] <= min(width, height) <= max(width, height) <= SIDES[1]:
        raise ValueError(f"A plot of {width}×{height} pixels is asked for; give {SIDES[0]} … {SIDES[1]} a side.")
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    curves = motion_curves(motion)
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    margin = round(MARGIN * min(width, height))
    step = (height - margin) / len(panels)
    for row, name in enumerate(panels):
        box = (margin * 2, round(row * step + margin), width - margin, round((row + 1) * step))
        panel = _Panel(draw, box, float(len(motion) / motion.fps))
        panel.draw(name, [curve for curve in curves if curve.panel == name], audio if name == "mouth" else None)
        if name == panels[-1]:
            panel.name_seconds()
    return torch.from_numpy(np.asarray(image).copy()).float().div_(255)


class _Panel:
    """One panel of the plot, with its own scale."""

    def __init__(self, draw: "ImageDraw", box: tuple[int, int, int, int], seconds: float) -> None:
        self._draw = draw
        self._left, self._top, self._right, self._bottom = box
        self._seconds = seconds
        self._font = _font(max(10, (self._bottom - self._top) // 9))

    def draw(self, name: str, curves: Sequence[Curve], audio: Audio | None) -> None:
        self._draw.rectangle((self._left, self._top, self._right, self._bottom), fill=PAPER)
        if audio is not None:
            self._sound(audio)
        low, high = _scale(curves)

        def row(value: float) -> float:
            return self._bottom - (value - low) / (high - low) * (self._bottom - self._top)

        for level in (low, 0.0, high):
            self._draw.line((self._left, row(level), self._right, row(level)), fill=GRID)
            self._text((self._left - 6, row(level)), f"{level:.2g}", INK, "rm")
        for colour, curve in zip(COLOURS, curves, strict=False):
            self._curve(curve, row, colour)
        self._legend(name, curves)

    def name_seconds(self) -> None:
        """Draws labels of seconds under the panel, at round steps."""
        step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1e9) if self._seconds / s <= MOST_TICKS)
        for second in np.arange(0, self._seconds + 1e-6, step):
            x = self._left + second / self._seconds * (self._right - self._left)
            self._draw.line((x, self._bottom, x, self._bottom + 4), fill=INK)
            self._text((x, self._bottom + 6), f"{second:g} s", INK, "mt")

    def _curve(self, curve: Curve, row: Callable[[float], float], colour: str) -> None:
        values = envelope(curve.values, 2 * (self._right - self._left)).tolist()
        across = np.linspace(self._left, self._right, len(values) + 1)[:-1]
        points = [(float(x), row(value)) for x, value in zip(across, values, strict=True)]
        self._draw.line(points if len(points) > 1 else points * 2, fill=colour, width=2, joint="curve")

    def _sound(self, audio: Audio) -> None:
        columns = self._right - self._left
        spoken = min(1.0, float(audio.duration) / self._seconds)
        peaks = loudness(audio, max(1, round(columns * spoken)))
        middle, reach = (self._top + self._bottom) / 2, (self._bottom - self._top) / 2
        for column, peak in enumerate(peaks.tolist()):
            x, up = self._left + column, peak * reach
            self._draw.line((x, middle - up, x, middle + up), fill=SOUND)

    def _legend(self, name: str, curves: Sequence[Curve]) -> None:
        x, y = self._left, self._top - 6
        named = [(curve.name, colour) for curve, colour in zip(curves, COLOURS, strict=False)]
        for text, colour in [(f"{name}, {curves[0].unit}", INK), *named]:
            self._text((x, y), text, colour, "ls")
            x += self._draw.textlength(text, font=self._font) + 16

    def _text(self, place: tuple[float, float], text: str, colour: str, anchor: str) -> None:
        self._draw.text(place, text, fill=colour, font=self._font, anchor=anchor)


def loudness(audio: Audio, points: int) -> Tensor:
    """The largest amplitude (points,), 0…1, in each of `points` equal intervals of a sound.

    For a sound of fewer samples there are only as many values.
    """
    amplitude = audio.waveform.abs().amax(0).clamp(max=1)
    count = min(points, len(amplitude))
    return torch.stack([part.max() for part in torch.tensor_split(amplitude, count)])


def _scale(curves: Sequence[Curve]) -> tuple[float, float]:
    """The lowest and highest value of a panel's scale, with a margin; always different."""
    values = torch.cat([curve.values for curve in curves])
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    air = max(0.05 * (high - low), 0.01)
    return low - air, high + air


@cache
def _font(size: int) -> Any:
    """Pillow's built-in font at a size in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
