"""Several voices on one timeline: each alone, for the face that speaks it, and all together, for the video."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from .audio import Audio


def starts_in_turn(voices: Sequence[Audio], pauses: Sequence[float]) -> tuple[float, ...]:
    """When each voice begins, in seconds, if it waits for the one before and a pause; below zero it interrupts.

    Raises:
        ValueError: an interruption that begins before the timeline does.
    """
    ends = accumulate(
        (float(voice.duration) + pause for voice, pause in zip(voices, pauses, strict=True)), initial=0.0
    )
    return tuple(end + pause for end, pause in zip(ends, pauses, strict=False))


def on_one_timeline(voices: Sequence[Audio], starts: Sequence[float]) -> tuple[Audio, ...]:
    """Each voice with silence before and after it; all of one length, with the highest rate and most channels.

    A voice with one channel is heard in all of them.

    Args:
        voices: one or more.
        starts: of each, in seconds from the beginning.

    Raises:
        ValueError: a voice begins before the timeline does.
    """
    for number, start in enumerate(starts, 1):
        if start < 0:
            raise ValueError(f"Voice {number} would begin {-start:.2f} s before the video does; start it later.")
    rate = max(voice.sample_rate for voice in voices)
    channels = max(len(voice.waveform) for voice in voices)
    waveforms = [_with_channels(voice.resampled(rate).waveform, channels) for voice in voices]
    begins = [round(start * rate) for start in starts]
    length = max(begin + waveform.shape[1] for begin, waveform in zip(begins, waveforms, strict=True))
    tracks = torch.zeros(len(voices), channels, length)
    for track, begin, waveform in zip(tracks, begins, waveforms, strict=True):
        track[:, begin : begin + waveform.shape[1]] = waveform
    return tuple(Audio(track, rate) for track in tracks)


def _with_channels(waveform: Tensor, channels: int) -> Tensor:
    if len(waveform) == 1:
        return waveform.expand(channels, -1)
    return torch.nn.functional.pad(waveform, (0, 0, 0, channels - len(waveform)))


def mixed(tracks: Sequence[Audio]) -> Audio:
    """Tracks of one timeline heard together; softer as a whole where they would clip."""
    together = torch.stack([track.waveform for track in tracks]).sum(0)
    return Audio(together / max(1.0, float(together.abs().max())), tracks[0].sample_rate)
