"""LivePortrait's 203 landmarks, by its optional ONNX network; needs the file and onnxruntime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..faces.crop import CropOptions, apply_affine, crop_to_picture, cut

POINTS = 203
VIEW_SIDE = 224  # pixels a side of the network's input
VIEW = CropOptions(scale=1.5, shift_y=-0.1)
OUTPUT = 2  # the network's third output has the points


class Session(Protocol):
    """The part of onnxruntime's InferenceSession that is used."""

    def get_inputs(self) -> Sequence[Any]:
        """The inputs, each with a name."""
        ...

    def run(self, output_names: None, input_feed: dict[str, Any]) -> Sequence[Any]:
        """All outputs, as numpy arrays."""
        ...


class DenseLandmarks:
    """Predicts 203 landmarks of a face that was already found.

    Args:
        session: onnxruntime session of the network.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @classmethod
    def load(cls, path: Path) -> "DenseLandmarks":
        """Loads the network from an ONNX file, to run on the CPU.

        Raises:
            ImportError: onnxruntime is not installed.
        """
        from onnxruntime import InferenceSession  # pyright: ignore[reportMissingImports]

        return cls(InferenceSession(str(path), providers=["CPUExecutionProvider"]))

    def find(self, picture: Tensor, around: Tensor) -> Tensor:
        """Landmarks (203, 2) in pixels of a picture (H, W, 3), on the CPU.

        Args:
            picture: RGB in 0…1.
            around: landmarks (N, 2 or 3) of the face, of any known layout.
        """
        to_picture = crop_to_picture(around.cpu(), VIEW, VIEW_SIDE)
        view = cut(picture, to_picture.to(picture.device), VIEW_SIDE, outside="zeros").image.cpu()
        name = self._session.get_inputs()[0].name
        found = self._session.run(None, {name: view.permute(2, 0, 1)[None].numpy()})[OUTPUT]
        points = torch.as_tensor(found, dtype=torch.float32).reshape(POINTS, 2) * VIEW_SIDE
        return apply_affine(to_picture, points)
