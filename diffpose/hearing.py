"""Sound that arrives, and what a speech encoder hears in it, by video frame."""

from typing import Protocol

import torch
from torch import Tensor

from .card import Padding, SpeechSettings
from .features import SAMPLES_PER_FRAME, SpeechEncoder, at_level


class Ear(Protocol):
    """Gives speech features of a stretch of sound. Frame n is samples n·640 … (n+1)·640."""

    @property
    def samples(self) -> int:
        """Samples heard so far, 16 kHz."""
        ...

    def features(self, start: int, end: int) -> Tensor:
        """Features (1, end - start, C) of frames start … end; past the sound's end is padding."""
        ...

    def forget(self, frame: int) -> None:
        """Frames before this one will not be asked for again."""
        ...


class LiveEar(Ear, Protocol):
    """An ear that sound is still arriving at."""

    def push(self, sound: Tensor) -> None:
        """More sound (S,), 16 kHz.

        Raises:
            ValueError: another shape, NaN or infinity.
        """
        ...


class ArrivedSound:
    """Sound that arrives in pieces, of which the latest is kept, cut by video frame.

    Args:
        padding: what follows the end of the sound.
    """

    def __init__(self, padding: Padding) -> None:
        self._padding: Padding = padding
        self._sound = torch.zeros(0)
        self._start = 0  # the first frame still kept
        self.samples = 0

    def push(self, sound: Tensor) -> None:
        """More sound (S,), 16 kHz.

        Raises:
            ValueError: another shape, NaN or infinity.
        """
        if sound.ndim != 1 or not torch.isfinite(sound).all():
            raise ValueError(f"A stream takes finite mono sound of shape (samples,); got {tuple(sound.shape)}.")
        self._sound = torch.cat((self._sound, sound.float().cpu()))
        self.samples += len(sound)

    def frames(self, start: int, end: int) -> Tensor:
        """The sound (1, S) of frames start … end, padded."""
        first, count = (start - self._start) * SAMPLES_PER_FRAME, (end - start) * SAMPLES_PER_FRAME
        return padded(self._sound[None, first : first + count], count, self._padding)

    def forget(self, frame: int) -> None:
        """Frames before this one will not be asked for again."""
        needed = max(frame, self._start)
        self._sound = self._sound[(needed - self._start) * SAMPLES_PER_FRAME :].clone()
        self._start = needed


class StreamingEar:
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
        """See Ear."""
        return self._arrived.samples

    def push(self, sound: Tensor) -> None:
        """More sound (S,), 16 kHz; see ArrivedSound."""
        self._arrived.push(sound)

    def features(self, start: int, end: int) -> Tensor:
        """See Ear."""
        heard = self._arrived.frames(max(min(end - self._hearing, start), 0), end)
        return self._encoder.frames(at_level(heard, self._speech.level))[:, start - end :]

    def forget(self, frame: int) -> None:
        """See Ear."""
        self._arrived.forget(frame - self._hearing)


class UtteranceEar:
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
        """See Ear."""
        return self._samples

    def features(self, start: int, end: int) -> Tensor:
        """See Ear."""
        return self._features[:, start:end]

    def forget(self, frame: int) -> None:
        """An utterance is kept whole."""


def padded(sound: Tensor, samples: int, padding: Padding) -> Tensor:
    """Sound (1, samples), continued with silence or its last sample."""
    last = sound[:, -1:] if padding == "replicate" and sound.shape[1] else torch.zeros(1, 1)
    return torch.cat((sound, last.expand(1, max(samples - sound.shape[1], 0))), 1)
