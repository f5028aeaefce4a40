"""The inside of a mouth: cavity, tongue and teeth where the lips part, photographed teeth where there are any.

Distances are in mouth widths of the photograph. u runs right from the philtrum, v down from the upper lip's line at
rest, both fixed to the skull: upper teeth and palate stand still in them, the jaw carries lower teeth and tongue.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..crop import apply_affine
from .curves import look_up, smooth_curve, smoothstep, tabulate
from .landmarks import CHIN, LIP_MIDDLE, LOWER_INNER, LOWER_OUTER, UPPER_INNER, UPPER_OUTER
from .lips import LipLine, corner_frame
from .palette import Palette
from .view import View

RING = (*UPPER_INNER, *LOWER_INNER[1:-1], *UPPER_OUTER, *LOWER_OUTER[1:-1])

# Teeth, in mouth widths from the midline: where one ends and the next begins.
UPPER_TEETH = (0.0, 0.150, 0.262, 0.36, 0.44, 0.52)
LOWER_TEETH = (0.0, 0.078, 0.165, 0.25, 0.33)
UPPER_EDGE, UPPER_ARC = 0.042, 0.075  # where the upper teeth end in the middle; how much higher at a half
LOWER_EDGE, LOWER_ARC = 0.026, -0.045
LOWER_TEETH_PER_CHIN = 1.5
GUM_FROM = 0.170  # above the upper lip's line at rest
TONGUE_HALF_WIDTH = 0.36
TONGUE_TOP, TONGUE_LIFT = 0.44, 0.26  # of the lower lip's drop
PHOTO_MARGIN = 0.055  # how far photographed teeth are continued upwards under a raised lip
RESTING = 0.02  # of the mouth's width: lips that moved less against each other show the photograph itself


@dataclass(frozen=True, eq=False)
class Mouth:
    """What a portrait's mouth is drawn from; positions in pixels of the working square.

    Attributes:
        lips: the inner contours at rest.
        ring: (n, 2) the lips' landmarks at rest.
        fit: (3, n) takes n places, where the ring stands rigidly in a frame, to the affine map from rest to there.
        middle: share of the width at which the philtrum stands.
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
        along: share of the way from the left to the right corner.
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
    """How places (h, w, 2) lie to the lips' inner contours (B, 11, 2) of B frames."""
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
    """How the mouths of B frames stand, each (B, 1, 1), mouth widths.

    Attributes:
        lip: drop of the lower lip in the middle, the opening at rest included.
        chin: drop of the chin.
        raised: rise of the upper lip.
        tongue: 0 … 1 of the tongue lifted.
    """

    lip: Tensor
    chin: Tensor
    raised: Tensor
    tongue: Tensor


def mouth_pose(mouth: Mouth, moved: Tensor, rigid: Tensor, tongue: Tensor) -> MouthPose:
    """The pose of mouths from landmarks (B, 468, 3) with and without expression and tongue amounts (B,)."""
    _, _, down, width = corner_frame(mouth.lips.upper[0], mouth.lips.upper[-1])

    def drop(index: int) -> Tensor:
        return (((moved - rigid)[:, index, :2] @ down) / width)[:, None, None]

    lip = (drop(LOWER_INNER[LIP_MIDDLE]) + mouth.rest_opening).clamp(min=0)
    raised = -drop(UPPER_INNER[LIP_MIDDLE])
    return MouthPose(lip, drop(CHIN).clamp(min=0), raised, tongue.clamp(0, 1)[:, None, None])


def skull_places(mouth: Mouth, rigid: Tensor, places: Tensor) -> Tensor:
    """Where places (h, w, 2) of frames lie in the photograph (B, h, w, 2) if they are fixed to the skull."""
    forward = mouth.fit @ rigid[:, list(RING), :2]  # (B, 3, 2): rows x, y, 1
    inverse = torch.linalg.inv(forward[:, :2])
    return ((places.flatten(0, 1) - forward[:, 2:]) @ inverse).unflatten(1, places.shape[:2])


def paint_mouth(
    mouth: Mouth, view: View, image: Tensor, lips: Opening, pose: MouthPose, skull: Tensor, activity: Tensor
) -> Tensor:
    """A box of B frames (B, 3, h, w) with the inside of the mouth painted where the lips part.

    Args:
        mouth: whose.
        view: drawn on.
        image: the skin and lips, already drawn.
        lips: how the pixels lie to the lips.
        pose: how the mouth stands.
        skull: (B, h, w, 2) the pixels' places in the photograph, fixed to the skull.
        activity: (B,) 0 … 1, how far the frame has left the photograph.
    """
    inside = _interior(mouth, lips, pose, skull, view.pixel)
    if mouth.lips.gap:
        inside = _with_photographed_teeth(mouth, view, inside, skull)
    depth = lips.depth / view.pixel
    thickness = (lips.below_upper + lips.above_lower) / view.pixel
    shown = (depth / 1.8 + 0.25).clamp(0, 1) * (thickness / 1.5).clamp(0, 1) * activity[:, None, None]
    return torch.lerp(image, inside, shown[:, None])


@dataclass(frozen=True, eq=False)
class Inside:
    """Maps (B, h, w) over the inside of mouths, in mouth widths.

    Attributes:
        u: right of the philtrum, fixed to the skull.
        v: below the upper lip's line at rest, fixed to the skull.
        under: below the upper lip as it stands.
        over: above the lower lip as it stands.
        side: inwards from the nearer corner.
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
    image = _over(image, *_upper_teeth(inside, palette))
    image = image * _shadow_of_lips(inside, pose)[:, None]
    return _over(image, palette.rim.view(1, 3, 1, 1), _wet_rim(inside, pose))


def _tinted(colour: Tensor, light: Tensor) -> Tensor:
    """A colour (3,) under light (B, h, w): (B, 3, h, w)."""
    return colour.view(1, 3, 1, 1) * light[:, None]


def _over(image: Tensor, layer: Tensor, weight: Tensor) -> Tensor:
    """An image (B, 3, h, w) under a layer that covers it by a weight (B, h, w)."""
    return torch.lerp(image, layer.expand_as(image), weight[:, None])


def _tongue(inside: Inside, pose: MouthPose, palette: Palette) -> tuple[Tensor, Tensor]:
    """The tongue's colour and cover: an arch on the floor of the mouth with a furrow in its middle."""
    across = inside.u / TONGUE_HALF_WIDTH
    top = pose.lip * (TONGUE_TOP - TONGUE_LIFT * pose.tongue) + 0.015 + 0.06 * across**2
    cover = smoothstep((inside.v - top) / 0.085 + 0.2) * smoothstep((1.25 - across.abs()) / 0.45)
    rounded = 1 - 0.30 * across.abs().clamp(0, 1) ** 2
    furrow = 1 - 0.13 * torch.exp(-((inside.u / 0.022) ** 2))
    light = (0.46 + 0.50 * smoothstep((inside.v - top) / 0.16)) * rounded * furrow
    return _tinted(palette.tongue, light), cover


def _lower_teeth(inside: Inside, pose: MouthPose, palette: Palette, rest_opening: float) -> tuple[Tensor, Tensor]:
    """The lower teeth's colour and cover: on the jaw, never above the lower lip's edge."""
    edge = max(LOWER_EDGE, rest_opening - 0.03) + LOWER_TEETH_PER_CHIN * pose.chin
    edge = torch.minimum(edge, pose.lip - 0.012) + LOWER_ARC * (inside.u / 0.5) ** 2
    cover, between = _tooth_row(inside, LOWER_TEETH, inside.v - edge, 0.008)
    cover = cover * smoothstep((0.34 - inside.u.abs()) / 0.10) * smoothstep((pose.lip - 0.05) / 0.08)
    deep = 0.84 - 0.14 * smoothstep(pose.chin / 0.2)
    light = deep * (1 - 0.50 * (inside.u.abs() / 0.36).clamp(0, 1) ** 2) * (1 - 0.10 * between)
    return _tinted(palette.tooth, light), 0.90 * cover


def _upper_teeth(inside: Inside, palette: Palette) -> tuple[Tensor, Tensor]:
    """The upper teeth's colour and cover, with gum where a lip is raised far."""
    edge = UPPER_EDGE - UPPER_ARC * (inside.u / 0.5) ** 2
    cover, between = _tooth_row(inside, UPPER_TEETH, edge - inside.v, 0.012)
    aside = (inside.u.abs() / 0.46).clamp(0, 1)
    light = (1 - 0.62 * aside**2.2) * (1 - 0.12 * between) * (0.94 + 0.06 * smoothstep((edge - inside.v) / 0.03))
    gum = smoothstep((-inside.v - GUM_FROM + 0.02 * torch.cos(42 * inside.u)) / 0.03)
    teeth = _tinted(palette.tooth, light)
    return _over(teeth, 1.1 * palette.gum.view(1, 3, 1, 1), gum), cover


def _tooth_row(inside: Inside, bounds: tuple[float, ...], within: Tensor, rounding: float) -> tuple[Tensor, Tensor]:
    """Cover of a row of teeth whose edge is `within` (B, h, w) away, and how near the gaps between them are.

    The edge of each tooth bends back by `rounding` at its sides.
    """
    aside = inside.u.abs()
    bent, between = torch.zeros_like(aside), torch.zeros_like(aside)
    gap = 0.006 + 0.35 * inside.pixel
    for start, end in pairwise(bounds):
        here = (aside >= start) & (aside < end)
        middle, half = (start + end) / 2, (end - start) / 2
        bent = torch.where(here, rounding * ((aside - middle) / half) ** 4, bent)
        between = torch.maximum(between, torch.exp(-(((aside - start) / gap) ** 2)))
    softness = max(0.012, 1.1 * inside.pixel)
    return smoothstep((within - bent) / softness * 0.5 + 0.5), between


def _shadow_of_lips(inside: Inside, pose: MouthPose) -> Tensor:
    """Light (B, h, w) that the lips let in: less under the upper one and in the corners, more in a grin."""
    grin = smoothstep((pose.raised - 0.03) / 0.10)
    under = 0.66 + 0.24 * grin + (0.34 - 0.24 * grin) * smoothstep(inside.under / 0.060)
    over = 0.74 + 0.26 * smoothstep(inside.over / 0.05)
    corners = 0.38 + 0.62 * smoothstep(inside.side / (0.22 - 0.10 * grin))
    return under * over * corners


def _wet_rim(inside: Inside, pose: MouthPose) -> Tensor:
    """Cover (B, h, w) of the lips' moist inner edge, which gives them thickness."""
    lower = 0.85 * torch.exp(-((inside.over / 0.016).clamp(min=0) ** 2))
    upper = 0.60 * torch.exp(-((inside.under / 0.010).clamp(min=0) ** 2))
    return torch.maximum(lower, upper) * smoothstep(pose.lip / 0.06)


def _with_photographed_teeth(mouth: Mouth, view: View, image: Tensor, skull: Tensor) -> Tensor:
    """The inside with what the photograph shows between its open lips, fixed to the skull."""
    along, down, width = mouth.lips.frame(skull)
    share = along / width
    upper = look_up(mouth.upper.expand(len(skull), -1), share)
    lower = look_up(mouth.lower.expand(len(skull), -1), share)
    beyond = (upper + 2.0 - down).clamp(min=0) * ((share > 0) & (share < 1))
    _, _, unit, _ = corner_frame(mouth.lips.upper[0], mouth.lips.upper[-1])
    held = skull + beyond[..., None] * unit
    photo = view.read(view.texture, apply_affine(view.from_work, held))
    depth = torch.minimum(PHOTO_MARGIN * width - beyond, lower - down - 1)
    depth = torch.minimum(depth, torch.minimum(along, width - along) + 1)
    return _over(image, photo, (depth / 3 + 0.5).clamp(0, 1))
