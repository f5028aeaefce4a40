"""Sound that arrives, and what a speech encoder hears in it, by video frame."""

from typing import Protocol

import torch
from torch import Tensor

from .encoder import SAMPLES_PER_FRAME, SpeechEncoder, at_level
from .settings import Padding, SpeechSettings


class SpeechFeatures(Protocol):
    """Gives speech features of a stretch of sound. Frame n is samples n·640 … (n+1)·640."""

    @property
    def samples(self) -> int:
        """Samples heard so far, 16 kHz."""
        ...

    def between(self, start: int, end: int) -> Tensor:
        """Features (1, end - start, C) of frames start … end; past the sound's end is padding."""
        ...

    def forget(self, frame: int) -> None:
        """Frames before this one will not be asked for again."""
        ...


class StreamingFeatures(SpeechFeatures, Protocol):
    """Speech features of sound that is still arriving."""

    def push(self, sound: Tensor) -> None:
        """More sound (S,), 16 kHz.

        Raises:
            ValueError: another shape, NaN or infinity.
        """
        ...


class SoundMemory:
    """Sound that arrives in pieces, of which the latest is kept; samples are counted from the very first."""

    def __init__(self) -> None:
        self._kept = torch.zeros(0)
        self._first = 0  # the first sample still kept

    @property
    def samples(self) -> int:
        """Samples that have arrived."""
        return self._first + len(self._kept)

    def push(self, sound: Tensor) -> None:
        """More sound (S,); see `mono`."""
        self._kept = torch.cat((self._kept, mono(sound)))

    def between(self, start: int, end: int) -> Tensor:
        """What is there of samples start … end, from the first one kept on."""
        return self._kept[max(start - self._first, 0) : max(end - self._first, 0)]

    def forget(self, sample: int) -> None:
        """Samples before this one will not be asked for again."""
        used = max(sample - self._first, 0)
        self._kept, self._first = self._kept[used:], self._first + min(used, len(self._kept))
        # A copy lets go of what lies before; one for every few samples would take the square of a long sound.
        if 2 * self._kept.nbytes <= self._kept.untyped_storage().nbytes():
            self._kept = self._kept.clone()


class ArrivedSound:
    """Sound that arrives in pieces, of which the latest is kept, cut by video frame.

    Args:
        padding: what follows the end of the sound.
    """

    def __init__(self, padding: Padding) -> None:
        self._padding: Padding = padding
        self._memory = SoundMemory()

    @property
    def samples(self) -> int:
        """Samples that have arrived, 16 kHz."""
        return self._memory.samples

    def push(self, sound: Tensor) -> None:
        """More sound (S,), 16 kHz; see `mono`."""
        self._memory.push(sound)

    def frames(self, start: int, end: int) -> Tensor:
        """The sound (1, S) of frames start … end, padded."""
        first, last = start * SAMPLES_PER_FRAME, end * SAMPLES_PER_FRAME
        return padded(self._memory.between(first, last)[None], last - first, self._padding)

    def forget(self, frame: int) -> None:
        """Frames before this one will not be asked for again."""
        self._memory.forget(frame * SAMPLES_PER_FRAME)


class WindowedFeatures:
    """Hears the latest stretch of sound each time it is asked: bounded work and memory, nothing of the future.

    Args:
        encoder: the speech encoder.
        speech: how its network wants the sound; a level over the utterance is taken over what is heard at once.
        hearing: frames heard at once, ending with the last one asked for.
    """

    def __init__(self, encoder: SpeechEncoder, speech: SpeechSettings, hearing: int) -> None:
        self._encoder, self._speech, self._hearing = encoder, speech, hearing
        self._arrived = ArrivedSound(speech.padding)

    @property
    def samples(self) -> int:
        """See SpeechFeatures."""
        return self._arrived.samples

    def push(self, sound: Tensor) -> None:
        """More sound (S,), 16 kHz; see `mono`."""
        self._arrived.push(sound)

    def between(self, start: int, end: int) -> Tensor:
        """See SpeechFeatures."""
        heard = self._arrived.frames(max(min(end - self._hearing, start), 0), end)
        return self._encoder.frames(at_level(heard, self._speech.level), self._speech.halving)[:, start - end :]

    def forget(self, frame: int) -> None:
        """See SpeechFeatures."""
        self._arrived.forget(frame - self._hearing)


class UtteranceFeatures:
    """Hears an utterance that is known to its end, once.

    Args:
        encoder: the speech encoder.
        speech: how its network wants the sound.
        sound: (S,) 16 kHz.
        frames: how many frames may be asked for; those past the sound's end are padding.
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
        """An utterance is kept whole."""


def mono(sound: Tensor) -> Tensor:
    """A piece of a stream's sound (S,), float32 on the CPU.

    Raises:
        ValueError: another shape, NaN or infinity.
    """
    if sound.ndim != 1 or not torch.isfinite(sound).all():
        raise ValueError(
            f"A stream takes finite mono sound of shape (samples,); got {tuple(sound.shape)}, "
            f"{int((~torch.isfinite(sound)).sum())} of them not finite."
        )
    return sound.float().cpu()


def padded(sound: Tensor, samples: int, padding: Padding) -> Tensor:
    """Sound (1, samples), continued with silence or its last sample."""
    last = sound[:, -1:] if padding == "replicate" and sound.shape[1] else torch.zeros(1, 1)
    return torch.cat((sound, last.expand(1, max(samples - sound.shape[1], 0))), 1)
