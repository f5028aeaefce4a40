"""The face model: mean mesh, displacement basis, and the pose of faces in a picture.

Convention: the face frame has x to the picture's right, y down and z away from the viewer; its unit is the distance
between the outer eye corners (landmarks 33 and 263), whose middle is the origin in x. Check: in the mean face
landmark 263 is at x = +0.5.

The mean face and the displacement basis are our own (recipe: diffpose/training/shipped/README.md): mean by
generalised Procrustes analysis of 590 tracked frames, basis by ridge regression of the landmarks' residuals on the
sixteen measures of mesh/measures.py over 19 clips, both made left-right symmetric.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor

from ..motion.keypoints import nearest_rotation

# Landmarks that do not move in speech and blinks: forehead, temples, nose bridge, eye corners.
STABLE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 127, 162, 21, 54, 103, 67, 109, 234, 168, 6, 197, 195, 5, 33, 133,
    362, 263, 9, 8, 151, 108, 337, 107, 336, 69, 299, 104, 333, 68, 298, 193, 417, 122, 351, 196, 419,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FaceModel:
    """The mean face and its displacement basis.

    Attributes:
        mean: (478, 3) in the face frame.
        basis: (16, 478, 3) displacement for one unit of each measure, in the order of MEASURES.
        mirror: (478,) index of each landmark's mirror image.
    """

    mean: Tensor
    basis: Tensor
    mirror: Tensor


@dataclass(frozen=True, eq=False)
class FacePose:
    """The pose of T faces in the picture: picture = scale · points @ rotation + translation.

    Attributes:
        scale: (T,) pixels per eye distance.
        rotation: (T, 3, 3) for row vectors.
        translation: (T, 3) pixels.
    """

    scale: Tensor
    rotation: Tensor
    translation: Tensor

    def to_picture(self, points: Tensor) -> Tensor:
        """Points (T, N, 3) of the face frame, transformed to picture pixels."""
        return self.scale[:, None, None] * (points @ self.rotation) + self.translation[:, None]

    def to_face(self, landmarks: Tensor) -> Tensor:
        """Landmarks (T, N, 3) in picture pixels, transformed to the face frame."""
        return ((landmarks - self.translation[:, None]) @ self.rotation.mT) / self.scale[:, None, None]


@cache
def face_model() -> FaceModel:
    """The model shipped with the pack."""
    from safetensors.torch import load_file

    tensors = load_file(Path(__file__).with_name("face_model.safetensors"))
    return FaceModel(tensors["mean"].float(), tensors["basis"].float(), tensors["mirror"])


def fit_pose(landmarks: Tensor) -> FacePose:
    """The pose of T faces (T, 478, 3): the similarity from the mean face's stable points to theirs.

    Least squares by Umeyama (1991), equations 40 to 43.
    """
    model = face_model().mean.to(landmarks)[list(STABLE)]
    seen = landmarks[:, list(STABLE)]
    model_middle, seen_middle = model.mean(0), seen.mean(1)
    centred = model - model_middle
    covariance = centred.T @ (seen - seen_middle[:, None])
    rotation = nearest_rotation(covariance)
    scale = (rotation * covariance).sum((1, 2)) / centred.square().sum()
    return FacePose(scale, rotation, seen_middle - scale[:, None] * (model_middle @ rotation))
