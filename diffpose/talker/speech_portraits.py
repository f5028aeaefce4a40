"""Live Speech Portraits' own landmarks: its mouth network, and what is done to 73 face landmarks afterwards.

For users who have such files of a person. Lu, Chai and Cao 2021, "Live Speech Portraits", section 3.2 and the
released code. Landmarks (T, 73, 3) have x right, y up, z towards the viewer. Check: a mouth is crossed when all
three lower inner points are above the upper ones.
"""

import torch
from torch import Tensor, nn

from ...lp_core.liveportrait.nets.blocks import PublishedNetwork, Shapes

UPPER_LIP = (46, 47, 48, 49, 50, 51, 52, 61, 62, 63)
LOWER_LIP = (53, 54, 55, 56, 57, 58, 59, 60)
UPPER_INNER, LOWER_INNER = (63, 62, 61), (58, 59, 60)  # facing each other
UPPER_OUTER, LOWER_OUTER = (47, 48, 49, 50, 51), (53, 54, 55, 56, 57)
MOUTH_POINTS = 25  # jaw 4 … 10 and mouth 46 … 63
DELAY = 18  # frames of 60 a second by which the mouth network hears ahead
SLOPE = 0.2
HIDDEN = 256


class MouthNetwork(PublishedNetwork):
    """Pairs of speech features to displacements of 25 mouth and jaw points from a person's mean face."""

    published_name = "Audio2Feature"
    title = "mouth network (Audio2Feature)"
    signature = "LSTM.weight_ih_l0"

    def __init__(self, features: int = 512, outputs: int = 3 * MOUTH_POINTS) -> None:
        super().__init__()
        self.downsample = nn.Sequential(
            nn.Linear(2 * features, 512), nn.BatchNorm1d(512), nn.LeakyReLU(SLOPE), nn.Linear(512, 512)
        )
        self.LSTM = nn.LSTM(512, HIDDEN, num_layers=3, batch_first=True)
        self.fc = nn.Sequential(
            nn.Linear(HIDDEN, 512), nn.BatchNorm1d(512), nn.LeakyReLU(SLOPE),
            nn.Linear(512, 512), nn.BatchNorm1d(512), nn.LeakyReLU(SLOPE),
            nn.Linear(512, outputs),
        )  # fmt: skip

    @classmethod
    def for_shapes(cls, shapes: Shapes) -> "MouthNetwork":
        """See `PublishedNetwork`."""
        return cls(shapes["downsample.0.weight"][1] // 2, shapes["fc.6.weight"][0])

    def forward(self, features: Tensor) -> Tensor:
        """Displacements (T, 25, 3) of pairs of features (T, 2 · feature); the end hears the last feature held."""
        last = features[-1:].chunk(2, -1)[1]
        heard = torch.cat([features, torch.cat([last, last], -1).expand(DELAY, -1)])
        recurrent, _ = self.LSTM(self.downsample(heard)[None])
        return self.fc(recurrent[0, DELAY:]).unflatten(-1, (-1, 3))


def scale_lips(landmarks: Tensor, upper: tuple[float, float, float], lower: tuple[float, float, float]) -> Tensor:
    """Mouth displacements (T, 73, 3) with the upper and the lower lip multiplied by axis.

    Equal gains are the original's "XYZ", different ones its "LowerMore".
    """
    scaled = landmarks.clone()
    scaled[:, list(UPPER_LIP)] *= torch.tensor(upper)
    scaled[:, list(LOWER_LIP)] *= torch.tensor(lower)
    return scaled


def uncross_mouth(landmarks: Tensor) -> Tensor:
    """Landmarks (T, 73, 3) in which crossed lips are moved apart, each by half of the gap.

    The outer lips follow by the mean half gap over all crossed frames.
    """
    upper, lower = landmarks[:, list(UPPER_INNER), 1], landmarks[:, list(LOWER_INNER), 1]
    crossed = (lower > upper).all(-1)
    if not crossed.any():
        return landmarks
    half = (lower - upper)[crossed] / 2
    moved = landmarks[crossed].clone()
    moved[:, list(UPPER_INNER), 1] += half
    moved[:, list(LOWER_INNER), 1] -= half
    moved[:, list(UPPER_OUTER), 1] += half.mean()
    moved[:, list(LOWER_OUTER), 1] -= half.mean()
    return landmarks.masked_scatter(crossed[:, None, None], moved)


def project_points(points: Tensor, angles: Tensor, place: Tensor, scale: float, camera: Tensor) -> Tensor:
    """Pixels (N, 2) of points (N, 3) that are turned by degrees (3,) about x, y, z and put at `place` (3,).

    The camera is a matrix (3, 3) of pixels.
    p = K (scale · R P + t), R = Rz Ry Rx on column vectors.
    """
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", angles.double().numpy(), degrees=True).as_matrix()
    seen = (scale * points.double() @ torch.from_numpy(turn).T + place.double()) @ camera.double().T
    return (seen[:, :2] / seen[:, 2:]).to(points)
