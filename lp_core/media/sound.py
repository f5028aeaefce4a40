"""The sound of a file as one stream of samples that begins with the pictures, whatever happens on the way."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .clock import Film, Timed, Track
from .decoding import decoded

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

PIECE_SECONDS = 10  # of a sound that is worked on at once where it is not needed whole
SLACK_SECONDS = 0.01  # by which a frame's time may differ from the end of the one before: less is a blurred clock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SoundTrack:
    """The sound of a film, to be decoded as often as wished.

    Attributes:
        film: the file.
        track: its sound.
        start: the continuous time in seconds of the first picture; None without pictures.
        sample_rate: of the first part.
        layout: the channels of the first part, in FFmpeg's words.
    """

    film: Film
    track: Track
    start: Fraction | None
    sample_rate: int
    layout: str

    def pieces(self, is_told: bool = False) -> Iterator[Tensor]:
        """Samples (channels, n) from the first picture on, some seconds at a time, all as the first part's.

        Args:
            is_told: whether damaged packets are logged.
        """
        blocks = _placed(self._blocks(is_told), self.sample_rate, self.start)
        pending: list[np.ndarray] = []
        samples = 0
        for block in blocks:
            pending.append(block)
            samples += len(block)
            if samples >= PIECE_SECONDS * self.sample_rate:
                yield _channels_first(pending)
                pending, samples = [], 0
        if pending:
            yield _channels_first(pending)

    def _blocks(self, is_told: bool) -> "Iterator[_Block]":
        converter = _Converter(self.sample_rate, self.layout)
        held: Timed | None = None
        for timed in decoded(self.film.path, self.track, "audio", is_told=is_told):
            if held is not None:
                yield self._block(held, converter.converted(held.frame))
            held = timed
        if held is not None:
            last = converter.converted(held.frame)
            yield self._block(held, last[: _lasting(held.frame, self.track.time_base, len(last))])
        yield _Block(None, converter.rest(), None)

    def _block(self, timed: Timed, samples: np.ndarray) -> "_Block":
        seconds = None if timed.time is None else timed.time * self.track.time_base
        return _Block(seconds, samples, timed.part)


class _Block(NamedTuple):
    """Samples (n, channels), with their time in seconds and their part of the stream where these are known."""

    seconds: Fraction | None
    samples: np.ndarray
    part: int | None


def sound_track(film: Film) -> SoundTrack | None:
    """The sound of a film; None where it has none that can be decoded."""
    if film.audio is None:
        return None
    frames: Any = (timed.frame for timed in decoded(film.path, film.audio, "audio", is_told=False))
    first = next(frames, None)
    if first is None:
        return None
    begun = None
    if film.video is not None and film.first is not None and film.first.time is not None:
        begun = film.first.time * film.video.time_base
    light = replace(film, video=None, first=None)  # its times and pictures are not needed any more
    return SoundTrack(light, film.audio, begun, first.sample_rate, first.layout.name)


class _Converter:
    """Frames of any kind to interleaved floats of one rate and layout."""

    def __init__(self, sample_rate: int, layout: str) -> None:
        self._rate, self._layout = sample_rate, layout
        self._kind: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def converted(self, frame: "AudioFrame") -> np.ndarray:
        """Samples (n, channels) of a frame, after what was left of frames of another kind."""
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        before = self.rest() if kind != self._kind else None
        if self._resampler is None:
            self._kind, self._resampler = kind, self._made()
        frame.pts = None
        blocks = [_interleaved(block) for block in self._resampler.resample(frame)]
        return np.concatenate([block for block in (before, *blocks) if block is not None] or [self._nothing()])

    def rest(self) -> np.ndarray:
        """The samples that a change of the rate has kept back."""
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return self._nothing()
        return np.concatenate([self._nothing(), *(_interleaved(block) for block in resampler.resample(None))])

    def _made(self) -> "AudioResampler":
        import av

        # Interleaved: PyAV 18 crashes on planar sound of eight channels.
        return av.AudioResampler(format="flt", layout=self._layout, rate=self._rate)

    def _nothing(self) -> np.ndarray:
        import av

        return np.zeros((0, av.AudioLayout(self._layout).nb_channels), np.float32)


def _interleaved(block: "AudioFrame") -> np.ndarray:
    return block.to_ndarray().reshape(-1, block.layout.nb_channels)


def _lasting(frame: "AudioFrame", time_base: Fraction, samples: int) -> int:
    """How many of the last frame's samples are sound and not an encoder's padding, by the duration it has."""
    is_exact = time_base * frame.sample_rate <= 2
    if not is_exact or not frame.duration:
        return samples
    return min(samples, round(frame.duration * time_base * frame.sample_rate * samples / max(frame.samples, 1)))


def _placed(blocks: Iterator[_Block], sample_rate: int, start: Fraction | None) -> Iterator[np.ndarray]:
    """Blocks of sound from a start (else their own) on, at their times: holes are silence, what overlaps is cut.

    Where a part begins its first block is placed to the sample, since clocks do not blur there but jump. Parts of
    sound without pictures, of which the start is None, follow one another.
    """
    is_alone = start is None
    given, slack = 0, round(SLACK_SECONDS * sample_rate)  # samples
    begun: int | None = None  # the part of which something was placed
    for seconds, samples, part in blocks:
        if seconds is not None and is_alone and part != begun:
            start = seconds - Fraction(given, sample_rate)
        if seconds is not None and start is not None:
            late = round((seconds - start) * sample_rate) - given
            if abs(late) > slack or part != begun:
                yield from _silence(late, samples.shape[1], sample_rate)
                samples = samples[max(-late, 0) :]
                given += max(late, 0)
            begun = part if len(samples) else begun
        given += len(samples)
        yield samples


def _silence(samples: int, channels: int, sample_rate: int) -> Iterator[np.ndarray]:
    for _ in range(samples // sample_rate):
        yield np.zeros((sample_rate, channels), np.float32)
    if samples > 0:
        yield np.zeros((samples % sample_rate, channels), np.float32)


def _channels_first(blocks: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(blocks).T))
