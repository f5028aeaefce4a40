"""Face finder with MediaPipe, an optional package.

Two passes: the detector's box, then the face mesh on upright crops of fixed framing, where the mesh is most
accurate (mesh spec, section 1).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....lp_core.faces.crop import apply_affine, cut
from ....lp_core.faces.faces import Face, NoFaceError
from ....lp_core.faces.finder import distinct
from ....lp_core.faces.refine import FaceBox

CROP = 512  # pixels
FIRST_MARGIN = 2.2  # side of the crop over a detector's box, then over the landmarks' box
UPRIGHT_MARGIN = 1.9
UPRIGHT_PASSES = 2
LEAST_CONFIDENCE = 0.3
INSTALL = "install it with `pip install mediapipe==0.10.14` (Python 3.12 or older), or use the built-in finder"


class MediapipeFinder:
    """Finds faces with MediaPipe Face Mesh (implements lp_core.faces.faces.FaceFinder).

    Raises:
        ImportError: mediapipe is not installed, or is a version without bundled models.
    """

    def __init__(self) -> None:
        solutions = _solutions()
        self._detectors = [
            solutions.face_detection.FaceDetection(model_selection=model, min_detection_confidence=LEAST_CONFIDENCE)
            for model in (1, 0)  # range up to 5 m, up to 2 m
        ]
        self._mesh = solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.2
        )

    def find(self, picture: Tensor) -> tuple[Face, ...]:
        """All faces in a picture (H, W, 3), largest first; empty when there is none."""
        placed = [self._refined(picture, place) for place in self._detected(picture)]
        faces = distinct([Face(landmarks) for landmarks in placed if landmarks is not None])
        return tuple(sorted(faces, key=lambda face: -face.eye_distance))

    def find_in(self, picture: Tensor, box: tuple[float, float, float, float]) -> Face:
        """The face inside a box (left, top, right, bottom) in pixels.

        Raises:
            NoFaceError: the mesh finds no face in the box.
        """
        left, top, right, bottom = box
        place = FaceBox((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top))
        landmarks = self._refined(picture, place)
        if landmarks is None:
            raise NoFaceError("mediapipe sees no face in the given box; use the built-in finder.", picture)
        return Face(landmarks)

    def _detected(self, picture: Tensor) -> list[FaceBox]:
        height, width = picture.shape[:2]
        found = []
        for detector in self._detectors:
            for detection in detector.process(_bytes(picture)).detections or []:
                box = detection.location_data.relative_bounding_box
                x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
                found.append(FaceBox(x, y, max(box.width * width, box.height * height)))
        return found

    def _refined(self, picture: Tensor, place: FaceBox) -> Tensor | None:
        """Landmarks (478, 3) near a face box; None when the mesh finds no face."""
        landmarks = self._look(picture, place, FIRST_MARGIN)
        for _ in range(UPRIGHT_PASSES):
            if landmarks is None:
                return None
            landmarks = self._look(picture, FaceBox.of(landmarks), UPRIGHT_MARGIN)
        return landmarks

    def _look(self, picture: Tensor, place: FaceBox, margin: float) -> Tensor | None:
        to_picture = place.to_picture(CROP, margin)
        faces = self._mesh.process(_bytes(cut(picture, to_picture, CROP).image)).multi_face_landmarks
        if not faces:
            return None
        points = torch.tensor([[point.x, point.y, point.z] for point in faces[0].landmark]) * CROP
        depth = points[:, 2:] * torch.linalg.det(to_picture[:, :2]).sqrt()
        return torch.cat([apply_affine(to_picture, points[:, :2]), depth], 1)


def _bytes(picture: Tensor) -> np.ndarray:
    return (picture.cpu() * 255).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()


def _solutions() -> Any:
    try:
        import mediapipe  # pyright: ignore[reportMissingImports] - an optional extra
    except ImportError as error:
        raise ImportError(
            f"The mediapipe finder needs the package mediapipe, which is missing; {INSTALL}."
        ) from error
    if not hasattr(mediapipe, "solutions"):
        version = getattr(mediapipe, "__version__", "installed here")
        raise ImportError(f"mediapipe {version} no longer brings its face mesh; {INSTALL}.")
    return mediapipe.solutions
