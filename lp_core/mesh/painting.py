"""One group of frames painted: the warp, then the mouths and the eyes on it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..crop import apply_affine
from .curves import smoothstep
from .drawing import GRID, Canvas, Drawing
from .eyes import Eye, EyeLayer, EyeMotion, Lids, close_lids, paint_eye, reach_of_eye
from .landmarks import LOWER_INNER, UPPER_INNER
from .mouth import RESTING, Opening, mouth_pose, opening, paint_mouth, skull_places
from .rig import HeadMotion
from .sheet import invert
from .view import Box, View

STILL = 0.004  # pixels of the working square: less displacement than this is none

# Where the two sheets are joined: along the line between the lips, sharply between the corners, ever more softly
# beyond them, and only around the mouth.
SOFTER_BESIDE = 0.5  # pixels per pixel beyond a corner
BELOW_FROM, BELOW_OVER = 0.30, 0.25  # eye distances under the mouth from and over which the join ends
BESIDE = 0.35  # mouth widths beyond the corners over which it ends


@dataclass(frozen=True, eq=False)
class Moves:
    """What B frames do.

    Attributes:
        amounts: (B, N) how far each shape goes.
        tongue: (B,).
        head: the head's motion.
        eyes: blinks and gaze.
    """

    amounts: Tensor
    tongue: Tensor
    head: HeadMotion
    eyes: EyeMotion

    def __getitem__(self, frames: slice) -> "Moves":
        head, eyes = self.head, self.eyes
        return Moves(
            self.amounts[frames],
            self.tongue[frames],
            HeadMotion(head.turn[frames], head.scale[frames], head.shift[frames]),
            EyeMotion(eyes.blink[frames], eyes.gaze[frames]),
        )


@dataclass(frozen=True, eq=False)
class EyePart:
    """One eye's share of a group of frames: its pixels, its lids, and where eyeball and skin come from."""

    eye: Eye
    layer: EyeLayer
    box: Box
    lids: Lids
    ball: Tensor
    skin: Tensor


@dataclass(frozen=True, eq=False)
class MouthPart:
    """The mouth's share of a group of frames: its pixels, their places (h, w, 2) and how they lie to the lips."""

    box: Box
    places: Tensor
    lips: Opening


def paint(drawing: Drawing, canvas: Canvas, moves: Moves, frames: Tensor) -> None:
    """Paint what moves into fresh frames (B, H, W, 3) that hold the photograph."""
    view = canvas.view
    upper = drawing.fade * invert(GRID, drawing.upper.displacement(moves.amounts, moves.head))
    lower = drawing.fade * invert(GRID, drawing.lower.displacement(moves.amounts, moves.head))
    box = _moving(drawing, view, moves, torch.maximum(upper.abs(), lower.abs()))
    if box.empty:
        return
    placed, rigid = drawing.rig.turned(moves.head, moves.amounts), drawing.rig.turned(moves.head)
    mouth = _mouth_part(drawing, view, box, placed)
    sources = _joined(drawing, view, box, mouth, view.sources(box, GRID, upper), lower)
    eyes = _eye_parts(drawing, canvas, box, moves, sources)
    for part in eyes:
        rows, columns = part.box.inside(box)
        sources[:, rows, columns] = part.skin
    image = view.read(view.texture, sources)
    for part in eyes:
        rows, columns = part.box.inside(box)
        image[:, :, rows, columns] = paint_eye(
            part.eye,
            part.layer,
            view,
            image[:, :, rows, columns],
            part.lids,
            (part.ball, part.skin),
            moves.eyes.gaze,
        )
    if mouth is not None:
        rows, columns = mouth.box.inside(box)
        image[:, :, rows, columns] = paint_mouth(
            drawing.mouth,
            view,
            image[:, :, rows, columns],
            mouth.lips,
            mouth_pose(drawing.mouth, placed, rigid, moves.tongue),
            skull_places(drawing.mouth, rigid, mouth.places),
            _activity(drawing, moves),
        )
    frames[:, box.top : box.bottom, box.left : box.right] = image.permute(0, 2, 3, 1)


def _moving(drawing: Drawing, view: View, moves: Moves, reach: Tensor) -> Box:
    """The pixels that move in any of the frames, given how far (B, 2, cells, cells) the sheets do."""
    moved = (reach > STILL).any(0).any(0)
    points = GRID.places(reach.device)[moved]
    margin = points.new_tensor([[GRID.step, GRID.step]])
    points = torch.cat([points - margin, points + margin])
    if moves.eyes.moves:
        points = torch.cat([points, *(reach_of_eye(eye) for eye in drawing.eyes)])
    return view.aligned(view.box_around(points)) if len(points) else Box(0, 0, 0, 0)


def _mouth_part(drawing: Drawing, view: View, box: Box, placed: Tensor) -> MouthPart | None:
    """The mouth's part of a box, or None where it does not reach into it."""
    rest, lips = drawing.rig.points, drawing.mouth.lips

    def contour(row: tuple[int, ...], at_rest: Tensor) -> Tensor:
        return at_rest + (placed[:, list(row)] - rest[list(row)])[..., :2]

    upper, lower = contour(UPPER_INNER, lips.upper), contour(LOWER_INNER, lips.lower)
    around = torch.cat([upper, lower], 1)
    width = (lips.upper[-1] - lips.upper[0]).norm()
    low = around.amin((0, 1)) - BESIDE * width
    high = around.amax((0, 1)) + BESIDE * width
    high = high + high.new_tensor([0, (BELOW_FROM + BELOW_OVER) * drawing.unit])
    own = view.box_around(torch.stack([low, high])).within(box)
    if own.empty:
        return None
    places = apply_affine(view.to_work, view.pixels(own))
    return MouthPart(own, places, opening(upper, lower, places))


def _joined(
    drawing: Drawing, view: View, box: Box, mouth: MouthPart | None, sources: Tensor, lower: Tensor
) -> Tensor:
    """Sources (B, h, w, 2) of a box that follow the lower sheet below the line between the lips."""
    if mouth is None:
        return sources
    lips, pixel = mouth.lips, view.pixel
    below = (lips.below_upper - lips.above_lower) / 2
    beside = lips.beside
    side = smoothstep(below / (pixel + SOFTER_BESIDE * beside) * 0.5 + 0.5)
    under = 1 - smoothstep((below / drawing.unit - BELOW_FROM) / BELOW_OVER)
    near = 1 - smoothstep(beside / (BESIDE * lips.width[:, None, None]))
    weight = (side * under * near)[..., None]
    back = GRID.read(lower, mouth.places.expand(len(lower), -1, -1, -1)).permute(0, 2, 3, 1)
    follow = view.pixels(mouth.box) + back @ view.from_work[:, :2].T
    rows, columns = mouth.box.inside(box)
    joined = sources.clone()
    joined[:, rows, columns] = torch.lerp(sources[:, rows, columns], follow, weight)
    return joined


def _eye_parts(drawing: Drawing, canvas: Canvas, box: Box, moves: Moves, sources: Tensor) -> tuple[EyePart, ...]:
    """The eyes' parts of a box whose pixels come from `sources` while the eyes are open."""
    if not moves.eyes.moves:
        return ()
    parts = []
    for index, (eye, layer) in enumerate(zip(drawing.eyes, canvas.eyes, strict=True)):
        own = canvas.view.box_around(_moved_reach(drawing, eye, moves.head)).within(box)
        if layer is None or own.empty:
            continue
        rows, columns = own.inside(box)
        ball = sources[:, rows, columns].clone()
        lids, skin = close_lids(eye, canvas.view, ball, moves.eyes.blink[:, index])
        parts.append(EyePart(eye, layer, own, lids, ball, skin))
    return tuple(parts)


def _moved_reach(drawing: Drawing, eye: Eye, head: HeadMotion) -> Tensor:
    """Points (N, 2) of the working square around all that an eye may cover in these frames."""
    corners = reach_of_eye(eye)
    depth = drawing.rig.points[33, 2].expand(len(corners), 1)
    places = torch.cat([corners, depth], 1) - drawing.rig.pivot
    turned = head.scale[:, None, None] * (places @ head.turn) + drawing.rig.pivot
    return (turned[..., :2] + head.shift[:, None]).flatten(0, 1)


def _activity(drawing: Drawing, moves: Moves) -> Tensor:
    """How far (B,), 0 … 1, the lips have left the photograph's."""
    lips = list(UPPER_INNER + LOWER_INNER)
    moved = torch.einsum("bn,nkc->bkc", moves.amounts, drawing.rig.shapes[:, lips])
    width = (drawing.mouth.lips.upper[-1] - drawing.mouth.lips.upper[0]).norm()
    return smoothstep(moved.norm(dim=-1).amax(1) / (RESTING * width))
