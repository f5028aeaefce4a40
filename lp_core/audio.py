"""Sound as it came: the value that travels beside the motion and into the video untouched."""

import os
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

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

    @property
    def samples(self) -> int:
        """Samples in each channel."""
        return self.waveform.shape[1]

    @property
    def duration(self) -> Fraction:
        """Seconds, exactly."""
        return Fraction(self.samples, self.sample_rate)

    def resampled(self, sample_rate: int) -> "Audio":
        """The same sound at another rate; itself at its own. Its duration at that rate is rounded up."""
        import librosa

        if self.sample_rate == sample_rate:
            return self
        samples = self.waveform.detach().cpu().numpy()
        resampled = librosa.resample(samples, orig_sr=self.sample_rate, target_sr=sample_rate)
        return Audio(torch.from_numpy(np.ascontiguousarray(resampled, dtype=np.float32)), sample_rate)

    def mono(self, sample_rate: int) -> Tensor:
        """The mean of all channels (S,) at another rate; S is the duration at that rate, rounded up."""
        return Audio(self.waveform.mean(0, keepdim=True), self.sample_rate).resampled(sample_rate).waveform[0]


class ArrivingAudio:
    """A sound track that arrives while it is being used: one thread pushes, one takes.

    Attributes:
        sample_rate: samples a second.
        channels: of every piece.

    Raises:
        ValueError: a rate or a number of channels that no sound has.
    """

    def __init__(self, sample_rate: int, channels: int = 1) -> None:
        Audio(torch.zeros(channels, 1), sample_rate)  # refuses what no sound has
        self.sample_rate, self.channels = sample_rate, channels
        self._pieces: deque[Tensor] = deque()
        self._taken = 0

    @classmethod
    def of(cls, audio: Audio) -> "ArrivingAudio":
        """A sound that is all there already."""
        arriving = cls(audio.sample_rate, len(audio.waveform))
        arriving.push(audio.waveform)
        return arriving

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
    import av

    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no sound file {path}.")
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.audio:
                raise ValueError(f"{path} has no sound track; give a sound file, or a video with sound.")
            return _decoded(container, path)
    except av.FFmpegError as error:
        raise ValueError(f"Cannot read the sound of {path}: {error.strerror}. Is it a sound file?") from error


def _decoded(container, path: str | os.PathLike[str]) -> Audio:
    import av

    stream = container.streams.audio[0]
    # To float only; the rate and the channels stay. Interleaved: PyAV 18 crashes on planar sound of eight channels.
    interleaved = av.AudioResampler(format="flt")
    blocks = [block.to_ndarray() for frame in container.decode(stream) for block in interleaved.resample(frame)]
    blocks += [block.to_ndarray() for block in interleaved.resample(None)]
    if not blocks:
        raise ValueError(f"The sound track of {path} is empty.")
    samples = np.concatenate(blocks, axis=1).reshape(-1, stream.channels)
    return Audio(torch.from_numpy(np.ascontiguousarray(samples.T)), stream.rate)
