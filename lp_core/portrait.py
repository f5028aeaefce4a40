"""The portrait (one face of one picture, prepared once and asked for many frames) and who prepares and draws it."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from .crop import Crop, CropOptions
from .face import Face
from .keypoints import KEYPOINTS
from .motion import MotionFrame, MotionSequence


@dataclass(frozen=True)
class RenderOptions:
    """How frames are drawn; the defaults are neutral.

    Attributes:
        batch_size: frames drawn at once, 1…64.
        paste_back: frames are the whole picture; otherwise the 512 crop alone.
        relative: motion is added to the portrait's own pose and expression; otherwise it replaces them.
    """

    batch_size: int = 8
    paste_back: bool = True
    relative: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= 64:
            raise ValueError(f"The batch size is {self.batch_size}; give 1 … 64 frames.")


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture with a face that its renderer can move.

    Attributes:
        picture: (H, W, 3) RGB in 0…1.
        crop: the square around the face, with its map to the picture.
        landmarks: (478, 3) in picture pixels.
        keypoints: (21, 3) canonical keypoints, unrotated, in crop units before scaling.
        rest: the portrait's own pose and expression.
        renderer: the renderer that prepared it and draws it.
        drawing: what that renderer draws from; of no meaning to others.
    """

    picture: Tensor
    crop: Crop
    landmarks: Tensor
    keypoints: Tensor
    rest: MotionFrame
    renderer: "Renderer"
    drawing: Any

    def __post_init__(self) -> None:
        if self.picture.ndim != 3 or self.picture.shape[-1] != 3:
            raise ValueError(f"A portrait's picture is (H, W, 3); got {tuple(self.picture.shape)}.")
        if tuple(self.keypoints.shape) != (KEYPOINTS, 3):
            raise ValueError(f"A portrait has {KEYPOINTS} keypoints (21, 3); got {tuple(self.keypoints.shape)}.")


class Renderer(Protocol):
    """Prepares portraits and draws them."""

    @property
    def name(self) -> str:
        """What the renderer is called in options and messages."""
        ...

    def portrait(self, picture: Tensor, face: Face, framing: CropOptions = ...) -> Portrait:
        """The portrait of one face in a picture (H, W, 3)."""
        ...

    def draw(self, portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> Tensor:
        """Frames (T, H, W, 3) in 0…1 of a portrait in the poses and expressions of `motion`, which are its own."""
        ...
