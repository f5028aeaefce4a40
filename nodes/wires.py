"""What travels on ComfyUI's wires, and our own values: one conversion in, one out."""

import logging
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..lp_core.media.audio import Audio
from ..lp_core.media.picture import as_picture
from ..lp_core.media.rates import frame_rate

_log = logging.getLogger(__name__)


def audio_of(sound: dict[str, Any]) -> Audio:
    """The sound on an AUDIO wire; of a batch the first.

    Raises:
        ValueError: no sound, or samples that are not finite.
    """
    if not sound or "waveform" not in sound or "sample_rate" not in sound:
        raise ValueError("There is no sound on the audio input; the clip it comes from may be silent.")
    waveform = sound["waveform"]
    if waveform.ndim != 3 or not len(waveform):
        raise ValueError(
            f"AUDIO is (batch, channels, samples) with a batch of 1 or more; got {tuple(waveform.shape)}."
        )
    if len(waveform) > 1:
        _log.warning("The audio input holds %d sounds; the first one is used.", len(waveform))
    return Audio(waveform[0].detach().float().cpu(), int(sound["sample_rate"]))


def sound_of(audio: Audio) -> dict[str, Any]:
    """What an AUDIO wire carries."""
    return {"waveform": audio.waveform[None], "sample_rate": audio.sample_rate}


def stack_of(images: Tensor) -> Tensor:
    """The tensor of an IMAGE wire itself: (B, H, W, C) with at least one picture and C of 1, 3 or 4.

    Raises:
        ValueError: no picture, or a wrong shape.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"IMAGE is (batch, height, width, channels) with 1, 3 or 4 channels; got {tuple(images.shape)}."
        )
    if not images.numel():
        raise ValueError(
            f"The image input is empty: its shape is {tuple(images.shape)}. Load at least one picture."
        )
    return images


def picture_of(image: Tensor) -> Tensor:
    """The first picture (H, W, 3) of an IMAGE wire.

    Raises:
        ValueError: no picture, a wrong shape or size, or pixels that are not finite.
    """
    return as_picture(stack_of(image)[0].detach().cpu())


def frames_of(images: Tensor, alpha: bool = False) -> Tensor:
    """An IMAGE wire's frames as RGB (B, H, W, 3) float32; grey is spread.

    Transparency is dropped, or kept as a fourth channel where there is one and `alpha` asks for it.

    Raises:
        ValueError: no frames, a wrong shape, or pixels that are not finite.
    """
    stack = stack_of(images)
    frames = stack[..., : 4 if alpha else 3].detach().float()
    if not torch.isfinite(frames).all():
        raise ValueError("The frames hold NaN or infinite pixels; check the node that made them (a VAE in fp16?).")
    return frames if frames.shape[-1] == 4 else frames.expand(-1, -1, -1, 3)


def video_parts(video: Any) -> tuple[Tensor, Audio | None, Fraction]:
    """What a VIDEO wire holds: frames (T, H, W, C), the sound or None, and the exact frame rate.

    Raises:
        ValueError: it has no frames or no readable rate.
    """
    parts = video.get_components()
    return stack_of(parts.images), parts.audio and audio_of(parts.audio), frame_rate(parts.frame_rate)


def mask_of(mask: Tensor | None, picture: Tensor) -> Tensor | None:
    """The first mask (H, W) in 0…1 of a MASK wire, at the size of a picture (H, W, 3).

    None without a mask or when it marks nothing, which is what LoadImage gives for pictures without transparency.

    Raises:
        ValueError: a wrong shape, or values that are not finite.
    """
    if mask is None or not mask.numel() or not mask.any():
        return None
    if mask.ndim not in (2, 3) or not torch.isfinite(mask).all():
        raise ValueError(f"MASK is (batch, height, width) and finite; got shape {tuple(mask.shape)}.")
    first = mask.detach().float().reshape(-1, 1, *mask.shape[-2:])[:1]
    return F.interpolate(first, size=picture.shape[:2], mode="bilinear").clamp(0, 1)[0, 0]
