"""The 478 landmarks of a face in a picture."""

from dataclasses import dataclass

from torch import Tensor

LANDMARKS = 478  # MediaPipe Face Mesh's numbering, irises included
OUTER_EYE_CORNERS = (33, 263)


@dataclass(frozen=True, eq=False)
class Face:
    """A face with its landmarks.

    Attributes:
        landmarks: (478, 3) in picture pixels; z has the same unit, away from the viewer, without a fixed origin.
        score: confidence of the finder, 0…1.
    """

    landmarks: Tensor
    score: float = 1.0

    def __post_init__(self) -> None:
        if tuple(self.landmarks.shape) != (LANDMARKS, 3):
            raise ValueError(f"A face has {LANDMARKS} landmarks (478, 3); got {tuple(self.landmarks.shape)}.")

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in picture pixels."""
        low, high = self.landmarks[:, :2].amin(0), self.landmarks[:, :2].amax(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def eye_distance(self) -> float:
        """Pixels between the outer eye corners: the unit of mouth and brow controls."""
        left, right = OUTER_EYE_CORNERS
        return float((self.landmarks[left] - self.landmarks[right]).norm())
