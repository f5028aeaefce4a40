"""Eyes: lids that close over a rigid eyeball, and an iris that follows the gaze.

Each eye has its own frame in the photograph: `along` runs from the outer corner (0) to the inner one (1), `down` is
the distance below the line between them in pixels of the working square. A blink moves the lids along columns of
that frame, which has an exact inverse: above the upper lid's line

    down_source = upper - (d - D · s(d / (H + D)))      d: distance above the moved line, D: how far it moved

with s a smoothstep, so that the lashes move rigidly, the skin between lid and brow stretches, and the brow stays.
The eyeball is the photograph between the lids, inpainted behind them once.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.crop import apply_affine
from ..faces.mesh_points import EyeLandmarks
from ..motion.controls import Controls
from .curves import TABLE, bell, look_up, smooth_curve, smoothstep, tabulate
from .filters import gaussian_blur
from .rig import soft_limit
from .view import Box, View

STEEPEST_LID = 0.55  # lid movement over the height of the stretched skin, above which it stretches evenly
CLOSED_LINE = 0.84  # share of the open eye's height at which the lids meet
LID_FOLLOWS_GAZE = 0.25  # of a blink, per iris radius of gaze down
WIDEST = -0.25  # of a blink: limit of eyes opened wider than in the photograph
FARTHEST_GAZE = 0.8  # iris radii
LID_HEIGHT = (0.08, 0.30)  # eye distances from the lid to the brow, at least and at most
UNDER_HEIGHT = 0.10  # eye distances below the lower lid that follow it
WATERLINE = 0.018  # eye distances under the lower lid's contour that a shut eye covers too: landmarks lie inside
IRIS_REACH = 1.9  # iris radii over which the shift of the iris fades out
LASHES = 0.020  # eye distances above the lid's line that are not evened out
EVEN = 0.030  # eye distances: detail finer than this survives on a lid that is evened out
BRIGHTEST = 4.0  # times the photograph's brightness, on an evened lid
LASH_REACH = 0.035  # eye distances above the lid at rest that lashes may cover
LID_DETAIL = 0.35  # share of the finer detail that survives: the stretched skin carries lashes along
CONTRAST = 0.15  # limit of that detail, as a share of the lid's brightness: stretched lashes would be streaks
LID_LIGHT = 0.65  # weight of the skin over the lid, against the skin below the eye, in a closed lid's colour
LINE_DARKNESS, LINE_WIDTH = 0.30, 0.010  # of the crease where closed lids meet; the width in eye distances
SHADE_DARKNESS, SHADE_WIDTH = 0.25, 0.030  # of the shadow under a lowered lid
RIM = 1.5  # pixels along the lids that are not eyeball
SPREAD_FROM = (0.14, 0.07, 0.035, 0.017)  # eye distances, from far to near
ACTIVE = 0.03  # of a blink or an iris radius: below this the eye's own layers fade out


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye of a portrait.

    Attributes:
        corners: (2, 2) outer and inner corner.
        right: (2,) unit vector from the outer to the inner corner, per pixel.
        down: (2,) unit vector below it.
        width: (1,) pixels between the corners.
        upper: (1, 65) the upper lid's contour.
        lower: (1, 65) the lower lid's contour.
        height: pixels from the upper lid to the brow.
        unit: pixels per eye distance.
        iris: (2,) centre.
        radius: iris radius in pixels.
        skin: (3, 65) the colour of a closed lid along the eye.
    """

    corners: Tensor
    right: Tensor
    down: Tensor
    width: Tensor
    upper: Tensor
    lower: Tensor
    height: float
    unit: float
    iris: Tensor
    radius: float
    skin: Tensor

    @cached_property
    def tallest(self) -> float:
        """Largest opening of the eye in pixels."""
        return max(float((self.lower - self.upper).amax()), 1e-3)

    def local(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (..., 2) as shares along the eye and pixels below its line."""
        seen = places - self.corners[0]
        return seen @ self.right / self.width, seen @ self.down

    def curve(self, table: Tensor, along: Tensor) -> Tensor:
        """Values (B, h, w) of a table (1, 65) at positions `along` (B, h, w)."""
        return look_up(table.expand(len(along), -1), along)


@dataclass(frozen=True, eq=False)
class EyeMotion:
    """Motion of the eyes in B frames.

    Attributes:
        blink: (B, 2) blinks of the left and the right eye.
        gaze: (B, 2) gaze to the right and down, iris radii.
    """

    blink: Tensor
    gaze: Tensor

    @property
    def moves(self) -> bool:
        """Whether any of it differs from the photograph."""
        return bool((self.blink.abs() > 0).any() or (self.gaze.abs() > 0).any())


def eye_motion(controls: Controls) -> EyeMotion:
    """The eyes' part of the controls, clamped to what can be drawn; the lids follow a gaze up and down."""
    gaze = torch.stack([controls.pupil_x, controls.pupil_y], 1)
    gaze = soft_limit(gaze, FARTHEST_GAZE)
    blinks = torch.stack([controls.blink_left, controls.blink_right], 1)
    followed = blinks + LID_FOLLOWS_GAZE * gaze[:, 1:] * (1 - blinks.clamp(0, 1))
    return EyeMotion(followed.clamp(WIDEST, 1), gaze)


def find_eye(image: Tensor, points: Tensor, named: EyeLandmarks, unit: float) -> Eye:
    """An eye in a working image (1, 3, H, W) with landmarks (478, 3) there, `unit` pixels per eye distance."""
    upper, lower = points[list(named.upper), :2], points[list(named.lower), :2]
    across = upper[-1] - upper[0]
    width = across.norm()
    right = across / width
    down = torch.stack([-right[1], right[0]])
    down = down * torch.sign(down[1])

    def table(contour: Tensor) -> Tensor:
        seen = smooth_curve(contour[None]) - upper[0]
        return tabulate(torch.stack([seen @ right, seen @ down], -1), width[None])

    lids = table(upper), table(lower)
    brow = ((points[list(named.brow), :2] - upper[0]) @ down).mean()
    low, high = LID_HEIGHT
    height = float((lids[0][0, 16:48].mean() - brow).clamp(low * unit, high * unit))
    iris = points[list(named.iris), :2]
    eye = Eye(
        corners=torch.stack([upper[0], upper[-1]]),
        right=right,
        down=down,
        width=width[None],
        upper=torch.minimum(*lids),
        lower=torch.maximum(*lids),
        height=height,
        unit=unit,
        iris=iris[0],
        radius=float((iris[1:] - iris[0]).norm(dim=1).mean()),
        skin=torch.zeros(3, TABLE, device=points.device),
    )
    return _with_skin(eye, image)


def _with_skin(eye: Eye, image: Tensor) -> Eye:
    """The eye with its closed lid's colour, taken from the skin over the lid and that below the eye."""
    along = torch.linspace(0, 1, TABLE, device=image.device)
    over = eye.upper - eye.height * torch.linspace(0.35, 0.75, 5, device=image.device)[:, None]
    under = eye.lower + eye.unit * torch.linspace(0.05, 0.11, 5, device=image.device)[:, None]
    seen = []
    for down in (over, under):
        places = eye.corners[0] + along[:, None] * eye.width * eye.right + down[..., None] * eye.down
        grid = (places + 0.5) * (2 / image.shape[-1]) - 1
        colours = F.grid_sample(image, grid[None], padding_mode="border", align_corners=False)[0]
        seen.append(colours.median(1).values)
    mixed = torch.lerp(seen[1], seen[0], LID_LIGHT)
    smooth = gaussian_blur(mixed[None, :, None].expand(1, 3, 3, TABLE), TABLE / 8)[0, :, 1]
    return replace(eye, skin=smooth)


@dataclass(frozen=True, eq=False)
class EyeLayer:
    """The data of an eye at the resolution of a view.

    Attributes:
        box: the pixels around the eye at rest.
        ball: (1, 3, h, w) the eyeball, inpainted behind the lids.
        lid: (1, 6, h, w) colour of a closed lid, and that colour divided by the photograph without its fine detail.
    """

    box: Box
    ball: Tensor
    lid: Tensor


def eye_layer(eye: Eye, view: View) -> EyeLayer | None:
    """The layer of an eye in a view; None when the eye is outside of the picture."""
    box = view.box_around(reach_of_eye(eye))
    if box.empty:
        return None
    rows, columns = box.inside(view.bounds)
    patch = view.texture[..., rows, columns]
    along, _ = eye.local(apply_affine(view.to_work, view.pixels(box))[None])
    skin = torch.stack([eye.curve(colour[None], along) for colour in eye.skin], 1)
    blurred = gaussian_blur(patch, max(EVEN * eye.unit / view.pixel, 0.3))
    ratio = (skin / blurred.clamp(min=0.02)).clamp(max=BRIGHTEST)
    return EyeLayer(box, _completed(eye, view, box, patch), torch.cat([skin, ratio], 1))


def reach_of_eye(eye: Eye) -> Tensor:
    """Corners (4, 2) of all that a blink moves, in the working square."""
    return _corners(eye, 0.25, eye.height, UNDER_HEIGHT * eye.unit)


def opening_of_eye(eye: Eye) -> Tensor:
    """Corners (4, 2) of all that may show the eyeball, in the working square."""
    wider = -WIDEST * eye.tallest
    return _corners(eye, 0.0, wider, wider)


def _corners(eye: Eye, beside: float, above: float, below: float) -> Tensor:
    """Corners (4, 2) of a box along the eye, grown beyond its contours by shares of its width and by pixels."""
    along = eye.right * eye.width * beside
    over = eye.down * (float(eye.upper.amin()) - above)
    under = eye.down * (float(eye.lower.amax()) + below)
    outer, inner = eye.corners[0] - along, eye.corners[1] + along
    return torch.stack([outer + over, outer + under, inner + over, inner + under])


def _completed(eye: Eye, view: View, box: Box, patch: Tensor) -> Tensor:
    """The eyeball (1, 3, h, w), inpainted in a patch (1, 3, h, w) of the photograph.

    Hidden parts of the iris are copied from its visible half, mirrored; the rest is filled from visible pixels.
    """
    places = apply_affine(view.to_work, view.pixels(box))[None]
    along, down = eye.local(places)
    rim = RIM * view.pixel
    inside = torch.minimum(down - eye.curve(eye.upper, along), eye.curve(eye.lower, along) - down)
    visible = ((inside > rim) & (along > 0.02) & (along < 0.98)).to(patch)[:, None]
    filled = _spread(patch, visible, eye.unit / view.pixel)
    filled = _with_whole_iris(eye, view, box, patch, visible, filled)
    return torch.lerp(filled, patch, (inside / rim).clamp(0, 1)[:, None])


def _spread(patch: Tensor, visible: Tensor, unit: float) -> Tensor:
    """A patch (1, 3, h, w) filled by blurs of its visible pixels (1, 1, h, w), finest scale where possible."""
    seen = patch * visible
    mean = seen.sum((2, 3), keepdim=True) / visible.sum((2, 3), keepdim=True).clamp(min=1)
    filled = mean.expand_as(patch)
    for reach in SPREAD_FROM:
        sigma = max(reach * unit, 0.5)
        share = gaussian_blur(visible, sigma)
        colour = gaussian_blur(seen, sigma) / share.clamp(min=1e-4)
        filled = torch.lerp(filled, colour, smoothstep(share / 0.05))
    return filled


def _with_whole_iris(eye: Eye, view: View, box: Box, patch: Tensor, visible: Tensor, filled: Tensor) -> Tensor:
    """The filled patch with the iris' hidden parts copied from its other half, above from below."""
    places = apply_affine(view.to_work, view.pixels(box))[None]
    off = places - eye.iris
    turned = places - 2 * (off @ eye.down)[..., None] * eye.down
    units = apply_affine(view.to_units, turned)
    copied = view.read_patch(patch * visible, box, units)
    known = view.read_patch(visible, box, units)
    disc = smoothstep((eye.radius * 1.1 - off.norm(dim=-1)) / (2 * view.pixel) + 0.5)[:, None]
    return torch.lerp(filled, copied / known.clamp(min=1e-3), disc * smoothstep(2 * known - 1))


@dataclass(frozen=True, eq=False)
class Lids:
    """The lids of one eye over a box of B frames, in the eye's own frame; every map is (B, h, w).

    Attributes:
        along: share of the width from the outer to the inner corner.
        over: pixels above the upper lid's line; below it negative.
        between: pixels inside the opening; outside of it negative.
        lowered: pixels that the upper lid has moved down there.
        thickness: opening of the eye there, pixels.
        closed: 0 as in the photograph … 1 shut, of the whole eye.
    """

    along: Tensor
    over: Tensor
    between: Tensor
    lowered: Tensor
    thickness: Tensor
    closed: Tensor

    def cut(self, rows: slice, columns: slice) -> "Lids":
        """The lids over a part of the box."""
        maps = (self.along, self.over, self.between, self.lowered, self.thickness)
        return Lids(*(values[:, rows, columns] for values in maps), closed=self.closed)


def close_lids(eye: Eye, view: View, sources: Tensor, blink: Tensor) -> tuple[Lids, Tensor]:
    """The lids after a blink (B,), and the source positions (B, h, w, 2) of the skin around the eye.

    Args:
        eye: the eye.
        view: the view to draw on.
        sources: (B, h, w, 2) source positions of the pixels with open eyes, sampling units.
        blink: (B,) amounts.
    """
    along, down = eye.local(apply_affine(view.units_to_work, sources))
    upper, lower = eye.curve(eye.upper, along), eye.curve(eye.lower, along)
    amount, opened = blink[:, None, None], lower - upper
    lowered, raised = amount * CLOSED_LINE * opened, amount * (1 - CLOSED_LINE) * opened
    over, under = upper + lowered - down, down - lower + raised
    lids = Lids(along, over, torch.minimum(-over, -under), lowered, (1 - amount) * opened, amount.clamp(min=0))
    if not blink.any():
        return lids, sources
    from_above = _dragged(over, lowered, eye.height)
    hidden = amount.clamp(min=0) * smoothstep(2 * opened / eye.tallest) * WATERLINE * eye.unit
    from_below = _dragged(under, raised + hidden, UNDER_HEIGHT * eye.unit)
    shift = torch.where(over > under, -from_above, from_below)
    return lids, sources + shift[..., None] * (view.to_units[:, :2] @ eye.down)


def _dragged(distance: Tensor, moved: Tensor, height: float) -> Tensor:
    """Pixels that skin at a `distance` from a lid's edge moves with an edge `moved` by pixels; 0 beyond `height`.

    The movement falls off by a smoothstep, or linearly where a smoothstep would fold the skin.
    """
    reach = height + moved
    share = (distance / reach).clamp(0, 1)
    steep = ((moved / reach - STEEPEST_LID) / 0.2).clamp(0, 1)
    kept = 1 - torch.lerp(smoothstep(share), share, steep)
    return moved * kept


def even_lids(eye: Eye, layer: EyeLayer, view: View, skin: Tensor, lids: Lids, sources: Tensor) -> Tensor:
    """Skin (B, 3, h, w) with the brightness of moved lids adapted to the skin around the eye.

    Args:
        eye: the eye.
        layer: its layer in the view.
        view: the view to draw on.
        skin: (B, 3, h, w) as drawn so far.
        lids: result of `close_lids`.
        sources: (B, h, w, 2) source positions of the skin, sampling units.
    """
    over, new = lids.over / eye.unit, lids.lowered / eye.unit
    beyond = (over - new - LASH_REACH) / (0.5 * eye.height / eye.unit)
    ends = smoothstep(lids.along / 0.15) * smoothstep((1 - lids.along) / 0.15)
    weight = smoothstep(over / LASHES - 0.5) * (1 - smoothstep(beyond)) * ends * smoothstep(lids.closed / 0.5)
    colour, ratio = view.read_patch(layer.lid, layer.box, sources).split(3, 1)
    detailed = torch.minimum(
        torch.maximum(skin * ratio, colour * (1 - CONTRAST)), (colour * (1 + CONTRAST)).clamp(max=1)
    )
    even = torch.lerp(colour, detailed, LID_DETAIL)
    line = bell(over / LINE_WIDTH) * ends * smoothstep((lids.closed - 0.6) / 0.4)
    return torch.lerp(skin, even, weight[:, None]) * (1 - LINE_DARKNESS * line)[:, None]


def paint_ball(
    eye: Eye, layer: EyeLayer, view: View, skin: Tensor, lids: Lids, sources: Tensor, gaze: Tensor
) -> Tensor:
    """Skin (B, 3, h, w) with the eyeball between the lids.

    Args:
        eye: the eye.
        layer: its layer in the view.
        view: the view to draw on.
        skin: (B, 3, h, w) as drawn so far.
        lids: result of `close_lids`.
        sources: (B, h, w, 2) source positions of the eyeball, which does not move with the lids, sampling units.
        gaze: (B, 2) iris radii.
    """
    ball = view.read_patch(layer.ball, layer.box, _looking(eye, view, sources, gaze))
    reach = SHADE_WIDTH * eye.unit
    shade = SHADE_DARKNESS * bell(lids.over / reach) * smoothstep(lids.lowered / reach)
    moved = torch.maximum(lids.lowered.abs().amax((1, 2)) / eye.unit / 0.1, gaze.norm(dim=1))
    edge = (lids.between / view.pixel / 1.4 + 0.5).clamp(0, 1)
    open_enough = (lids.thickness / view.pixel / 1.8 - 0.5).clamp(0, 1)
    inside = ((lids.along > 0) & (lids.along < 1)).to(skin)
    shown = edge * open_enough * inside * smoothstep(moved / ACTIVE)[:, None, None]
    return torch.lerp(skin, ball * (1 - shade)[:, None], shown[:, None])


def _looking(eye: Eye, view: View, sources: Tensor, gaze: Tensor) -> Tensor:
    """Source positions of the eyeball (B, h, w, 2) with the iris shifted by a gaze (B, 2) in iris radii."""
    shift = gaze[:, None, None] * eye.radius
    away = (apply_affine(view.units_to_work, sources) - eye.iris - shift) / (IRIS_REACH * eye.radius)
    near = bell(away.square().sum(-1))[..., None]
    return sources - near * (shift @ view.to_units[:, :2].T)
