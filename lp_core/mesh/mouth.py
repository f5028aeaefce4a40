"""The inside of the mouth: cavity, tongue and teeth between the lips, with photographed teeth where there are any.

Distances are in mouth widths of the photograph. u runs right from the philtrum, v down from the upper lip's line at
rest, both fixed to the skull: upper teeth and palate do not move in them, lower teeth and tongue move with the jaw.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..faces.crop import apply_affine
from ..faces.mesh_points import CHIN, LIP_MIDDLE, LOWER_INNER, LOWER_OUTER, UPPER_INNER, UPPER_OUTER
from .curves import bell, look_up, smooth_curve, smoothstep, tabulate
from .lips import LipLine, corner_frame
from .palette import Palette
from .view import View

RING = (*UPPER_INNER, *LOWER_INNER[1:-1], *UPPER_OUTER, *LOWER_OUTER[1:-1])

# Boundaries between teeth, in mouth widths from the midline.
UPPER_TEETH = (0.0, 0.150, 0.262, 0.36, 0.44, 0.52)
LOWER_TEETH = (0.0, 0.078, 0.165, 0.25, 0.33)
UPPER_SHORTER = (0.0, 0.010, 0.003, 0.012, 0.016)  # than the front ones
ROUNDED_EDGE = 0.014  # difference in length between a tooth's middle and its sides
TOOTH_TABLE = 257  # entries along half a row
GAP_WIDTH = 0.006  # of the dark line between two teeth
UPPER_EDGE, UPPER_ARC = 0.042, 0.075  # lower edge of the upper teeth in the middle; its rise at u = 0.5
LOWER_EDGE, LOWER_ARC = 0.026, -0.045
LOWER_TEETH_PER_CHIN = 1.5
UPPER_LENGTH = 0.242  # of the front teeth
MOST_SHOWN = 0.8  # limit of the share of it assumed visible in a photographed open mouth
TONGUE_HALF_WIDTH = 0.36
TONGUE_TOP, TONGUE_LIFT = 0.30, 0.26  # of the lower lip's drop
PHOTO_MARGIN = 0.12  # extrapolation of photographed teeth upwards under a raised lip
TEETH_GAP, TEETH_GAP_SPAN = 0.14, 0.08  # eye distances: a wider opening shows the jaw below the upper teeth
SEAM_WIDTH, SEAM_OPENING, SEAM_COVER = 0.012, 0.03, 0.85  # widths of the mouth; the cover is a share
RESTING = 0.02  # mouth widths: with less relative motion of the lips the photograph is shown


@dataclass(frozen=True, eq=False)
class Mouth:
    """The data of a portrait's mouth; positions in pixels of the working square.

    Attributes:
        lips: the inner contours at rest.
        fit: (3, n) matrix from the n rigidly moved positions of the ring to the affine map from rest to the frame.
        middle: position of the philtrum, as a share of the width.
        top: v of the upper lip's line below the corners' line, mouth widths.
        upper: (1, 65) upper contour at rest, pixels below the corners' line.
        lower: (1, 65) lower contour at rest.
        palette: colours.
    """

    lips: LipLine
    fit: Tensor
    middle: float
    top: float
    upper: Tensor
    lower: Tensor
    palette: Palette

    @property
    def rest_opening(self) -> float:
        """Opening in the middle of the photographed mouth, mouth widths."""
        _, _, down, width = corner_frame(self.lips.upper[0], self.lips.upper[-1])
        return float((self.lips.lower - self.lips.upper)[LIP_MIDDLE] @ down / width)

    @property
    def gum_from(self) -> float:
        """Height above the upper lip's line at rest where the upper gum begins, mouth widths."""
        return UPPER_LENGTH - max(UPPER_EDGE, min(self.rest_opening, MOST_SHOWN * UPPER_LENGTH))


def find_mouth(points: Tensor, lips: LipLine, palette: Palette) -> Mouth:
    """The mouth of a face with landmarks (478, 3) in the working square."""
    ring = points[list(RING), :2].double()
    design = torch.cat([ring, torch.ones_like(ring[:, :1])], 1)
    along, down, width = lips.frame(lips.upper)
    return Mouth(
        lips=lips,
        fit=torch.linalg.pinv(design).float(),
        middle=float(along[LIP_MIDDLE] / width),
        top=float(down[LIP_MIDDLE] / width),
        upper=_table(lips, lips.upper),
        lower=_table(lips, lips.lower),
        palette=palette,
    )


def _table(lips: LipLine, contour: Tensor) -> Tensor:
    along, down, width = lips.frame(smooth_curve(contour[None])[0])
    return tabulate(torch.stack([along, down], -1)[None], width[None])


@dataclass(frozen=True, eq=False)
class Opening:
    """The lips of B frames over a box; maps (B, h, w) in pixels of the working square.

    Attributes:
        along: share of the width from the left to the right corner.
        below_upper: distance below the upper lip's line.
        above_lower: distance above the lower lip's line.
        width: (B,) between the corners.
    """

    along: Tensor
    below_upper: Tensor
    above_lower: Tensor
    width: Tensor

    @property
    def depth(self) -> Tensor:
        """Distance inside the opening, negative outside."""
        sides = torch.minimum(self.along, 1 - self.along) * self.width[:, None, None]
        return torch.minimum(torch.minimum(self.below_upper, self.above_lower), sides)

    @property
    def beside(self) -> Tensor:
        """Distance beyond the corners."""
        return torch.maximum(-self.along, self.along - 1).clamp(min=0) * self.width[:, None, None]


def opening(upper: Tensor, lower: Tensor, places: Tensor) -> Opening:
    """The opening over positions (h, w, 2), for the lips' inner contours (B, 11, 2) of B frames."""
    left, right = (upper[:, 0] + lower[:, 0]) / 2, (upper[:, -1] + lower[:, -1]) / 2
    origin, across, down, width = corner_frame(left, right)
    axes = torch.stack([across, down], -1)

    def heights(contour: Tensor) -> Tensor:
        return tabulate((smooth_curve(contour) - origin[:, None]) @ axes, width)

    seen = (places.flatten(0, 1) - origin[:, None]) @ axes
    along = (seen[..., 0] / width[:, None]).unflatten(1, places.shape[:2])
    height = seen[..., 1].unflatten(1, places.shape[:2])
    top, bottom = heights(upper), heights(lower)
    return Opening(along, height - look_up(top, along), look_up(bottom, along) - height, width)


@dataclass(frozen=True, eq=False)
class MouthPose:
    """The pose of the mouths of B frames, each value (B, 1, 1), in mouth widths.

    Attributes:
        lip: drop of the lower lip in the middle, the opening at rest included.
        chin: drop of the chin.
        raised: rise of the upper lip.
        tongue: 0 … 1, lift of the tongue.
    """

    lip: Tensor
    chin: Tensor
    raised: Tensor
    tongue: Tensor


def mouth_pose(mouth: Mouth, moved: Tensor, rigid: Tensor, tongue: Tensor) -> MouthPose:
    """The pose of mouths from landmarks (B, 478, 3) with and without expression and tongue amounts (B,)."""
    _, _, down, width = corner_frame(mouth.lips.upper[0], mouth.lips.upper[-1])

    def drop(index: int) -> Tensor:
        return (((moved - rigid)[:, index, :2] @ down) / width)[:, None, None]

    lip = (drop(LOWER_INNER[LIP_MIDDLE]) + mouth.rest_opening).clamp(min=0)
    raised = -drop(UPPER_INNER[LIP_MIDDLE])
    return MouthPose(lip, drop(CHIN).clamp(min=0), raised, tongue.clamp(0, 1)[:, None, None])


def skull_places(mouth: Mouth, rigid: Tensor, places: Tensor) -> Tensor:
    """Positions (B, h, w, 2) in the photograph of positions (h, w, 2) in frames, if fixed to the skull."""
    forward = mouth.fit @ rigid[:, list(RING), :2]  # (B, 3, 2): rows x, y, 1
    inverse = torch.linalg.inv(forward[:, :2])
    return ((places.flatten(0, 1) - forward[:, 2:]) @ inverse).unflatten(1, places.shape[:2])


def paint_mouth(
    mouth: Mouth, view: View, image: Tensor, lips: Opening, pose: MouthPose, skull: Tensor, activity: Tensor
) -> Tensor:
    """A box of B frames (B, 3, h, w) with the inside of the mouth painted where the lips part.

    Args:
        mouth: the mouth.
        view: the view to draw on.
        image: (B, 3, h, w) the skin and lips drawn so far.
        lips: opening of the lips at the pixels.
        pose: pose of the mouth.
        skull: (B, h, w, 2) the pixels' positions in the photograph, if fixed to the skull.
        activity: (B,) 0 … 1, change of the frame from the photograph.
    """
    inside = _interior(mouth, lips, pose, skull, view.pixel)
    if mouth.lips.gap:
        inside = _with_photographed_inside(mouth, view, inside, lips, skull)
    depth = lips.depth / view.pixel
    thickness = (lips.below_upper + lips.above_lower) / view.pixel
    active = activity[:, None, None]
    image = _over(image, inside, (depth / 1.8 + 0.25).clamp(0, 1) * (thickness / 1.5).clamp(0, 1) * active)
    if not mouth.lips.gap:
        return image
    return _over(image, mouth.palette.rim.view(1, 3, 1, 1), _seam(lips, view.pixel) * active)


def _seam(lips: Opening, pixel: float) -> Tensor:
    """Opacity (B, h, w) of the shadow between closed lips that are open in the photograph: it hides teeth."""
    width = lips.width[:, None, None]
    reach = SEAM_WIDTH * width + 0.7 * pixel
    meeting = 1 - smoothstep((lips.below_upper + lips.above_lower) / (SEAM_OPENING * width))
    near = bell((lips.below_upper - lips.above_lower) / 2 / reach)
    return SEAM_COVER * meeting * near * smoothstep(torch.minimum(lips.along, 1 - lips.along) / 0.06)


@dataclass(frozen=True, eq=False)
class Inside:
    """Maps (B, h, w) over the inside of mouths, in mouth widths.

    Attributes:
        u: right of the philtrum, fixed to the skull.
        v: below the upper lip's line at rest, fixed to the skull.
        under: distance below the upper lip in the frame.
        over: distance above the lower lip in the frame.
        side: distance inwards from the nearer corner.
        pixel: side of the view's pixels.
    """

    u: Tensor
    v: Tensor
    under: Tensor
    over: Tensor
    side: Tensor
    pixel: float


def _interior(mouth: Mouth, lips: Opening, pose: MouthPose, skull: Tensor, pixel: float) -> Tensor:
    """The painted inside of mouths (B, 3, h, w), from back to front."""
    left, right, down, width = corner_frame(mouth.lips.upper[0], mouth.lips.upper[-1])
    own_width = lips.width[:, None, None]
    inside = Inside(
        u=(skull - left) @ right / width - mouth.middle,
        v=(skull - left) @ down / width - mouth.top,
        under=lips.below_upper / own_width,
        over=lips.above_lower / own_width,
        side=torch.minimum(lips.along, 1 - lips.along),
        pixel=float(pixel / width),
    )
    palette = mouth.palette
    image = _tinted(palette.cavity, 0.40 + 0.60 * smoothstep((inside.v + 0.02) / 0.28))
    image = _over(image, *_tongue(inside, pose, palette))
    image = _over(image, *_lower_teeth(inside, pose, palette, mouth.rest_opening))
    if not mouth.lips.shows_teeth:
        image = _over(image, *_upper_teeth(inside, palette, mouth.gum_from))
    image = image * _shadow_of_lips(inside, pose)[:, None]
    return _over(image, palette.rim.view(1, 3, 1, 1), _wet_rim(inside, pose))


def _tinted(colour: Tensor, light: Tensor) -> Tensor:
    """A colour (3,) under light (B, h, w): (B, 3, h, w)."""
    return colour.view(1, 3, 1, 1) * light[:, None]


def _over(image: Tensor, layer: Tensor, weight: Tensor) -> Tensor:
    """An image (B, 3, h, w) composited with a layer of opacity `weight` (B, h, w)."""
    return torch.lerp(image, layer.expand_as(image), weight[:, None])


def _tongue(inside: Inside, pose: MouthPose, palette: Palette) -> tuple[Tensor, Tensor]:
    """The tongue's colour and opacity: an arch on the floor of the mouth with a furrow in its middle."""
    across = inside.u / TONGUE_HALF_WIDTH
    top = pose.lip * (TONGUE_TOP - TONGUE_LIFT * pose.tongue) + 0.015 + 0.07 * across**2
    depth = (inside.v - top).clamp(min=0) / (0.02 + 0.55 * pose.lip)  # 0 at its back … 1 behind the lower teeth
    cover = smoothstep((inside.v - top) / 0.08 + 0.2) * smoothstep((1.2 - across.abs()) / 0.45)
    rounded = 1 - 0.38 * across.abs().clamp(0, 1) ** 2
    furrow = 1 - 0.10 * bell(inside.u / 0.03)
    back = 0.34 + 0.40 * pose.tongue
    return _tinted(palette.tongue, (back + (0.95 - back) * smoothstep(depth)) * rounded * furrow), cover


def _lower_teeth(inside: Inside, pose: MouthPose, palette: Palette, rest_opening: float) -> tuple[Tensor, Tensor]:
    """The lower teeth's colour and opacity: fixed to the jaw, never above the lower lip's edge."""
    edge = max(LOWER_EDGE, rest_opening - 0.03) + LOWER_TEETH_PER_CHIN * pose.chin
    edge = torch.minimum(edge, pose.lip - 0.012) + LOWER_ARC * (inside.u / 0.5) ** 2
    row = _tooth_row(inside, LOWER_TEETH, inside.v - edge, (0.0, 0.004, 0.004, 0.010))
    aside = (inside.u.abs() / 0.33).clamp(0, 1)
    cover = row.cover * smoothstep((1 - aside) / 0.35) * smoothstep((pose.lip - 0.05) / 0.08)
    deep = 0.80 - 0.16 * smoothstep(pose.chin / 0.2)
    return _tinted(palette.tooth, deep * (1 - 0.55 * aside**2) * row.light), 0.92 * cover


def _upper_teeth(inside: Inside, palette: Palette, gum_from: float) -> tuple[Tensor, Tensor]:
    """The upper teeth's colour and opacity, with gum where the lip is raised far."""
    edge = UPPER_EDGE - UPPER_ARC * (inside.u / 0.5) ** 2
    row = _tooth_row(inside, UPPER_TEETH, edge - inside.v, UPPER_SHORTER)
    aside = (inside.u.abs() / 0.46).clamp(0, 1)
    thin = 0.90 + 0.10 * smoothstep((edge - inside.v) / 0.035)  # the edge lets light through
    light = 1 - 0.62 * aside**2.2
    teeth = _tinted(palette.tooth, light * thin * row.light)
    gum = smoothstep((-inside.v - gum_from + 0.03 * row.bulge) / 0.035)
    return _over(teeth, _tinted(0.85 * palette.gum, light), gum), row.cover


@dataclass(frozen=True, eq=False)
class ToothRow:
    """A row of teeth, maps (B, h, w): opacity, brightness, and relief: 0 between teeth … 1 in a tooth's middle."""

    cover: Tensor
    light: Tensor
    bulge: Tensor


def _tooth_row(inside: Inside, bounds: tuple[float, ...], within: Tensor, shorter: tuple[float, ...]) -> ToothRow:
    """A row of teeth with boundaries at `bounds`, from the midline outwards.

    Args:
        inside: maps over the inside of the mouths.
        bounds: boundaries between teeth, from the midline, mouth widths.
        within: (B, h, w) distance to the edge of the row, mouth widths, positive on the teeth.
        shorter: length by which each tooth is shorter than the row, mouth widths.
    """
    place = torch.linspace(0, bounds[-1], TOOTH_TABLE, device=within.device)
    bent, offset, gap = torch.zeros_like(place), torch.zeros_like(place), torch.zeros_like(place)
    width = GAP_WIDTH + 0.35 * inside.pixel
    for (start, end), short in zip(pairwise(bounds), shorter, strict=True):
        here = (place >= start) & (place < end)
        across = (place - (start + end) / 2) / ((end - start) / 2)
        bent = torch.where(here, short + ROUNDED_EDGE * across**4, bent)
        offset = torch.where(here, across**2, offset)
        gap = torch.maximum(gap, bell((place - start) / width))
    light = (1 - 0.08 * offset) * (1 - 0.10 * gap)
    aside = inside.u.abs() / bounds[-1]
    bent, light, bulge = (look_up(table.expand(len(aside), -1), aside) for table in (bent, light, 1 - offset))
    softness = max(0.010, 1.1 * inside.pixel)
    return ToothRow(smoothstep((within - bent) / softness * 0.5 + 0.5), light, bulge)


def _shadow_of_lips(inside: Inside, pose: MouthPose) -> Tensor:
    """Brightness (B, h, w) under the lips' shadow: less below the upper lip and in the corners, more in a grin."""
    grin = smoothstep((pose.raised - 0.03) / 0.10)
    under = 0.66 + 0.24 * grin + (0.34 - 0.24 * grin) * smoothstep(inside.under / 0.060)
    over = 0.74 + 0.26 * smoothstep(inside.over / 0.05)
    corners = 0.38 + 0.62 * smoothstep(inside.side / (0.22 - 0.10 * grin))
    return under * over * corners


def _wet_rim(inside: Inside, pose: MouthPose) -> Tensor:
    """Opacity (B, h, w) of the lips' moist inner edge, which gives them thickness."""
    lower = 0.85 * bell(inside.over.clamp(min=0) / 0.016)
    upper = 0.60 * bell(inside.under.clamp(min=0) / 0.010)
    return torch.maximum(lower, upper) * smoothstep(pose.lip / 0.06) * smoothstep((inside.side - 0.02) / 0.12)


def _with_photographed_inside(mouth: Mouth, view: View, image: Tensor, lips: Opening, skull: Tensor) -> Tensor:
    """The inside, overlaid with the photograph between its open lips.

    Photographed teeth are fixed to the skull. In a wide open mouth the part below them belongs to the jaw: it is
    stretched between the upper teeth and the lower lip.
    """
    along, down, width = mouth.lips.frame(skull)
    share = along / width
    upper = look_up(mouth.upper.expand(len(skull), -1), share)
    lower = look_up(mouth.lower.expand(len(skull), -1), share)
    jaw = float(smoothstep(torch.tensor((mouth.lips.gap - TEETH_GAP) / TEETH_GAP_SPAN)))
    dropped = (down - (lower - lips.above_lower)).clamp(min=0)
    depth = lips.below_upper / (lips.below_upper + lips.above_lower).clamp(min=1e-3)
    source = down - jaw * dropped * depth.clamp(0, 1)
    beyond = (upper + 2.0 - source).clamp(min=0)
    _, _, unit, _ = corner_frame(mouth.lips.upper[0], mouth.lips.upper[-1])
    held = skull + (source - down + beyond)[..., None] * unit
    photo = view.read(apply_affine(view.to_units, held))
    margin = torch.minimum(
        PHOTO_MARGIN * width, (lower - upper) / 2
    )  # at the corners only lip would be extrapolated
    inner = torch.minimum(margin - beyond, lower - source - 1 + 2 * jaw)
    inner = torch.minimum(inner, torch.minimum(along, width - along) + 1)
    return _over(image, photo, (inner / 3 + 0.5).clamp(0, 1))
