"""What LivePortrait's own pipeline gave, as values of this pack, and renderers with synthetic weights."""

import json
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from synthetic_weights import GOLDEN, _draw, _normalised, network
from torch import Tensor

from talking_head.lp_core.faces.crop import Crop, CropOptions, crop_to_picture, cut
from talking_head.lp_core.faces.layouts import eye_ratios, lip_ratio
from talking_head.lp_core.liveportrait.checkpoint import build_network
from talking_head.lp_core.liveportrait.entries import ANIMAL, HUMAN
from talking_head.lp_core.liveportrait.nets.appearance import AppearanceExtractor
from talking_head.lp_core.liveportrait.nets.decoder import SpadeDecoder
from talking_head.lp_core.liveportrait.nets.motion_extractor import MotionExtractor
from talking_head.lp_core.liveportrait.nets.stitching import StitchingNetworks
from talking_head.lp_core.liveportrait.nets.warping import WarpingNetwork
from talking_head.lp_core.liveportrait.networks import Networks
from talking_head.lp_core.liveportrait.renderer import LivePortraitRenderer, SourceFeatures, network_view
from talking_head.lp_core.motion.keypoints import angle_degrees, neutral_expression, rotation_degrees, transform
from talking_head.lp_core.motion.retarget import measured_from
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.render.portrait import Portrait

CLASSES = (AppearanceExtractor, MotionExtractor, WarpingNetwork, SpadeDecoder, StitchingNetworks)
REGIONS = {"all": "all", "exp": "expression", "pose": "pose", "lip": "lips", "eyes": "eyes"}  # the original's names

# The published resolutions with few channels, so that a frame takes hundredths of a second.
SMALL = {
    AppearanceExtractor: {"widths": (4, 4, 8), "channels": 4, "depth": 2, "residual_blocks": 1},
    MotionExtractor: {"widths": (8, 8, 8, 8), "blocks": (1, 1, 1, 1), "heads": (63, 1, 66, 66, 66, 3, 63)},
    WarpingNetwork: {
        "volume": (4, 2), "features": 8, "keypoints": 21, "compressed": 1,
        "widths": (4, 4), "decoder_widths": (4, 4),
    },
    SpadeDecoder: {"features": 8, "width": 8, "middle": 1, "ups": (8, 4), "hidden": 4, "upscale": 2},
    StitchingNetworks: {},
}  # fmt: skip


@lru_cache
def golden(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / f"{name}.safetensors")


@lru_cache
def configurations(name: str) -> dict[str, dict]:
    return json.loads((GOLDEN / f"{name}_configs.json").read_text())


def full_networks() -> Networks:
    """The full-size networks with the weights that the goldens were made with; renderers prepare them in place."""
    return Networks(*(deepcopy(network(network_class)) for network_class in CLASSES))


def small_networks() -> Networks:
    """Small networks with weights by the same recipe; they take and give the same sizes."""
    return Networks(*(_small(network_class) for network_class in CLASSES))


def write_small_weights(folder: Path, animals: bool = False) -> Path:
    """The small networks as a models folder has them, under the published names; gives the folder."""
    for entry, network_class in zip(ANIMAL if animals else HUMAN, CLASSES, strict=True):
        place = folder / entry.places[0]
        place.parent.mkdir(parents=True, exist_ok=True)
        save = save_file if place.suffix == ".safetensors" else torch.save
        save(_small_state(network_class), place)
    return folder


def _small(network_class):
    return build_network(_small_state(network_class), network_class, "small weights")


@lru_cache
def _small_state(network_class) -> dict[str, Tensor]:
    shapes = {key: tuple(value.shape) for key, value in network_class(**SMALL[network_class]).state_dict().items()}
    parts = {"retarget_shoulder": "stitching", "retarget_mouth": "lip", "retarget_eye": "eye"}
    drawn = {}
    for key, shape in shapes.items():
        module = parts.get(key.split(".")[0], network_class.published_name)
        if not key.endswith("weight_v"):
            drawn[key] = _draw(module, key, shape)
    for key in shapes:
        if key.endswith("weight_v"):
            matrix = drawn[f"{key[:-2]}_orig"].reshape(shapes[f"{key[:-2]}_orig"][0], -1)
            drawn[key] = _normalised(matrix.T @ drawn[f"{key[:-2]}_u"])
    return {key: torch.from_numpy(drawn[key]) for key in shapes}


@lru_cache
def keypoint_renderer() -> LivePortraitRenderer:
    """A renderer whose motion and stitching networks are full-size and whose pictures mean nothing."""
    small = small_networks()
    return LivePortraitRenderer(
        replace(small, motion=network(MotionExtractor), stitching=network(StitchingNetworks))
    )


def driver(prefix: str) -> MotionSequence:
    """A golden template's motion, measured from its first frame as the original does."""
    stored = golden("pipeline_motion")
    motion = MotionSequence(
        expression=stored[f"{prefix}.exp"],
        rotation=rotation_degrees(stored[f"{prefix}.R"].double()).float(),
        scale=stored[f"{prefix}.scale"],
        translation=stored[f"{prefix}.t"],
        fps=Fraction(25),
        rest=MotionFrame.neutral(),
    )
    return measured_from(motion, 0)


def driving_picture(region: str) -> MotionSequence:
    """The golden driving picture, measured as by the original: expression from neutral, pose from itself."""
    motion = driver("img_tpl")
    expression = torch.zeros(21, 3) if region == "eyes" else neutral_expression()
    return replace(motion, rest=replace(motion.rest, expression=expression))


def source_rest() -> MotionFrame:
    stored = golden("pipeline_motion")
    rotation = torch.cat([stored[f"src_info.{angle}"][0] for angle in ("pitch", "yaw", "roll")])
    expression, scale, translation = (stored[f"src_info.{name}"][0] for name in ("exp", "scale", "t"))
    return MotionFrame(expression, rotation, scale, translation)


def source_portrait(landmarks: str = "src_lmk203") -> Portrait:
    """The golden source picture's portrait, from its stored motion."""
    stored = golden("pipeline_motion")
    return keypoint_portrait(stored["src_info.kp"][0], source_rest(), stored[landmarks])


def clip_portraits() -> list[Portrait]:
    """The golden source clip's portraits, from its stored motion."""
    stored = golden("pipeline_motion")
    part = {name: stored[f"src_vid_motion.{name}"] for name in ("keypoints", "expression", "scale", "translation")}
    angles = [angle_degrees(stored[f"src_vid_motion.{angle}"]) for angle in ("pitch", "yaw", "roll")]
    rotation = torch.stack(angles, -1)
    rests = zip(part["expression"], rotation, part["scale"], part["translation"], strict=True)
    return [
        keypoint_portrait(keypoints, MotionFrame(*rest), landmarks)
        for keypoints, rest, landmarks in zip(part["keypoints"], rests, stored["src_vid_lmk203"], strict=True)
    ]


def keypoint_portrait(keypoints: Tensor, rest: MotionFrame, landmarks203: Tensor) -> Portrait:
    """A portrait good for keypoints only, whose openings are told by 203 landmarks as in the original."""
    renderer = keypoint_renderer()
    values = (rest.expression, rest.rotation, rest.scale, rest.translation)
    placed = transform(keypoints, *(value[None] for value in values))
    blank = torch.zeros(1, 3, 256, 256)
    source = SourceFeatures(blank, renderer._appearance, placed, eye_ratios(landmarks203), lip_ratio(landmarks203))
    crop = Crop(torch.zeros(512, 512, 3), torch.eye(3)[:2])
    return Portrait(torch.zeros(8, 8, 3), crop, torch.zeros(478, 3), keypoints, rest, renderer, source)


def source_picture() -> Tensor:
    return golden("pipeline_motion")["src_img_u8"].float() / 255


def in_bytes(values: Tensor) -> Tensor:
    """Values in 0…1 rounded to 256 steps, as the original keeps its pictures."""
    return (values * 255 + 0.5).floor() / 255


def source_view(framing: CropOptions) -> Tensor:
    """The golden source picture's crop as the networks see it (1, 3, 256, 256), rounded as the original's."""
    to_picture = crop_to_picture(golden("pipeline_motion")["src_lmk106"], framing)
    crop = cut(source_picture(), to_picture, outside="zeros")
    return in_bytes(network_view(in_bytes(crop.image)[None]))


def whole_view() -> Tensor:
    """All of the golden source picture, (1, 3, 256, 256), shrunk in the whole numbers that OpenCV reckons in."""
    picture = golden("pipeline_motion")["src_img_u8"].long()
    (top, bottom, low, high), (left, right, less, more) = (_taps(side, 256) for side in picture.shape[:2])
    across = picture[:, left] * less[:, None] + picture[:, right] * more[:, None]
    above, below = across[top] >> 4, across[bottom] >> 4
    shrunk = ((low[:, None, None] * above >> 16) + (high[:, None, None] * below >> 16) + 2) >> 2
    return shrunk.permute(2, 0, 1)[None].float() / 255


def _taps(side: int, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two pixels that each of `size` pixels is mixed from, and their weights in 2048ths."""
    place = ((torch.arange(size) + 0.5) * side / size - 0.5).clamp(0, side - 1)
    first = place.floor().long()
    share = place - first
    return first, (first + 1).clamp(max=side - 1), *((part * 2048).round().long() for part in (1 - share, share))
