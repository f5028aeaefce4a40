"""Streamed sound and its speech features, by video frame."""

from typing import Protocol

import torch
from torch import Tensor

from .encoder import SAMPLES_PER_FRAME, SpeechEncoder, at_level
from .settings import Padding, SpeechSettings


class SpeechFeatures(Protocol):
    """Speech features of sound, by video frame: frame n is samples n·640 … (n+1)·640."""

    @property
    def samples(self) -> int:
        """Number of samples so far, 16 kHz."""
        ...

    def between(self, start: int, end: int) -> Tensor:
        """Features (1, end - start, C) of frames start … end; sound past the end is padding."""
        ...

    def forget(self, frame: int) -> None:
        """Release the frames before this one, which are not requested again."""
        ...


class StreamingFeatures(SpeechFeatures, Protocol):
    """Speech features of sound that is still arriving."""

    def push(self, sound: Tensor) -> None:
        """Append sound (S,), 16 kHz.

        Raises:
            ValueError: the sound has another shape, or contains NaN or infinity.
        """
        ...


class SoundMemory:
    """Buffer of streamed sound that keeps the latest samples; indices count from the stream's first sample."""

    def __init__(self) -> None:
        self._kept = torch.zeros(0)
        self._first = 0  # the first sample still kept

    @property
    def samples(self) -> int:
        """Number of samples pushed."""
        return self._first + len(self._kept)

    def push(self, sound: Tensor) -> None:
        """Append sound (S,); see `mono`."""
        self._kept = torch.cat((self._kept, mono(sound)))

    def between(self, start: int, end: int) -> Tensor:
        """The available samples of start … end; released and missing ones are left out."""
        return self._kept[max(start - self._first, 0) : max(end - self._first, 0)]

    def forget(self, sample: int) -> None:
        """Release the samples before this one, which are not requested again."""
        used = max(sample - self._first, 0)
        self._kept, self._first = self._kept[used:], self._first + min(used, len(self._kept))
        # A copy frees the released samples; one for every few samples would be quadratic in a long sound's length.
        if 2 * self._kept.nbytes <= self._kept.untyped_storage().nbytes():
            self._kept = self._kept.clone()


class ArrivedSound:
    """Buffer of streamed sound that keeps the latest samples, accessed by video frame.

    Args:
        padding: of the sound at its end.
    """

    def __init__(self, padding: Padding) -> None:
        self._padding: Padding = padding
        self._memory = SoundMemory()

    @property
    def samples(self) -> int:
        """Number of samples pushed, 16 kHz."""
        return self._memory.samples

    def push(self, sound: Tensor) -> None:
        """Append sound (S,), 16 kHz; see `mono`."""
        self._memory.push(sound)

    def frames(self, start: int, end: int) -> Tensor:
        """The sound (1, S) of frames start … end, padded."""
        first, last = start * SAMPLES_PER_FRAME, end * SAMPLES_PER_FRAME
        return padded(self._memory.between(first, last)[None], last - first, self._padding)

    def forget(self, frame: int) -> None:
        """Release the frames before this one, which are not requested again."""
        self._memory.forget(frame * SAMPLES_PER_FRAME)


class WindowedFeatures:
    """Speech features from encoding the latest sound at each request: bounded time and memory, no future sound.

    Args:
        encoder: the speech encoder.
        speech: preprocessing of its network's sound; a level over the utterance is taken over the encoded frames.
        hearing: frames encoded together, ending with the last one requested.
    """

    def __init__(self, encoder: SpeechEncoder, speech: SpeechSettings, hearing: int) -> None:
        self._encoder, self._speech, self._hearing = encoder, speech, hearing
        self._arrived = ArrivedSound(speech.padding)

    @property
    def samples(self) -> int:
        """See SpeechFeatures."""
        return self._arrived.samples

    def push(self, sound: Tensor) -> None:
        """Append sound (S,), 16 kHz; see `mono`."""
        self._arrived.push(sound)

    def between(self, start: int, end: int) -> Tensor:
        """See SpeechFeatures."""
        sound = self._arrived.frames(max(min(end - self._hearing, start), 0), end)
        return self._encoder.frames(at_level(sound, self._speech.level), self._speech.halving)[:, start - end :]

    def forget(self, frame: int) -> None:
        """See SpeechFeatures."""
        self._arrived.forget(frame - self._hearing)


class UtteranceFeatures:
    """Speech features of a complete utterance, encoded once.

    Args:
        encoder: the speech encoder.
        speech: preprocessing of its network's sound.
        sound: (S,) 16 kHz.
        frames: number of frames that may be requested; those past the sound's end are padding.
    """

    def __init__(self, encoder: SpeechEncoder, speech: SpeechSettings, sound: Tensor, frames: int) -> None:
        self._samples = len(sound)
        levelled = at_level(sound[None].float().cpu(), speech.level)
        self._features = encoder.utterance(padded(levelled, frames * SAMPLES_PER_FRAME, speech.padding))

    @property
    def samples(self) -> int:
        """See SpeechFeatures."""
        return self._samples

    def between(self, start: int, end: int) -> Tensor:
        """See SpeechFeatures."""
        return self._features[:, start:end]

    def forget(self, frame: int) -> None:
        """Do nothing: an utterance is kept whole."""


def mono(sound: Tensor) -> Tensor:
    """Sound (S,) as float32 on the CPU, checked.

    Raises:
        ValueError: the sound has another shape, or contains NaN or infinity.
    """
    if sound.ndim != 1 or not torch.isfinite(sound).all():
        raise ValueError(
            f"A stream takes finite mono sound of shape (samples,); got {tuple(sound.shape)}, "
            f"{int((~torch.isfinite(sound)).sum())} of them not finite."
        )
    return sound.float().cpu()


def padded(sound: Tensor, samples: int, padding: Padding) -> Tensor:
    """Sound (1, samples), padded with silence or its last sample."""
    last = sound[:, -1:] if padding == "replicate" and sound.shape[1] else torch.zeros(1, 1)
    return torch.cat((sound, last.expand(1, max(samples - sound.shape[1], 0))), 1)
