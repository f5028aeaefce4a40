"""Colours for drawing a portrait's mouth, in the brightness and saturation of the photograph."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..faces.crop import sample
from ..faces.mesh_points import EYES, LIP_SPOTS, MESH_POINTS, SKIN_SPOTS

LUMINANCE = (0.299, 0.587, 0.114)
EYE_WHITE_PERCENTILE = 0.88
COLOURFUL = 0.25  # chroma over brightness from which a photograph is fully coloured


@dataclass(frozen=True, eq=False)
class Palette:
    """Colours (3,) RGB in 0…1 of the inside of the mouth."""

    tooth: Tensor
    gum: Tensor
    tongue: Tensor
    cavity: Tensor
    rim: Tensor


def luminance(colours: Tensor) -> Tensor:
    """Brightness (...) of colours (..., 3)."""
    return colours @ colours.new_tensor(LUMINANCE)


def find_palette(image: Tensor, points: Tensor) -> Palette:
    """The palette for a working image (1, 3, H, W) with landmarks (478, 3) there."""
    skin = _spot_colour(image, points, SKIN_SPOTS, 4)
    lip = _spot_colour(image, points, LIP_SPOTS, 2)
    bright = luminance(skin).clamp(min=1e-3)
    light = torch.maximum(bright, 0.9 * _eye_white(image, points)).clamp(0.22, 0.95)
    colourfulness = _colourfulness(image, points)

    def colour(value: Tensor) -> Tensor:
        return torch.lerp(luminance(value).expand(3), value, colourfulness)

    def lit(red: float, green: float, blue: float, ambient: float) -> Tensor:
        return colour(light.new_tensor([red, green, blue]) * (ambient + (1 - ambient) * light))

    flesh = lip / bright.clamp(min=0.2) * 0.62
    warm = 0.60 + 0.40 * skin / bright
    return Palette(
        tooth=colour(light * warm * light.new_tensor([1.0, 0.99, 0.955])).clamp(max=0.94),
        gum=lit(0.60, 0.30, 0.30, 0.15),
        tongue=colour((0.6 * flesh.new_tensor([0.80, 0.40, 0.38]) + 0.4 * flesh) * (0.15 + 0.85 * light)),
        cavity=lit(0.32, 0.12, 0.11, 0.25),
        rim=lip * lip.new_tensor([0.62, 0.48, 0.48]),
    )


def _spot_colour(image: Tensor, points: Tensor, spots: tuple[int, ...], radius: int) -> Tensor:
    """The median colour (3,) of squares around landmarks."""
    line = torch.arange(-radius, radius + 1, device=image.device).to(points)
    offset = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(1, -1, 2)
    places = points[list(spots), None, :2] + offset
    return sample(image, places[None])[0].flatten(1).median(1).values


def _eye_white(image: Tensor, points: Tensor) -> Tensor:
    """Brightness of the whites of the eyes: a high percentile along lines from lid to lid."""
    share = torch.linspace(0.2, 0.8, 9, device=image.device)[:, None, None]
    lines = [torch.lerp(points[list(eye.upper), :2], points[list(eye.lower), :2], share) for eye in EYES]
    colours = sample(image, torch.cat(lines, 1)[None])[0].flatten(1).mT
    return luminance(colours).quantile(EYE_WHITE_PERCENTILE)


def _colourfulness(image: Tensor, points: Tensor) -> Tensor:
    """0 for a grey photograph … 1 for a coloured one."""
    colours = sample(image, points[None, :MESH_POINTS, None, :2])[0, ..., 0].mT
    chroma = colours.amax(1) - colours.amin(1)
    return (chroma.mean() / (colours.mean() + 1e-3) / COLOURFUL).clamp(0, 1)
