"""The rig: control points over the head, and their displacements (shapes) by named controls.

Everything is in pixels of the working square (drawing.py). A frame is E = P + Σ aₖ Sₖ, then the head's motion
s (E - pivot) Q + pivot + shift, of which the control points around the face follow a share.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..faces.face_model import FacePose, face_model
from ..faces.faces import LANDMARKS
from ..faces.mesh_points import (
    BROW_TOPS,
    CHIN,
    EYES,
    FACE_EXTREMES,
    LIP_MIDDLE,
    LOWER_INNER,
    LOWER_LIP_ROWS,
    NOSE_BASE,
    NOSE_BRIDGE,
    NOSE_TIP,
    OVAL,
    UPPER_INNER,
    UPPER_LIP_ROWS,
)
from ..motion.controls import NAMES, Controls
from .curves import look_up, smoothstep, tabulate
from .lips import LipLine
from .measures import controls_of_measures, measure, measures_of_controls

NECK = (0.0, 1.05, 0.75)  # face frame: centre of head rotation
HEAD_MIDDLE = (0.0, 0.4, 0.62)  # face frame: assumed depth of hair and ears

LEARNED = ("jaw", "wide", "pout", "smile", "lip_raise", "mouth_x", "brow_left", "brow_right", "brow_inner", "frown")
SHAPES = (*LEARNED, "close", "roll", "tuck")
BROWS = ("brow_left", "brow_right", "brow_inner", "frown")
SEALED = ("wide", "pout", "smile", "mouth_x")  # shapes that keep closed lips closed


@dataclass(frozen=True)
class Ring:
    """A ring of control points around the face: the face oval enlarged.

    Attributes:
        top: size beside the forehead, in ovals.
        bottom: size at the chin.
        head_top: share of the head's motion beside the forehead.
        head_bottom: share of it at the chin.
        jaw: share of the oval's expression at the chin, without which its silhouette would tear.
    """

    top: float
    bottom: float
    head_top: float
    head_bottom: float
    jaw: float


RINGS = (
    Ring(1.22, 1.12, 1.0, 0.80, 0.72),
    Ring(1.5, 1.34, 0.85, 0.40, 0.33),
    Ring(1.8, 1.65, 0.22, 0.06, 0.05),
    Ring(2.15, 2.0, 0.0, 0.0, 0.0),
)
FRAME_POINTS = 15  # control points along each side of the square, where nothing moves
OUTSIDE = 0.05  # of the square's side: rings farther outside its border are left out

# Lag of the skin below the lower lip behind the lip, per eye distance of jaw and of distance: at a jaw opening of
# 0.27 the skin is compressed by 0.6.
STEEPEST_LAG = 2.2
# Range, above and beside the brows, in which the skin follows them, eye distances.
FOREHEAD, BESIDE_BROWS = 0.32, 0.12

# Closing of the lips over an opening of the photograph, per row from the outer rim inwards: shares of the opening.
UPPER_CLOSING = (0.24, 0.31, 0.34, 0.38)
LOWER_CLOSING = (-0.48, -0.58, -0.60, -0.62)
CHIN_CLOSING = -0.14
# An opening (eye distances) beyond that of a smile is the jaw's, and the chin rises with it.
SMILING_GAP, CHIN_CLOSING_JAW = 0.12, -0.45
# Rolling in of pressed lips, per row: shares of the distance to the line between the lips.
ROLLING = (0.30, 0.24, 0.12, 0.0)
# F and V, in eye distances: the upper lip is raised off the teeth, the lower lip is drawn up behind them.
TUCK_UPPER_RISE, TUCK_LOWER_RISE = 0.032, 0.006


@dataclass(frozen=True, eq=False)
class HeadMotion:
    """Motion of the head of B frames relative to the photograph.

    Attributes:
        turn: (B, 3, 3) for row vectors, in the working square's axes.
        scale: (B,) factor.
        shift: (B, 2) pixels.
    """

    turn: Tensor
    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Rig:
    """Control points and shapes.

    Attributes:
        points: (K, 3) at rest: the 478 landmarks, then the points around it.
        head: (K,) share of the head's motion, 1 on the face.
        shapes: (N, K, 3) displacement at amount one, in the order of SHAPES.
        pivot: (3,) centre of head rotation.
    """

    points: Tensor
    head: Tensor
    shapes: Tensor
    pivot: Tensor

    def turned(self, head: HeadMotion, amounts: Tensor | None = None) -> Tensor:
        """The mesh's landmarks (B, 478, 3) under a head motion, with shapes at amounts (B, N) or without."""
        points = self.points[:LANDMARKS] - self.pivot
        if amounts is not None:
            moved = amounts @ self.shapes[:, :LANDMARKS].flatten(1)
            points = points + moved.view(len(amounts), -1, 3)
        shift = torch.nn.functional.pad(head.shift, (0, 1))
        return head.scale[:, None, None] * (points @ head.turn) + self.pivot + shift[:, None]


def build_rig(points: Tensor, pose: FacePose, lips: LipLine, size: int) -> Rig:
    """The rig of a face with landmarks (478, 3) in a square of `size` pixels."""
    around, head, jaw, along = _surroundings(points, pose, size)
    shapes = torch.cat(
        [_learned_shapes(points, pose), _closing(points, lips), _rolling(points, lips), _tucking(points, pose)]
    )
    outer = jaw[:, None] * shapes[:, along]
    pivot = pose.to_picture(points.new_tensor(NECK)[None, None])[0, 0]
    return Rig(
        points=torch.cat([points, around]),
        head=torch.cat([torch.ones_like(points[:, 0]), head]),
        shapes=torch.cat([shapes, outer], 1),
        pivot=pivot,
    )


def _surroundings(points: Tensor, pose: FacePose, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Control points around the face: positions (M, 3), head shares (M,), jaw shares (M,), oval landmarks (M,)."""
    oval = list(OVAL)
    middle = points[list(FACE_EXTREMES), :2].mean(0)
    outward = points[oval, :2] - middle
    height = pose.to_face(points[None])[0, oval, 1]
    up = ((0.75 - height) / 0.8).clamp(0, 1)  # 1 beside the forehead, 0 at the chin
    depth = pose.to_picture(points.new_tensor(HEAD_MIDDLE)[None, None])[0, 0, 2]
    places, head, jaw = [], [], []
    for ring in RINGS:
        reach = torch.lerp(torch.full_like(up, ring.bottom), torch.full_like(up, ring.top), up)
        back = ((reach - 1) / 0.6).clamp(0, 1) * 0.8
        z = torch.lerp(points[oval, 2], depth.expand_as(up), back)
        places.append(torch.cat([middle + outward * reach[:, None], z[:, None]], 1))
        head.append(torch.lerp(torch.full_like(up, ring.head_bottom), torch.full_like(up, ring.head_top), up))
        jaw.append(ring.jaw * (1 - up))
    around, head, jaw = torch.cat(places), torch.cat(head), torch.cat(jaw)
    along = torch.tensor(oval * len(RINGS), device=points.device)
    inside = ((around[:, :2] > -OUTSIDE * size) & (around[:, :2] < (1 + OUTSIDE) * size)).all(1)
    frame = _frame(size, points.device)
    none = frame.new_zeros(len(frame))
    return (
        torch.cat([around[inside], torch.cat([frame, none[:, None]], 1)]),
        torch.cat([head[inside], none]),
        torch.cat([jaw[inside], none]),
        torch.cat([along[inside], torch.full_like(none, CHIN, dtype=torch.long)]),
    )


def _frame(size: int, device: torch.device) -> Tensor:
    """Points (M, 2) around the border of the square."""
    line = torch.linspace(-0.5, size - 0.5, FRAME_POINTS, device=device)
    low, high = torch.full_like(line, -0.5), torch.full_like(line, size - 0.5)
    sides = ((line, low), (line, high), (low[1:-1], line[1:-1]), (high[1:-1], line[1:-1]))
    return torch.cat([torch.stack(side, 1) for side in sides])


def _learned_shapes(points: Tensor, pose: FacePose) -> Tensor:
    """Displacements (10, 478, 3), at one unit each, of the controls in the face model."""
    model = face_model()
    amounts = torch.zeros(len(LEARNED), len(NAMES))
    for row, name in enumerate(LEARNED):
        amounts[row, NAMES.index(name)] = 1.0
    measures = measures_of_controls(Controls.unstack(amounts))
    moved = torch.einsum("nm,mkc->nkc", measures, model.basis)
    still = _with_still_eyes(_with_sealed_lips(moved)).to(pose.rotation)
    face = pose.to_face(points[None])[0]
    still[LEARNED.index("jaw")] = _without_folds(face, still[LEARNED.index("jaw")])
    for name in BROWS:
        still[LEARNED.index(name)] = _brow_alone(face, still[LEARNED.index(name)])
    return pose.scale * (still @ pose.rotation[0])


def _without_folds(face: Tensor, jaw: Tensor) -> Tensor:
    """The jaw's shape (478, 3) with the lag of the skin of a face (478, 3) below the lower lip limited.

    The mean face's chin may lag behind the lip by more than fits between lip and chin of another face: the sheet
    would fold. The lag grows with the distance from the lip by at most STEEPEST_LAG.
    """
    below, drops = _seen_from(face, jaw, LOWER_LIP_ROWS[0])
    least = drops - STEEPEST_LAG * below
    drop = torch.where(below > 0, torch.maximum(jaw[:, 1], least), jaw[:, 1])
    return torch.stack([jaw[:, 0], drop, jaw[:, 2]], 1)


def _brow_alone(face: Tensor, brow: Tensor) -> Tensor:
    """A brow's shape (478, 3) on a face (478, 3): the forehead follows the brow, points below the nose do not.

    In the tracked faces that the basis was learned from, the forehead's landmarks are fixed: the skin between them
    and a raised brow would fold. Here it follows, less and less up to the hairline.
    """
    below, moves = _seen_from(face, brow, BROW_TOPS)
    beyond = (face[:, 0].abs() - face[list(BROW_TOPS), 0].abs().amax()).clamp(min=0)
    share = (1 + below / FOREHEAD).clamp(0, 1) * (1 - beyond / BESIDE_BROWS).clamp(0, 1)
    share[list(OVAL)] = 0
    followed = moves * share
    forehead = (below < 0) & (followed.abs() > brow[:, 1].abs())
    alone = torch.stack([brow[:, 0], torch.where(forehead, followed, brow[:, 1]), brow[:, 2]], 1)
    bridge, tip = face[NOSE_BRIDGE, 1], face[NOSE_TIP, 1]
    return alone * smoothstep((tip - face[:, 1]) / (tip - bridge))[:, None]


def _seen_from(face: Tensor, moved: Tensor, line: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The distance (478,) of each landmark below a line of landmarks, and the line's displacement down there.

    Args:
        face: (478, 3) landmarks in the face frame.
        moved: (478, 3) displacements.
        line: landmarks from left to right; its ends hold beyond them.
    """
    rim = list(line)
    start, width = face[rim[0], 0], face[rim[-1], 0] - face[rim[0], 0]
    place = ((face[:, 0] - start) / width).clamp(0, 1)[None]

    def along(values: Tensor) -> Tensor:
        table = tabulate(torch.stack([face[rim, 0] - start, values[rim, 1]], 1)[None], width[None])
        return look_up(table, place)[0]

    return face[:, 1] - along(face), along(moved)


def _with_sealed_lips(moved: Tensor) -> Tensor:
    """Shapes (10, 478, 3) in which those of SEALED move both lips equally along the line between them."""
    sealed = moved.clone()
    rows = [LEARNED.index(name) for name in SEALED]
    upper, lower = list(UPPER_INNER), list(LOWER_INNER)
    together = (moved[rows][:, upper] + moved[rows][:, lower]) / 2
    for row, both in zip(rows, together, strict=True):
        sealed[row, upper] = both
        sealed[row, lower] = both
    return sealed


def _with_still_eyes(moved: Tensor) -> Tensor:
    """Shapes (10, 478, 3) that leave lids and irises in place: the eyes are drawn separately."""
    still = moved.clone()
    for eye in EYES:
        still[:, list(eye.upper + eye.lower + eye.iris)] = 0
    return still


def _closing(points: Tensor, lips: LipLine) -> Tensor:
    """Displacement (1, 478, 3) that closes the opening of the lips in the photograph."""
    opening = lips.parting
    shape = torch.zeros_like(points)
    below = _chin_shares(points, lips)
    shape[:, :2] = below[:, None] * opening[LIP_MIDDLE]
    for rows, shares in ((UPPER_LIP_ROWS, UPPER_CLOSING), (LOWER_LIP_ROWS, LOWER_CLOSING)):
        for row, share in zip(rows, shares, strict=True):
            shape[list(row[1:-1]), :2] = share * opening[1:-1]
    return shape[None]


def _chin_shares(points: Tensor, lips: LipLine) -> Tensor:
    """Shares (478,) of the middle opening by which the skin under the mouth and under the nose follows the lips."""
    along, down, width = lips.frame(points[:, :2])
    lower_rim, upper_rim = down[LOWER_LIP_ROWS[0][LIP_MIDDLE]], down[UPPER_LIP_ROWS[0][LIP_MIDDLE]]
    chin, nose = down[CHIN], down[NOSE_BASE]
    smile = min(1.0, SMILING_GAP / lips.gap) if lips.gap else 1.0
    chin_share = CHIN_CLOSING * smile + CHIN_CLOSING_JAW * (1 - smile)
    beside = smoothstep(1.25 - (along / width - 0.5).abs() * 1.6)
    to_chin = ((down - lower_rim) / (chin - lower_rim)).clamp(0, 1)
    to_nose = ((upper_rim - down) / (upper_rim - nose)).clamp(0, 1)
    under = torch.lerp(torch.full_like(down, LOWER_CLOSING[0]), torch.full_like(down, chin_share), to_chin.sqrt())
    above = UPPER_CLOSING[0] * (1 - to_nose)
    line = lips.height_between(along / width)
    fade = smoothstep((down - line) / (0.25 * width))
    return beside * torch.where(down > line, under * fade, above * smoothstep((line - down) / (0.12 * width)))


def _rolling(points: Tensor, lips: LipLine) -> Tensor:
    """Displacement (1, 478, 3) of pressed lips: their rims move towards the line between them."""
    shape = torch.zeros_like(points)
    for rows, line in ((UPPER_LIP_ROWS, lips.upper), (LOWER_LIP_ROWS, lips.lower)):
        for row, share in zip(rows, ROLLING, strict=True):
            index = list(row[1:-1])
            shape[index, :2] = share * (line[1:-1] - points[index, :2])
    return shape[None]


def _tucking(points: Tensor, pose: FacePose) -> Tensor:
    """Displacement (1, 478, 3) of F and V: upper lip off the teeth, lower lip rolled in beneath them."""
    down = torch.nn.functional.normalize(points[CHIN, :2] - points[NOSE_BASE, :2], dim=0)
    shape = torch.zeros_like(points)
    arch = torch.sin(torch.linspace(0, torch.pi, len(UPPER_INNER), device=points.device))[1:-1, None]
    for row, share in zip(UPPER_LIP_ROWS, (0.55, 0.75, 0.9, 1.0), strict=True):
        shape[list(row[1:-1]), :2] = -share * TUCK_UPPER_RISE * pose.scale * arch * down
    inner = points[list(LOWER_INNER[1:-1]), :2]
    for row, share in zip(LOWER_LIP_ROWS, (0.40, 0.46, 0.28, 0.0), strict=True):
        index = list(row[1:-1])
        rolled = share * (inner - points[index, :2])
        shape[index, :2] = rolled - TUCK_LOWER_RISE * pose.scale * arch * down
    return shape[None]


# Largest amounts for a photograph of a relaxed face, beyond which it tears; see controls.py for the units.
HIGHEST = {
    "jaw": 0.27, "wide": 0.16, "pout": 0.12, "smile": 0.12, "lip_raise": 0.055, "mouth_x": 0.10,
    "brow_left": 0.12, "brow_right": 0.12, "brow_inner": 0.10, "frown": 0.10,
}  # fmt: skip
LARGEST_CLOSING = 0.30  # eye distances by which open lips are closed at most
LEAST_ROOM = 0.25  # of HIGHEST: least limit, for a mouth that is as wide, or as high, as possible at rest


@dataclass(frozen=True, eq=False)
class Room:
    """Limits of a portrait's shapes: a mouth that smiles at rest has little range left to smile more.

    Attributes:
        highest: (10,) highest amounts of the shapes in LEARNED.
        gap: opening of the lips at rest, eye distances; 0 when they are closed.
    """

    highest: Tensor
    gap: float

    def amounts(self, controls: Controls) -> Tensor:
        """Amounts of the shapes (T, N), in the order of SHAPES, for controls of T frames.

        The opening becomes gap · (1 - press) + jaw, never below zero; slightly parted lips meet when pressed.
        """
        press, tuck = controls.press.clamp(0, 1), controls.tuck.clamp(0, 1)
        change = controls.jaw - press * self.gap
        amounts = [change.clamp(min=0), *(getattr(controls, name) for name in LEARNED[1:])]
        learned = torch.stack(amounts, -1)
        lowest = learned.new_tensor([HIGHEST[name] for name in LEARNED])
        held = torch.where(learned > 0, soft_limit(learned, self.highest), soft_limit(learned, lowest))
        most = min(1.0, LARGEST_CLOSING / self.gap) if self.gap else 0.0
        close = (-change / self.gap).clamp(0, most) if self.gap else press
        return torch.cat([held, torch.stack([close, press, tuck], -1)], -1)


def find_room(face: Tensor, gap: float) -> Room:
    """The limits for a face (478, 3) in the face frame with lips open by `gap` eye distances."""
    change = measure(face[None]) - measure(face_model().mean.to(face)[None])
    nothing = torch.zeros(2, device=face.device) + 1
    taken = controls_of_measures(change, nothing)
    highest = []
    for name in LEARNED:
        used = getattr(taken, name)[0].clamp(min=0) if name in ("jaw", "wide", "smile", "lip_raise") else 0.0
        highest.append(max(HIGHEST[name] - float(used), LEAST_ROOM * HIGHEST[name]))
    return Room(face.new_tensor(highest), gap)


def soft_limit(values: Tensor, limit: Tensor | float, free: float = 2 / 3) -> Tensor:
    """Values limited to ±limit: unchanged up to the share `free` of it, then saturating smoothly."""
    inside = free * torch.as_tensor(limit, dtype=values.dtype, device=values.device)
    room = inside * (1 / free - 1)
    held = torch.maximum(torch.minimum(values, inside), -inside)
    return held + room * torch.tanh((values - held) / room)
