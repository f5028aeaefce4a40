"""LoadPortrait: a picture with a face, made ready to move."""

from typing import Any

import torch
from torch import Tensor

from ..lp_core.choice import RENDERERS, automatic_renderer
from ..lp_core.compute.acceleration import ACCELERATIONS
from ..lp_core.compute.compute import Compute
from ..lp_core.faces.crop import CropOptions, apply_affine
from ..lp_core.faces.faces import ORDERS, BoxFinder, Face, box_of_mask, ordered
from ..lp_core.faces.search import find_faces
from ..lp_core.media.picture import limited
from ..lp_core.render.portrait import Portrait
from . import host
from .node import Node
from .option_inputs import OptionInputs, same_names
from .page import FACES, faces_shown, tell_renderer
from .wires import mask_of, picture_of

Box = tuple[float, float, float, float]
LANDMARK_COLOUR = (0.1, 1.0, 0.4)

CROP = OptionInputs(
    CropOptions, {"crop_scale": "scale", "crop_x": "shift_x", "crop_y": "shift_y", "upright": "upright"}
)
COMPUTE = OptionInputs(
    Compute,
    same_names("precision", "acceleration"),
    {"precision": {"help": (
        "Number format of the liveportrait renderer: auto is fp16 on CUDA, bf16 on CPUs with native bf16 and fp32 "
        "elsewhere. fp32 is the most exact; use it where fp16 overflows."
    )}},
)  # fmt: skip


class LoadPortrait(Node):
    """An IMAGE to a PORTRAIT."""

    DESCRIPTION = "Detects a face in a photo, painting or generated image and prepares it for animation."
    SEARCH_ALIASES = ("talking head", "face crop", "liveportrait source", "find face")
    HAS_INTERMEDIATE_OUTPUT = True  # newer versions show the preview again when the node is taken from the cache
    RETURN_TYPES = ("PORTRAIT", "IMAGE", "INT")
    RETURN_NAMES = ("portrait", "preview", "face_count")
    OUTPUT_TOOLTIPS = (
        "The prepared face, for LivePortraitRender.",
        "The face crop with the detected landmarks drawn on it, for checking.",
        "Number of detected faces; one when face_box or mask marks the face.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "image": ("IMAGE", {"tooltip": "Image with a face; only the first image of a batch is used."}),
                "renderer": (list(RENDERERS), {"default": "auto", "tooltip": (
                    "Renderer of the frames. mesh warps the picture and needs no download; liveportrait uses "
                    "LivePortrait's networks; auto uses the best renderer with installed weights."
                )}),
                "face_order": (list(ORDERS), {"default": ORDERS[0], "tooltip": (
                    "Order in which several detected faces are numbered."
                )}),
                "face_index": ("INT", {"default": 0, "min": 0, "max": 99, "tooltip": (
                    "Index of the face in face_order, counted from 0."
                )}),
                "face_box": ("STRING", {"default": "", "tooltip": (
                    "Face box as left, top, right, bottom in pixels of the picture, such as 120, 80, 340, 360. "
                    "Empty: the face is detected. Set it when detection fails."
                )}),
                "longest_side": ("INT", {"default": 1024, "min": 64, "max": 8192, "step": 8, "tooltip": (
                    "Larger pictures are shrunk to this many pixels on their longer side. Frames have this size, "
                    "and each costs 12 bytes a pixel of memory."
                )}),
                **CROP.widgets(),
                "animal": ("BOOLEAN", {"default": False, "tooltip": (
                    "The picture shows an animal: LivePortrait's networks for animals draw it. face_box or the "
                    "mask must mark the face."
                )}),
                **COMPUTE.widgets("precision"),
            },
            "optional": {
                "mask": ("MASK", {"tooltip": (
                    "Mask painted over the face, which marks its position. An empty mask is ignored."
                )}),
                **COMPUTE.widgets("acceleration"),
            },
        }  # fmt: skip

    @classmethod
    def IS_CHANGED(cls, renderer: str | None, animal: bool | None = False, **_others: Any) -> str | None:
        """What changes when weights came or went, so that `auto` takes another renderer."""
        if renderer != "auto":
            return renderer
        return automatic_renderer(host.model_folders("liveportrait"), bool(animal))[0]

    def run(
        self,
        image: Tensor,
        renderer: str,
        face_order: str,
        face_index: int,
        face_box: str,
        longest_side: int,
        animal: bool,
        precision: str,
        mask: Tensor | None = None,
        acceleration: str = ACCELERATIONS[0],
        **framing: Any,
    ) -> dict[str, Any]:
        """The portrait, its crop with landmarks (1, 512, 512, 3) and how many faces the page is shown."""
        whole = picture_of(image)
        picture = limited(whole, longest_side)
        shrunk = len(picture) / len(whole)
        box = _box(face_box, shrunk) or _box_of_wire(mask, picture)
        if animal and box is None:
            raise ValueError("An animal's face is not looked for: give face_box, or a mask painted over it.")
        faces = find_faces(picture, BoxFinder() if animal else None, box)
        counted = _counted(faces, face_order, face_index)
        drawn_by = "liveportrait" if animal and renderer == "auto" else renderer
        drawer = host.renderer(drawn_by, animal, host.compute(precision, acceleration))
        tell_renderer(drawn_by, animal)
        portrait = drawer.portrait(picture, counted[face_index], CROP.value(framing))
        preview = _crop_with_landmarks(portrait)
        shown = faces_shown(picture, counted, face_index, portrait, 1 / shrunk)
        return {"ui": {FACES: shown}, "result": (portrait, preview[None], len(faces))}


def _box(text: str, shrunk: float) -> Box | None:
    """The box that a text names, in pixels of the shrunk picture; None when the text is empty."""
    if not text.strip():
        return None
    try:
        left, top, right, bottom = (float(part) * shrunk for part in text.replace(",", " ").split())
    except ValueError as error:
        raise ValueError(
            f"The face box is {text!r}; give left, top, right, bottom in pixels, such as 120, 80, 340, 360."
        ) from error
    return left, top, right, bottom


def _box_of_wire(mask: Tensor | None, picture: Tensor) -> Box | None:
    """The box around what a MASK (B, h, w) marks; None without a mask or with an empty one, LoadImage's default."""
    fitted = mask_of(mask, picture)
    return None if fitted is None or not (fitted > 0.5).any() else box_of_mask(fitted)


def _counted(faces: tuple[Face, ...], order: str, index: int) -> tuple[Face, ...]:
    """The faces in the order they are counted in, of which there is one with the index."""
    if index >= len(faces):
        raise ValueError(
            f"The picture has {len(faces)} face{'s' * (len(faces) > 1)}; face_index {index} is beyond them: "
            f"give 0 … {len(faces) - 1}."
        )
    return ordered(faces, order)


def _crop_with_landmarks(portrait: Portrait) -> Tensor:
    """The portrait's crop (512, 512, 3) with a dot of 2×2 pixels on each landmark."""
    drawn = portrait.crop.image.cpu().clone()
    size = drawn.shape[0]
    points = apply_affine(portrait.crop.to_crop.cpu(), portrait.landmarks[:, :2].cpu()).floor().long()
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = points[:, 0] + dx, points[:, 1] + dy
        inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
        drawn[y[inside], x[inside]] = torch.tensor(LANDMARK_COLOUR)
    return drawn
