"""What travels on ComfyUI's wires, and our own values: one conversion in, one out."""

import logging
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..lp_core.media.audio import Audio
from ..lp_core.media.picture import as_colours, as_floats, as_picture
from ..lp_core.media.rates import frame_rate

_log = logging.getLogger(__name__)


INTEGER_SOUNDS = {torch.int16: 2.0**15, torch.int32: 2.0**31}  # kinds of samples, and what is full scale


class NoSoundError(ValueError):
    """An AUDIO wire that carries nothing: it is empty, or other packs' loaders find no sound once it is read."""


def audio_of(sound: Mapping[str, Any]) -> Audio:
    """The sound on an AUDIO wire; of a batch the first.

    Raises:
        NoSoundError: there is none.
        ValueError: samples that are not finite, another shape, or integers that do not say what is full scale.
    """
    waveform, sample_rate = _loaded(sound)
    if waveform.ndim != 3:
        raise ValueError(
            f"AUDIO is (batch, channels, samples) with a batch of 1 or more; got {tuple(waveform.shape)}."
        )
    if len(waveform) > 1:
        _log.warning("The audio input holds %d sounds; the first one is used.", len(waveform))
    return Audio(_samples(waveform[0].detach().cpu()), sample_rate)


def optional_audio(sound: Mapping[str, Any] | None) -> Audio | None:
    """The sound on an AUDIO wire that may be missing; None, with a line in the log, where it carries nothing.

    Raises:
        ValueError: as for `audio_of`, except that no sound is no error.
    """
    if sound is None:
        return None
    try:
        return audio_of(sound)
    except NoSoundError as error:
        _log.warning("%s It goes on without sound.", error)
        return None


def _loaded(sound: Mapping[str, Any]) -> tuple[Tensor, int]:
    """Waveform and rate of an AUDIO wire, which may be a mapping that reads its file only now."""
    reason = "it is empty"
    try:
        waveform, sample_rate = sound["waveform"], sound["sample_rate"]
        if waveform is not None and waveform.numel():
            return waveform, int(sample_rate)
    except Exception as error:  # a lazy mapping is another pack's code, which raises what it likes
        reason, cause = f"{type(error).__name__}: {error}", error
    else:
        cause = None
    raise NoSoundError(
        f"There is no sound on the audio input ({reason}); the clip it comes from may be silent."
    ) from cause


def _samples(waveform: Tensor) -> Tensor:
    """Samples of any kind as float32 in -1…1."""
    if waveform.is_floating_point():
        return waveform.float()
    if waveform.dtype == torch.uint8:  # whose rest is in the middle
        return waveform.float().sub_(128).div_(128)
    full = INTEGER_SOUNDS.get(waveform.dtype)
    if full is None:
        raise ValueError(
            f"AUDIO holds floats in -1…1, or int16, int32 or uint8; got {waveform.dtype}: convert it in the node "
            "that made it."
        )
    return waveform.float().div_(full)


def sound_of(audio: Audio) -> dict[str, Any]:
    """What an AUDIO wire carries."""
    return {"waveform": audio.waveform[None], "sample_rate": audio.sample_rate}


def stack_of(images: Tensor) -> Tensor:
    """The pictures of an IMAGE wire: floats (B, H, W, C) with B of 1 or more and C of 1, 3 or 4.

    Floats are the wire's own memory. One picture (H, W, C) is a stack of one; integers are scaled to 0…1.

    Raises:
        ValueError: no picture, a wrong shape, or integers that do not say what is white.
    """
    stack = images[None] if images.ndim == 3 else images
    if stack.ndim != 4 or stack.shape[-1] not in (1, 3, 4):
        raise ValueError(
            f"IMAGE is (batch, height, width, channels) with 1, 3 or 4 channels; got {tuple(images.shape)}."
        )
    if not stack.numel():
        raise ValueError(
            f"The image input is empty: its shape is {tuple(images.shape)}. Load at least one picture."
        )
    return stack if stack.is_floating_point() else as_floats(stack)


def picture_of(image: Tensor) -> Tensor:
    """The first picture (H, W, 3) of an IMAGE wire, on the CPU; transparency is laid over one ground colour.

    Opacity that is 0 everywhere, as some nodes attach it, tells nothing and is left out.

    Raises:
        ValueError: no picture, a wrong shape, kind or size, or pixels that are not finite.
    """
    first = stack_of(image)[0].detach().cpu()
    tells = first[..., 3:].any() or first.shape[-1] < 4
    return as_picture(first if tells else first[..., :3])


def frames_of(images: Tensor, alpha: bool = False) -> Tensor:
    """An IMAGE wire's frames as RGB (B, H, W, 3) float32 on the CPU; grey is spread.

    Transparency is laid over one ground colour, or kept as a fourth channel where there is one and `alpha` asks
    for it.

    Raises:
        ValueError: no frames, a wrong shape or kind, or pixels that are not finite.
    """
    frames = stack_of(images).detach().float().cpu()
    if not torch.isfinite(frames).all():
        raise ValueError("The frames hold NaN or infinite pixels; check the node that made them (a VAE in fp16?).")
    return as_colours(frames, alpha)


def video_parts(video: Any) -> tuple[Tensor, Audio | None, Fraction]:
    """What a VIDEO wire holds: frames (T, H, W, C), the sound or None, and the exact frame rate.

    Raises:
        ValueError: it has no frames or no readable rate.
    """
    parts = video.get_components()
    return stack_of(parts.images), optional_audio(parts.audio), frame_rate(parts.frame_rate)


def mask_of(mask: Tensor | None, picture: Tensor) -> Tensor | None:
    """The first mask (H, W) in 0…1 of a MASK wire, at the size of a picture (H, W, 3).

    None without a mask or when it marks nothing, which is what LoadImage gives for pictures without transparency.

    Raises:
        ValueError: a wrong shape or kind, or values that are not finite.
    """
    if mask is None or not mask.numel() or not mask.any():
        return None
    if mask.ndim not in (2, 3) or not torch.isfinite(mask).all():
        raise ValueError(f"MASK is (batch, height, width) and finite; got shape {tuple(mask.shape)}.")
    first = as_floats(mask.detach()).cpu().reshape(-1, 1, *mask.shape[-2:])[:1]
    return F.interpolate(first, size=picture.shape[:2], mode="bilinear").clamp(0, 1)[0, 0]
