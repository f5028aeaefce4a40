"""The prepared data that a portrait is drawn from.

The working square is upright around the head regardless of the crop's framing, WORK_SIZE pixels a side: landmarks,
control points and fields are kept in its pixels, so that the drawing does not depend on the size of the picture.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ..faces.crop import Crop, CropOptions, crop_to_picture, cut, invert_affine
from ..faces.face_model import FacePose, fit_pose
from ..faces.mesh_points import EYES, LOWER_INNER, LOWER_LIP, UPPER_INNER, UPPER_LIP
from .creases import Shading, find_shading
from .depth import smooth_depth
from .eyes import Eye, EyeLayer, eye_layer, find_eye
from .lips import LipLine, find_lip_line
from .measures import measure
from .mouth import Mouth, find_mouth
from .palette import find_palette
from .rig import Rig, Room, build_rig, find_room
from .sheet import Grid, Sheet, spread, thin_plate_kernel
from .view import View, view_of

WORK_SIZE = 512  # pixels
GRID = Grid(WORK_SIZE, 96)
CREASE_GRID = Grid(WORK_SIZE, 256)
# Twice the head: beyond it nothing moves.
FRAMING = CropOptions(scale=2.75, shift_y=-0.06)


CROP_RAMP = 48  # pixels over which motion fades out at the borders of a crop drawn by itself


@dataclass(frozen=True, eq=False)
class Canvas:
    """A view, and the layers of the eyes at its resolution."""

    view: View
    eyes: tuple[EyeLayer | None, ...]


@dataclass(frozen=True, eq=False)
class Drawing:
    """A face prepared for drawing; lengths in pixels of the working square.

    Attributes:
        picture: (H, W, 3) the photograph.
        crop: the crop of the portrait, for frames without the picture around it.
        to_picture: (2, 3) from the working square to the picture.
        pose: pose of the face in the working square.
        rig: control points and shapes.
        room: limits of the shapes.
        upper: sheet of all control points but the lower lip's.
        lower: sheet of all control points but the upper lip's.
        shading: creases of the skin.
        mouth: data of the mouth.
        eyes: left and right eye.
    """

    picture: Tensor
    crop: Crop
    to_picture: Tensor
    pose: FacePose
    rig: Rig
    room: Room
    upper: Sheet
    lower: Sheet
    shading: Shading
    mouth: Mouth
    eyes: tuple[Eye, ...]

    @property
    def unit(self) -> float:
        """Pixels per eye distance."""
        return float(self.pose.scale)

    @cached_property
    def on_picture(self) -> Canvas:
        """The canvas of the whole picture."""
        return self._canvas(self.picture, invert_affine(self.to_picture), 0)

    @cached_property
    def on_crop(self) -> Canvas:
        """The canvas of the crop by itself, with fixed borders so that it can be pasted."""
        return self._canvas(self.crop.image, self.crop_to_work, CROP_RAMP)

    @cached_property
    def crop_to_work(self) -> Tensor:
        """(2, 3) from pixels of the portrait's crop to those of the working square."""
        return compose(invert_affine(self.to_picture), self.crop.to_picture)

    def _canvas(self, image: Tensor, to_work: Tensor, ramp: int) -> Canvas:
        view = view_of(image, to_work, GRID, ramp)
        return Canvas(view, tuple(eye_layer(eye, view) for eye in self.eyes))


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """The composition (2, 3) of two affine maps, `inner` applied first."""
    return torch.cat([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2:] + outer[:, 2:]], 1)


def prepare(picture: Tensor, landmarks: Tensor, crop: Crop) -> Drawing:
    """The drawing of a face with landmarks (478, 3) in a picture (H, W, 3), on the picture's device."""
    to_picture = working_square(landmarks)
    image = cut(picture, to_picture, WORK_SIZE).image.permute(2, 0, 1)[None]
    points = in_square(landmarks, to_picture)
    pose = fit_pose(points[None])
    face = pose.to_face(points[None])
    lips = find_lip_line(image, points, float(measure(face)[0, 0]))
    rig, upper, lower = _sheets(points, pose, lips)
    return Drawing(
        picture=picture,
        crop=crop,
        to_picture=to_picture,
        pose=pose,
        rig=rig,
        room=find_room(face[0], lips.gap),
        upper=upper,
        lower=lower,
        shading=find_shading(points, float(pose.scale), CREASE_GRID),
        mouth=find_mouth(points, lips, find_palette(image, points)),
        eyes=tuple(find_eye(image, points, named, float(pose.scale)) for named in EYES),
    )


def working_square(landmarks: Tensor) -> Tensor:
    """The map (2, 3) from pixels of the working square to picture pixels, for landmarks (478, 3)."""
    around = crop_to_picture(landmarks, FRAMING, WORK_SIZE)
    # crop.framing puts pixel (size / 2) at the middle, as LivePortrait does; here a mirrored face must give the
    # mirrored square, so the middle is between the two middle pixels.
    centred = around.clone()
    centred[:, 2] += 0.5 * around[:, :2].sum(1)
    return centred


def in_square(points: Tensor, to_picture: Tensor) -> Tensor:
    """Landmarks (478, 3) of the picture, transformed to the working square; their depth is scaled equally."""
    to_work = invert_affine(to_picture)
    scale = torch.linalg.det(to_work[:, :2]).abs().sqrt()
    flat = points[:, :2] @ to_work[:, :2].T + to_work[:, 2]
    return torch.cat([flat, points[:, 2:] * scale], 1)


def _sheets(points: Tensor, pose: FacePose, lips: LipLine) -> tuple[Rig, Sheet, Sheet]:
    """The rig, its depth smoothed, and the sheets of the upper and the lower lip."""
    rough = build_rig(points, pose, lips, WORK_SIZE)
    positions = rough.points[:, :2].clone()
    positions[list(UPPER_INNER)] = lips.upper
    positions[list(LOWER_INNER)] = lips.lower
    kernel = thin_plate_kernel(GRID.places(points.device).flatten(0, 1), positions)
    depth = smooth_depth(GRID, positions, rough.points[:, 2], kernel, float(pose.scale))
    z = GRID.read(depth, rough.points[None, None, :, :2])[0, 0, 0]
    rig = replace(rough, points=torch.cat([rough.points[:, :2], z[:, None]], 1))

    def sheet(without: frozenset[int]) -> Sheet:
        chosen = [index for index in range(len(positions)) if index not in without]
        return spread(rig, torch.tensor(chosen, device=points.device), positions, GRID, kernel)

    return rig, sheet(LOWER_LIP), sheet(UPPER_LIP)
