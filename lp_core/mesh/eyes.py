"""Eyes: lids that close over a rigid eyeball, and an iris that looks about.

Each eye has its own frame in the photograph: `along` runs from the outer corner (0) to the inner one (1), `down` is
the distance below the line between them in pixels of the working square. A blink moves the lids along columns of
that frame, which has an exact inverse: above the upper lid's line

    down_source = upper - (d - D · s(d / (H + D)))      d: distance above the moved line, D: how far it moved

with s a smoothstep, so that the lashes ride along rigidly, the skin between lid and brow stretches, and the brow
stays. The eyeball is the photograph between the lids, completed behind them once.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..controls import Controls
from ..crop import apply_affine
from .curves import TABLE, look_up, smooth_curve, smoothstep, tabulate
from .filters import gaussian_blur
from .landmarks import EyeLandmarks
from .rig import soft_limit
from .view import Box, View

STEEPEST_LID = 0.55  # share of the stretched skin that is new, above which it stretches evenly
CLOSED_LINE = 0.84  # how far down the open eye its lids meet
LID_FOLLOWS_GAZE = 0.12  # of a blink, per iris radius that the eye looks down
WIDEST = -0.25  # of a blink: how far eyes open beyond the photograph
FARTHEST_GAZE = 0.8  # iris radii
LID_HEIGHT = (0.08, 0.30)  # eye distances from the lid to the brow, at least and at most
UNDER_HEIGHT = 0.10  # eye distances below the lower lid that follow it
IRIS_REACH = 1.9  # iris radii over which a shifted iris fades into the white
LASHES = 0.020  # eye distances above the lid's line that keep the photograph's own look
EVEN = 0.030  # eye distances: detail finer than this survives on a lid that is evened out
LID_LIGHT = 0.65  # weight of the skin over the lid, against the skin below the eye, in a closed lid's colour
LINE_DARKNESS, LINE_WIDTH = 0.30, 0.010  # of the crease where closed lids meet; the width in eye distances
SHADE_DARKNESS, SHADE_WIDTH = 0.25, 0.030  # of the shadow under a lowered lid
RIM = 1.5  # pixels along the lids that are not eyeball
SPREAD_FROM = (0.14, 0.07, 0.035, 0.017)  # eye distances, from far to near
ACTIVE = 0.03  # of a blink or an iris radius: less than this fades the eye's own layers out


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

    def local(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Places (..., 2) as shares along the eye and pixels below its line."""
        seen = places - self.corners[0]
        return seen @ self.right / self.width, seen @ self.down

    def curve(self, table: Tensor, along: Tensor) -> Tensor:
        """A table (1, 65) at places `along` (B, h, w)."""
        return look_up(table.expand(len(along), -1), along)


@dataclass(frozen=True, eq=False)
class EyeMotion:
    """What the eyes of B frames do.

    Attributes:
        blink: (B, 2) of the left and the right eye.
        gaze: (B, 2) to the right and down, iris radii.
    """

    blink: Tensor
    gaze: Tensor

    @property
    def moves(self) -> bool:
        """Any of it differs from the photograph."""
        return bool((self.blink.abs() > 0).any() or (self.gaze.abs() > 0).any())


def eye_motion(controls: Controls) -> EyeMotion:
    """The eyes' part of the controls, within what can be drawn; the lids follow a gaze up and down."""
    gaze = torch.stack([controls.pupil_x, controls.pupil_y], 1)
    gaze = soft_limit(gaze, FARTHEST_GAZE)
    asked = torch.stack([controls.blink_left, controls.blink_right], 1)
    followed = asked + LID_FOLLOWS_GAZE * gaze[:, 1:] * (1 - asked.clamp(0, 1))
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
    """What an eye needs in the resolution of a view.

    Attributes:
        box: the pixels around the eye at rest.
        ball: (1, 3, h, w) the eyeball, completed behind the lids.
        blurred: (1, 3, h, w) the photograph without its fine detail.
    """

    box: Box
    ball: Tensor
    blurred: Tensor


def eye_layer(eye: Eye, view: View) -> EyeLayer | None:
    """The layer of an eye in a view; None when the eye lies outside of the picture."""
    box = view.box_around(reach_of_eye(eye))
    if box.empty:
        return None
    rows, columns = box.inside(view.bounds)
    patch = view.texture[..., rows, columns]
    blurred = gaussian_blur(patch, max(EVEN * eye.unit / view.pixel, 0.3))
    return EyeLayer(box, _completed(eye, view, box, patch), blurred)


def reach_of_eye(eye: Eye) -> Tensor:
    """Corners (4, 2) of all that a blink moves, in the working square."""
    along = eye.right * eye.width * 0.25
    over = eye.down * (float(eye.upper.amin()) - eye.height)
    under = eye.down * (float(eye.lower.amax()) + UNDER_HEIGHT * eye.unit)
    outer, inner = eye.corners[0] - along, eye.corners[1] + along
    return torch.stack([outer + over, outer + under, inner + over, inner + under])


def _completed(eye: Eye, view: View, box: Box, patch: Tensor) -> Tensor:
    """The eyeball in a patch (1, 3, h, w) of the photograph.

    What the lids hide of the iris is its visible half turned over; the rest is spread from what can be seen.
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
    """A patch (1, 3, h, w) filled from what is visible (1, 1, h, w), near by near, then from farther away."""
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
    positions = apply_affine(view.from_work, turned)
    copied = view.read(patch * visible, positions, box)
    known = view.read(visible, positions, box)
    disc = smoothstep((eye.radius * 1.1 - off.norm(dim=-1)) / (2 * view.pixel) + 0.5)[:, None]
    return torch.lerp(filled, copied / known.clamp(min=1e-3), disc * smoothstep(2 * known - 1))


@dataclass(frozen=True, eq=False)
class Lids:
    """The lids of one eye over a box of B frames, in the eye's own frame; every map is (B, h, w).

    Attributes:
        along: share of the way from the outer to the inner corner.
        over: pixels above the upper lid's line; below it negative.
        between: pixels inside the opening; outside of it negative.
        lowered: pixels that the upper lid has come down there.
        thickness: pixels that the eye is open there.
        closed: 0 as in the photograph … 1 shut, of the whole eye.
    """

    along: Tensor
    over: Tensor
    between: Tensor
    lowered: Tensor
    thickness: Tensor
    closed: Tensor


def close_lids(eye: Eye, view: View, sources: Tensor, blink: Tensor) -> tuple[Lids, Tensor]:
    """The lids after a blink (B,), and where the skin around the eye then comes from (B, h, w, 2).

    Args:
        eye: whose.
        view: drawn on.
        sources: (B, h, w, 2) where the pixels come from with open eyes, view pixels.
        blink: amounts.
    """
    along, down = eye.local(apply_affine(view.to_work, sources))
    upper, lower = eye.curve(eye.upper, along), eye.curve(eye.lower, along)
    amount = blink[:, None, None]
    lowered = amount * CLOSED_LINE * (lower - upper)
    raised = amount * (1 - CLOSED_LINE) * (lower - upper)
    top, bottom = upper + lowered, lower - raised
    over, under = top - down, down - bottom
    shift = torch.where(
        over + bottom - down > 0,
        -_dragged(over, lowered, eye.height),
        _dragged(under, raised, UNDER_HEIGHT * eye.unit),
    )
    lids = Lids(along, over, torch.minimum(-over, -under), lowered, bottom - top, amount.clamp(min=0))
    offset = (shift[..., None] * eye.down) @ view.from_work[:, :2].T
    return lids, sources + offset


def _dragged(distance: Tensor, moved: Tensor, height: float) -> Tensor:
    """How far skin at a `distance` from a lid's edge that has `moved` came with it; none beyond `height`.

    The share that stays behind grows by a smoothstep, or evenly where that would turn the skin over.
    """
    reach = height + moved
    share = (distance / reach).clamp(0, 1)
    steep = ((moved / reach - STEEPEST_LID) / 0.2).clamp(0, 1)
    kept = 1 - torch.lerp(smoothstep(share), share, steep)
    return moved * kept


def paint_eye(
    eye: Eye, layer: EyeLayer, view: View, image: Tensor, lids: Lids, sources: tuple[Tensor, Tensor], gaze: Tensor
) -> Tensor:
    """A box of B frames (B, 3, h, w) with the closed part of the lids evened out and the eyeball between them.

    Args:
        eye: whose.
        layer: its layer in the view.
        view: drawn on.
        image: the skin around the eye, already drawn.
        lids: what `close_lids` gave.
        sources: (B, h, w, 2) twice: of the eyeball, which does not move with the lids, and of the skin.
        gaze: (B, 2) iris radii.
    """
    ball_sources, skin_sources = sources
    image = _evened(eye, layer, view, image, lids, skin_sources)
    ball = view.read(layer.ball, _looking(eye, view, ball_sources, gaze), layer.box)
    shade = SHADE_DARKNESS * torch.exp(-((lids.over / (SHADE_WIDTH * eye.unit)) ** 2))
    ball = ball * (1 - shade * smoothstep(lids.lowered / (SHADE_WIDTH * eye.unit)))[:, None]
    moved = torch.maximum(lids.lowered.abs().amax((1, 2)) / eye.unit / 0.1, gaze.norm(dim=1))
    edge = (lids.between / view.pixel / 1.4 + 0.5).clamp(0, 1)
    open_enough = (lids.thickness / view.pixel / 1.8 - 0.5).clamp(0, 1)
    inside = ((lids.along > 0) & (lids.along < 1)).to(image)
    shown = edge * open_enough * inside * smoothstep(moved / ACTIVE)[:, None, None]
    return torch.lerp(image, ball, shown[:, None])


def _looking(eye: Eye, view: View, sources: Tensor, gaze: Tensor) -> Tensor:
    """Sources of the eyeball (B, h, w, 2) when the iris is shifted by a gaze (B, 2) in iris radii."""
    shift = gaze[:, None, None] * eye.radius
    away = (apply_affine(view.to_work, sources) - eye.iris - shift).norm(dim=-1) / (IRIS_REACH * eye.radius)
    near = torch.exp(-(away**4))[..., None]
    return sources - (shift * near) @ view.from_work[:, :2].T


def _evened(eye: Eye, layer: EyeLayer, view: View, image: Tensor, lids: Lids, sources: Tensor) -> Tensor:
    """Skin whose part that came down with the lid has the light of the skin around the eye."""
    over, lashes = lids.over / eye.unit, LASHES
    new = lids.lowered / eye.unit
    height = eye.height / eye.unit
    weight = smoothstep(over / lashes - 0.5) * (1 - smoothstep((over - new) / (0.6 * height)))
    ends = smoothstep(lids.along / 0.15) * smoothstep((1 - lids.along) / 0.15)
    weight = weight * ends * smoothstep(lids.closed / 0.5)
    skin = torch.stack([eye.curve(colour[None], lids.along) for colour in eye.skin], 1)
    detail = image / view.read(layer.blurred, sources, layer.box).clamp(min=0.02)
    even = skin * detail.clamp(0.5, 1.6)
    image = torch.lerp(image, even, weight[:, None])
    line = torch.exp(-((over / LINE_WIDTH) ** 2)) * ends * smoothstep((lids.closed - 0.6) / 0.4)
    return image * (1 - LINE_DARKNESS * line)[:, None]
