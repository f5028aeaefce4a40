"""The mesh renderer: a photograph warped at its own resolution, with the mouth and eyeballs drawn behind it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..faces.crop import Crop, CropOptions, crop_to_picture, cut
from ..faces.face_model import face_model, fit_pose
from ..faces.faces import Face
from ..faces.mesh_points import KEYPOINT_LANDMARKS
from ..motion.controls import Controls, from_expression, to_expression
from ..motion.keypoints import rotation_degrees, rotation_matrix
from ..motion.sequence import MotionFrame, MotionSequence
from ..render.portrait import Portrait, RenderOptions
from .drawing import Canvas, Drawing, in_square, prepare
from .eyes import eye_motion
from .measures import measure
from .painting import Moves, paint
from .rig import NECK, HeadMotion, soft_limit

UNITS_PER_EYE_DISTANCE = 2.4  # keypoint units: makes the rest scale of a usual crop about 1.3, as LivePortrait's
PIXELS_AT_ONCE = 4 * 512 * 512  # frames are drawn in groups of at most this many pixels, which fit the cache

FARTHEST_TURN = 15.0  # degrees from the photograph
FARTHEST_SHIFT = 0.22  # eye distances; beyond, the head is compressed against the fixed background
LARGEST_ZOOM = 0.08  # of the logarithm of the scale


@dataclass(frozen=True)
class MeshRenderer:
    """A renderer without network weights; implements render.portrait.Renderer.

    Attributes:
        device: device of the prepared portraits and of the frames.
    """

    device: torch.device | str = "cpu"

    @property
    def name(self) -> str:
        """Name of the renderer in options and messages."""
        return "mesh"

    def portrait(self, picture: Tensor, face: Face, framing: CropOptions | None = None) -> Portrait:
        """The portrait of one face in a picture (H, W, 3)."""
        own = picture.to(self.device, torch.float32)
        landmarks = face.landmarks.to(self.device, torch.float32)
        with torch.no_grad():
            crop = cut(own, crop_to_picture(landmarks, framing or CropOptions()))
            return Portrait(
                picture=own,
                crop=crop,
                landmarks=landmarks,
                keypoints=canonical_keypoints(landmarks, crop),
                rest=rest_frame(landmarks, crop),
                renderer=self,
                drawing=prepare(own, landmarks, crop),
            )

    def draw(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Tensor:
        """Frames (T, H, W, 3) in 0…1 of a portrait; `motion` holds its own, absolute poses and expressions."""
        drawing: Drawing = portrait.drawing
        with torch.no_grad():
            controls = from_expression(motion.expression.to(self.device) - portrait.rest.expression)
            head = head_motion(drawing, portrait.rest, motion)
            if not options.paste_back:
                return _frames(drawing, drawing.on_crop, controls, head)
            frames = _frames(drawing, drawing.on_picture, controls, head)
            return frames if options.mask is None else _masked(portrait.picture, frames, options.mask)


def _masked(picture: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    """Frames (T, H, W, 3) where the mask (H, W) is one, the picture (H, W, 3) where it is zero."""
    if mask.shape != picture.shape[:2]:
        raise ValueError(
            f"The mask has shape {tuple(mask.shape)}; give it the picture's, {tuple(picture.shape[:2])}."
        )
    return torch.lerp(picture, frames, mask.to(frames)[..., None])


def rest_frame(landmarks: Tensor, crop: Crop) -> MotionFrame:
    """The pose of a face with landmarks (478, 3) in picture pixels, in units of a crop.

    Convention: keypoints.transform's, with the neck as the origin of the canonical keypoints, so that a rotation
    alone turns the head about its neck: position = scale · (face point - NECK) / 2.4 @ R + translation. The
    expression is the opening of the mouth only; other differences between a face at rest and the mean face are
    treated as identity, not as expression.
    """
    points = in_square(landmarks, crop.to_picture)
    half = len(crop.image) / 2
    pose = fit_pose(points[None])
    neck = pose.to_picture(points.new_tensor(NECK)[None, None])[0, 0]
    mean = face_model().mean.to(points)
    opened = measure(pose.to_face(points[None]))[:, 0] - measure(mean[None])[:, 0]
    middle = half - 0.5
    return MotionFrame(
        expression=to_expression(Controls.still(1, jaw=opened.cpu())).to(points)[0],
        rotation=rotation_degrees(pose.rotation[0]),
        scale=pose.scale / half * UNITS_PER_EYE_DISTANCE,
        translation=torch.cat([(neck[:2] - middle) / half, neck.new_zeros(1)]),
    )


def canonical_keypoints(landmarks: Tensor, crop: Crop) -> Tensor:
    """The canonical keypoints (21, 3) of a face: its corresponding landmarks, relative to the neck."""
    points = in_square(landmarks, crop.to_picture)
    face = fit_pose(points[None]).to_face(points[None])[0, list(KEYPOINT_LANDMARKS)]
    return (face - face.new_tensor(NECK)) / UNITS_PER_EYE_DISTANCE


def head_motion(drawing: Drawing, rest: MotionFrame, motion: MotionSequence) -> HeadMotion:
    """The head's motion in the working square, limited to what can be drawn from one photograph."""
    device = rest.rotation.device
    turn = rotation_matrix(rest.rotation).mT @ rotation_matrix(motion.rotation.to(device))
    half = len(drawing.crop.image) / 2
    linear = drawing.crop_to_work[:, :2]
    axes = torch.eye(3, device=device)
    axes[:2, :2] = linear / torch.linalg.det(linear).abs().sqrt()
    shift = (motion.translation.to(device) - rest.translation)[:, :2] * half @ linear.T
    length = shift.norm(dim=1, keepdim=True).clamp(min=1e-6)
    zoom = (motion.scale.to(device)[:, 0] / rest.scale).clamp(min=1e-3).log()
    return HeadMotion(
        turn=axes @ _held_back(turn) @ axes.mT,
        scale=soft_limit(zoom, LARGEST_ZOOM).exp(),
        shift=shift * soft_limit(length, FARTHEST_SHIFT * drawing.unit) / length,
    )


def _held_back(turn: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about the same axes, limited to FARTHEST_TURN (Rodrigues' formula)."""
    skew = (turn - turn.mT) / 2
    sine = skew.flatten(1).norm(dim=1) / 2**0.5
    cosine = (turn.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2
    angle = soft_limit(torch.rad2deg(torch.atan2(sine, cosine)), FARTHEST_TURN).deg2rad()[:, None, None]
    axis = skew / sine.clamp(min=1e-6)[:, None, None]
    return torch.eye(3, device=turn.device) + angle.sin() * axis + (1 - angle.cos()) * (axis @ axis)


def _frames(drawing: Drawing, canvas: Canvas, controls: Controls, head: HeadMotion) -> Tensor:
    """Frames (T, H, W, 3), drawn in groups that fit the cache and the memory."""
    moves = Moves(drawing.room.amounts(controls), controls.tongue, head, eye_motion(controls))
    view = canvas.view
    frames = view.texture[0].permute(1, 2, 0).expand(len(controls), -1, -1, -1).clone()
    group = max(1, PIXELS_AT_ONCE // max(1, view.square.height * view.square.width))
    for start in range(0, len(frames), group):
        stretch = slice(start, start + group)
        paint(drawing, canvas, moves[stretch], frames[stretch])
    return frames
