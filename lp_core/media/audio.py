"""Sound as it came: the value that travels beside the motion and into the video untouched."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from av.container import InputContainer
    from soxr import ResampleStream

PIECE_SECONDS = 10  # of a sound that is worked on at once where it is not needed whole
SAMPLE_RATES = (4_000, 384_000)  # samples a second; outside of it a file is damaged or no sound


@dataclass(frozen=True, eq=False)
class Audio:
    """A sound track.

    Attributes:
        waveform: (channels, samples) float32 in -1…1.
        sample_rate: samples a second.
    """

    waveform: Tensor
    sample_rate: int

    def __post_init__(self) -> None:
        if self.waveform.ndim != 2 or not 1 <= len(self.waveform) <= 8:
            raise ValueError(
                f"A sound is (channels, samples) with 1 … 8 channels; got shape {tuple(self.waveform.shape)}."
            )
        if not self.waveform.shape[1]:
            raise ValueError("The sound is empty: it has no samples. Give a recording with at least some speech.")
        low, high = SAMPLE_RATES
        if not low <= self.sample_rate <= high:
            raise ValueError(f"The sample rate is {self.sample_rate}; expected {low} … {high} samples a second.")
        if not torch.isfinite(self.waveform).all():
            raise ValueError("The sound holds NaN or infinite samples; export it again from its source.")

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Audio":
        """The first sound track of a sound or video file, held in memory; see `load_audio`."""
        return load_audio(path)

    @property
    def samples(self) -> int:
        """Samples in each channel."""
        return self.waveform.shape[1]

    @property
    def duration(self) -> Fraction:
        """Seconds, exactly."""
        return Fraction(self.samples, self.sample_rate)

    @property
    def channels(self) -> int:
        """How many there are, 1 … 8."""
        return len(self.waveform)

    def pieces(self) -> Iterator[Tensor]:
        """All samples in order, some seconds (channels, n) at a time."""
        yield from self.waveform.split(PIECE_SECONDS * self.sample_rate, 1)

    def resampled(self, sample_rate: int) -> "Audio":
        """The same sound at another rate; itself at its own. Its duration at that rate is rounded up."""
        if self.sample_rate == sample_rate:
            return self
        pieces = resampled_pieces(self.pieces(), self.sample_rate, sample_rate)
        return Audio(torch.cat(list(pieces), 1), sample_rate)

    def mono(self, sample_rate: int) -> Tensor:
        """The mean of all channels (S,) at another rate; S is the duration at that rate, rounded up."""
        return torch.cat(list(self.mono_pieces(sample_rate)))

    def mono_pieces(self, sample_rate: int) -> Iterator[Tensor]:
        """The same, some seconds (n,) at a time."""
        mixed = (piece.mean(0, keepdim=True) for piece in self.pieces())
        for piece in resampled_pieces(mixed, self.sample_rate, sample_rate):
            yield piece[0]


class AudioFile(Audio):
    """A sound track that stays in its file and is read anew whenever it is needed: hours of it take no memory.

    Only who asks for `waveform` or `mono` gets it whole.

    Attributes:
        path: the sound or video file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read or has no sound.
    """

    path: Path
    _channels: int
    _samples: int

    def __init__(self, path: str | os.PathLike[str]) -> None:
        rate, channels, samples = _rate(path), 0, 0
        for piece in _decoded(path):
            Audio(piece, rate)  # refuses what is no sound
            channels, samples = piece.shape[0], samples + piece.shape[1]
        if not samples:
            raise ValueError(f"The sound track of {path} is empty.")
        known = {"path": Path(path), "sample_rate": rate, "_channels": channels, "_samples": samples}
        for name, value in known.items():
            object.__setattr__(self, name, value)

    @property
    def waveform(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride] the field is read only too
        """All samples (channels, samples), read anew."""
        return torch.cat(list(self.pieces()), 1)

    @property
    def samples(self) -> int:
        """Samples in each channel."""
        return self._samples

    @property
    def channels(self) -> int:
        """How many there are, 1 … 8."""
        return self._channels

    def pieces(self) -> Iterator[Tensor]:
        """See `Audio`."""
        return _decoded(self.path)


class Resampler:
    """Sound at another rate as it arrives; joined, its pieces are the same however the sound was cut.

    Args:
        sample_rate: of the sound.
        wanted: the other rate.
    """

    def __init__(self, sample_rate: int, wanted: int) -> None:
        self._rate, self._wanted = sample_rate, wanted
        self._stream: ResampleStream | None = None
        self._taken = self._given = 0  # samples

    def resampled(self, piece: Tensor, last: bool = False) -> Tensor:
        """What is known after a piece (channels, n ≥ 0) more; with the last one as long a sound, rounded up."""
        import soxr

        if self._rate == self._wanted:
            return piece
        if self._stream is None:
            self._stream = soxr.ResampleStream(self._rate, self._wanted, len(piece), dtype="float32", quality="HQ")
        columns = np.ascontiguousarray(piece.detach().cpu().float().T.numpy())
        ready = torch.from_numpy(self._stream.resample_chunk(columns, last)).T
        self._taken += piece.shape[1]
        if last:
            count = -(-self._taken * self._wanted // self._rate)
            return F.pad(ready, (0, count - self._given - ready.shape[1]))  # or cut
        self._given += ready.shape[1]
        return ready


def resampled_pieces(pieces: Iterable[Tensor], sample_rate: int, wanted: int) -> Iterator[Tensor]:
    """Pieces (channels, n) of a sound at another rate; together they last as long, rounded up to whole samples."""
    resampler, nothing = Resampler(sample_rate, wanted), None
    for piece in pieces:
        yield resampler.resampled(piece)
        nothing = piece[:, :0]
    if nothing is not None:
        yield resampler.resampled(nothing, last=True)


class ArrivingAudio:
    """A sound track that arrives while it is being used: one thread pushes, one takes.

    Attributes:
        sample_rate: samples a second.
        channels: of every piece.
        arrived: samples so far, taken or not.

    Raises:
        ValueError: a rate or a number of channels that no sound has.
    """

    def __init__(self, sample_rate: int, channels: int = 1) -> None:
        Audio(torch.zeros(channels, 1), sample_rate)  # refuses what no sound has
        self.sample_rate, self.channels = sample_rate, channels
        self._pieces: deque[Tensor] = deque()
        self.arrived = self._taken = 0

    def push(self, waveform: Tensor) -> None:
        """More samples (channels, S) in -1…1, S ≥ 0.

        Raises:
            ValueError: another shape, NaN or infinity.
        """
        if waveform.ndim != 2 or len(waveform) != self.channels or not torch.isfinite(waveform).all():
            raise ValueError(
                f"Expected finite sound of shape ({self.channels}, samples); got {tuple(waveform.shape)}."
            )
        self._pieces.append(waveform.detach().float().cpu())
        self.arrived += waveform.shape[1]

    def take(self, end: int) -> Tensor:
        """The samples (channels, n) before sample `end` that were not taken yet, as far as they are there."""
        taken = [torch.zeros(self.channels, 0)]
        while self._pieces and self._taken < end:
            piece = self._pieces.popleft()
            taken.append(piece[:, : end - self._taken])
            self._taken += taken[-1].shape[1]
            if taken[-1].shape[1] < piece.shape[1]:
                self._pieces.appendleft(piece[:, taken[-1].shape[1] :])
        return torch.cat(taken, 1)


def load_audio(path: str | os.PathLike[str]) -> Audio:
    """The first sound track of a sound or video file, with its own rate and channels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file cannot be read or has no sound.
    """
    rate, pieces = _rate(path), list(_decoded(path))
    if not pieces:
        raise ValueError(f"The sound track of {path} is empty.")
    return Audio(torch.cat(pieces, 1), rate)


def _rate(path: str | os.PathLike[str]) -> int:
    with _opened(path) as container:
        return container.streams.audio[0].rate


@contextmanager
def _opened(path: str | os.PathLike[str]) -> "Iterator[InputContainer]":
    """A file that has sound."""
    import av

    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no sound file {path}.")
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.audio:
                raise ValueError(f"{path} has no sound track; give a sound file, or a video with sound.")
            yield container
    except av.FFmpegError as error:
        raise ValueError(f"Cannot read the sound of {path}: {error.strerror}. Is it a sound file?") from error


def _decoded(path: str | os.PathLike[str]) -> Iterator[Tensor]:
    """The samples (channels, n) of a file, some seconds at a time."""
    import av

    with _opened(path) as container:
        stream = container.streams.audio[0]
        # To float only; rate and channels stay. Interleaved: PyAV 18 crashes on planar sound of eight channels.
        interleaved = av.AudioResampler(format="flt")
        frames = chain(container.decode(stream), [None])
        blocks = (block.to_ndarray() for frame in frames for block in interleaved.resample(frame))
        pending, samples = [], 0
        for block in blocks:
            pending.append(block.reshape(-1, stream.channels))
            samples += len(pending[-1])
            if samples >= PIECE_SECONDS * stream.rate:
                yield _channels_first(pending)
                pending, samples = [], 0
        if pending:
            yield _channels_first(pending)


def _channels_first(blocks: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(blocks).T))
