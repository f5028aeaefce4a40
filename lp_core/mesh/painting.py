"""Drawing of a group of frames: the warp, then mouths and eyes on top."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..faces.crop import apply_affine
from ..faces.mesh_points import EYES, LEFT_EYE, LOWER_INNER, UPPER_INNER, EyeLandmarks
from .creases import landmarks_of, shade
from .curves import smoothstep
from .drawing import GRID, Canvas, Drawing
from .eyes import Eye, EyeLayer, EyeMotion, Lids, close_lids, even_lids, opening_of_eye, paint_ball, reach_of_eye
from .mouth import RESTING, Opening, mouth_pose, opening, paint_mouth, skull_places
from .rig import HeadMotion
from .sheet import invert
from .view import Box, View

STILL = 0.004  # pixels of the working square; smaller displacements are ignored
EYE_MARGIN = 0.02  # eye distances around an eye

# The blend of the two sheets: along the line between the lips, sharp between the corners, ever softer beyond them,
# and only around the mouth.
SOFTER_BESIDE = 0.5  # pixels per pixel beyond a corner
BELOW_FROM, BELOW_OVER = 0.30, 0.12  # eye distances under the mouth from and over which the blend ends
BESIDE = 0.35  # mouth widths beyond the corners over which it ends


@dataclass(frozen=True, eq=False)
class Moves:
    """The motion of B frames.

    Attributes:
        amounts: (B, N) amounts of the shapes.
        tongue: (B,) lift of the tongue, 0 … 1.
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
    """One eye in a group of frames.

    Attributes:
        eye: the eye.
        layer: its layer in the view.
        box: its pixels.
        opening: the pixels among them that may show the eyeball.
        lids: the lids over the box.
        ball: (B, h, w, 2) source positions of the eyeball, over the opening.
        skin: (B, h, w, 2) source positions of the skin, over the box.
    """

    eye: Eye
    layer: EyeLayer
    box: Box
    opening: Box
    lids: Lids
    ball: Tensor
    skin: Tensor


@dataclass(frozen=True, eq=False)
class LipContours:
    """The lips' inner contours (B, 11, 2) of a group of frames, in pixels of the working square."""

    upper: Tensor
    lower: Tensor

    def opening(self, view: View, box: Box) -> Opening:
        """The opening of the lips at the pixels of a box."""
        return opening(self.upper, self.lower, apply_affine(view.to_work, view.pixels(box)))

    def box(self, view: View, within: Box, margin: float, below: float) -> Box:
        """The box around the lips, with a margin and an additional one below, in pixels of the working square."""
        around = torch.cat([self.upper, self.lower], 1)
        low, high = around.amin((0, 1)) - margin, around.amax((0, 1)) + margin
        return view.box_around(torch.stack([low, high + high.new_tensor([0, below])])).within(within)


def paint(drawing: Drawing, canvas: Canvas, moves: Moves, frames: Tensor) -> None:
    """Draws the moving parts into frames (B, H, W, 3), in place, that hold the photograph."""
    view = canvas.view
    upper = drawing.upper.displacement(moves.amounts, moves.head)
    lower = drawing.lower.displacement(moves.amounts, moves.head)
    box = _moving(drawing, view, moves, torch.maximum(upper.abs(), lower.abs()))
    if box.empty:
        return
    placed = drawing.rig.turned(moves.head, moves.amounts)
    lips = _lips(drawing, placed)
    sources = view.sources(box, invert(GRID, upper, view.coarse_places(box)))
    _join_lower_sheet(drawing, view, box, lips, sources, lower)
    eyes = _close_eyes(drawing, canvas, box, moves, sources)
    image = view.read(sources)
    _shade(drawing, view, box, moves, placed, sources, image)
    for part in eyes:
        _paint_eye(part, view, box, moves.eyes, image)
    _paint_mouth(drawing, view, box, lips, moves, placed, image)
    frames[:, box.top : box.bottom, box.left : box.right] = image.permute(0, 2, 3, 1)


def _shade(
    drawing: Drawing, view: View, box: Box, moves: Moves, placed: Tensor, sources: Tensor, image: Tensor
) -> None:
    """Shades the creases in the image (B, 3, h, w) of a box, in place, with source positions (B, h, w, 2)."""
    depths = drawing.shading.depths(moves.amounts)
    drawn = depths.amax(0) > 0
    if not drawn.any():
        return
    around, reach = placed[:, landmarks_of(drawn), :2].flatten(0, 1), drawing.shading.reach
    own = view.box_around(torch.cat([around - reach, around + reach])).within(box)
    if own.empty:
        return
    rows, columns = own.inside(box)
    positions = apply_affine(view.units_to_work, sources[:, rows, columns])
    shade(image[:, :, rows, columns], drawing.shading.change(depths, positions))


def _moving(drawing: Drawing, view: View, moves: Moves, reach: Tensor) -> Box:
    """The box of pixels that move in any of the frames, given the sheets' displacements (B, 2, cells, cells)."""
    moved = (reach > STILL).any(0).any(0)
    points = GRID.places(reach.device)[moved]
    margin = GRID.step + reach.amax()
    points = torch.cat([points - margin, points + margin])
    if moves.eyes.moves:
        points = torch.cat([points, *(reach_of_eye(eye) for eye in drawing.eyes)])
    return view.aligned(view.box_around(points)) if len(points) else Box(0, 0, 0, 0)


def _lips(drawing: Drawing, placed: Tensor) -> LipContours:
    """The lip contours of frames with landmarks (B, 478, 3) in the working square."""
    rest, lips = drawing.rig.points, drawing.mouth.lips

    def contour(row: tuple[int, ...], at_rest: Tensor) -> Tensor:
        return at_rest + (placed[:, list(row)] - rest[list(row)])[..., :2]

    return LipContours(contour(UPPER_INNER, lips.upper), contour(LOWER_INNER, lips.lower))


def _join_lower_sheet(
    drawing: Drawing, view: View, box: Box, contours: LipContours, sources: Tensor, lower: Tensor
) -> None:
    """Blends source positions (B, h, w, 2) of a box, in place, to the lower sheet's below the line of the lips."""
    widest = float((contours.upper[:, -1] - contours.upper[:, 0]).norm(dim=-1).amax())
    reach = (BELOW_FROM + BELOW_OVER) * drawing.unit
    own = view.aligned(contours.box(view, box, BESIDE * widest + 1, reach))
    if own.empty:
        return
    lips = contours.opening(view, own)
    below, beside = (lips.below_upper - lips.above_lower) / 2, lips.beside
    side = smoothstep(below / (view.pixel + SOFTER_BESIDE * beside) * 0.5 + 0.5)
    under = 1 - smoothstep((below / drawing.unit - BELOW_FROM) / BELOW_OVER)
    near = 1 - smoothstep(beside / (BESIDE * lips.width[:, None, None]))
    follow = view.sources(own, invert(GRID, lower, view.coarse_places(own)))
    rows, columns = own.inside(box)
    joined = torch.lerp(sources[:, rows, columns], follow, (side * under * near)[..., None])
    sources[:, rows, columns] = joined


def _paint_mouth(
    drawing: Drawing, view: View, box: Box, contours: LipContours, moves: Moves, placed: Tensor, image: Tensor
) -> None:
    """Draws the inside of mouths into the image (B, 3, h, w) of a box, in place."""
    activity = _activity(drawing, moves)
    own = contours.box(view, box, 2 * view.pixel, 0.0)
    if own.empty or not activity.any():
        return
    rigid = drawing.rig.turned(moves.head)
    places = apply_affine(view.to_work, view.pixels(own))
    rows, columns = own.inside(box)
    image[:, :, rows, columns] = paint_mouth(
        drawing.mouth,
        view,
        image[:, :, rows, columns],
        contours.opening(view, own),
        mouth_pose(drawing.mouth, placed, rigid, moves.tongue),
        skull_places(drawing.mouth, rigid, places),
        activity,
    )


def _close_eyes(drawing: Drawing, canvas: Canvas, box: Box, moves: Moves, sources: Tensor) -> tuple[EyePart, ...]:
    """Moves source positions (B, h, w, 2) of a box, in place, with the lids; returns the eyes in it."""
    parts = []
    for index, (eye, layer) in enumerate(zip(drawing.eyes, canvas.eyes, strict=True)):
        blink = moves.eyes.blink[:, index]
        if layer is None or not (blink.any() or moves.eyes.gaze.any()):
            continue
        margin = _carried(drawing, EYES[index], moves)
        reach, opening = (
            canvas.view.box_around(_moved(drawing, corners, moves.head, margin)).within(box)
            for corners in (reach_of_eye(eye), opening_of_eye(eye))
        )
        own = reach if blink.any() else opening
        if own.empty:
            continue
        rows, columns = opening.inside(box)
        ball = sources[:, rows, columns].clone()
        rows, columns = own.inside(box)
        lids, skin = close_lids(eye, canvas.view, sources[:, rows, columns], blink)
        sources[:, rows, columns] = skin
        parts.append(EyePart(eye, layer, own, opening, lids, ball, skin))
    return tuple(parts)


def _carried(drawing: Drawing, named: EyeLandmarks, moves: Moves) -> float:
    """Pixels of the working square that brows move the surroundings of an eye by, plus a margin."""
    moved = torch.einsum("bn,nkc->bkc", moves.amounts, drawing.rig.shapes[:, list(named.brow)])
    return float(moved.norm(dim=-1).amax()) + EYE_MARGIN * drawing.unit


def _paint_eye(part: EyePart, view: View, box: Box, motion: EyeMotion, image: Tensor) -> None:
    """Draws lids and eyeballs of one eye into the image (B, 3, h, w) of a box, in place."""
    rows, columns = part.box.inside(box)
    if part.box != part.opening:
        skin = image[:, :, rows, columns]
        image[:, :, rows, columns] = even_lids(part.eye, part.layer, view, skin, part.lids, part.skin)
    if part.opening.empty:
        return
    lids = part.lids.cut(*part.opening.inside(part.box))
    rows, columns = part.opening.inside(box)
    skin = image[:, :, rows, columns]
    image[:, :, rows, columns] = paint_ball(part.eye, part.layer, view, skin, lids, part.ball, motion.gaze)


def _moved(drawing: Drawing, corners: Tensor, head: HeadMotion, margin: float) -> Tensor:
    """Points (N, 2) around all that an eye with corners (4, 2) at rest may cover in the frames."""
    depth = drawing.rig.points[LEFT_EYE.upper[0], 2].expand(len(corners), 1)
    places = torch.cat([corners, depth], 1) - drawing.rig.pivot
    turned = head.scale[:, None, None] * (places @ head.turn) + drawing.rig.pivot
    around = (turned[..., :2] + head.shift[:, None]).flatten(0, 1)
    return torch.cat([around - margin, around + margin])


def _activity(drawing: Drawing, moves: Moves) -> Tensor:
    """Change of the lips (B,), 0 … 1, from the photograph."""
    lips = list(UPPER_INNER + LOWER_INNER)
    moved = torch.einsum("bn,nkc->bkc", moves.amounts, drawing.rig.shapes[:, lips])
    width = (drawing.mouth.lips.upper[-1] - drawing.mouth.lips.upper[0]).norm()
    return smoothstep(moved.norm(dim=-1).amax(1) / (RESTING * width))
