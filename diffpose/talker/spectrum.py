"""SadTalker's mel spectrum: 80 bands and 80 columns a second of 16 kHz sound, and one window per video frame.

Source: the preprocessing of Wav2Lip (Prajwal et al. 2020) as in SadTalker (Zhang et al. 2023). The STFT is
zero-padded at both ends, as was librosa's default then; it changed between releases.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000
FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
WINDOW = 800  # samples, 50 ms; also the FFT's length
HOP = 200  # samples between columns
COLUMN_RATE = SAMPLE_RATE // HOP  # columns a second
BANDS = 80
BAND_RANGE = (55.0, 7600.0)  # Hz
PREEMPHASIS = 0.97
AMPLITUDE_FLOOR = 1e-5  # -100 dB
REFERENCE = 20.0  # dB subtracted
SILENCE = -4.0  # value of every band in digital silence; the maximum is 4
COLUMNS = 16  # columns in the window of one video frame
LEAD = 2  # video frames by which a window starts before its frame


class MelStream:
    """Computes columns of the spectrum from streamed samples; they do not depend on the chunk size."""

    def __init__(self) -> None:
        self._waiting = torch.zeros(WINDOW // 2)  # zeros before the beginning; later, unused samples
        self._last = torch.zeros(1)  # the sample before the next chunk

    def push(self, samples: Tensor) -> Tensor:
        """New columns (N, 80), N ≥ 0, after more samples (S,)."""
        if not len(samples):
            return torch.zeros(0, BANDS)
        emphasised = samples - PREEMPHASIS * torch.cat([self._last, samples[:-1]])
        self._last = samples[-1:].clone()
        return self._columns(emphasised)

    def finish(self) -> Tensor:
        """The last columns (N, 80), with zeros beyond the end."""
        return self._columns(torch.zeros(WINDOW // 2))

    def _columns(self, emphasised: Tensor) -> Tensor:
        waiting = torch.cat([self._waiting, emphasised])
        count = max((len(waiting) - WINDOW) // HOP + 1, 0)
        self._waiting = waiting[count * HOP :]
        if not count:
            return torch.zeros(0, BANDS)
        return _log_mel(waiting.unfold(0, WINDOW, HOP))


def mel_spectrum(samples: Tensor) -> Tensor:
    """Mel spectrum (1 + S // 200, 80) of mono sound (S,) at 16 kHz, values -4 (silence) … 4."""
    stream = MelStream()
    return torch.cat([stream.push(samples), stream.finish()])


def window_start(frame: int) -> int:
    """First column of a video frame's window: 3.2 (frame - 2) rounded towards zero, -6 and -3 for the first two.

    Rounding down would shift frame 1 by one column.
    """
    start = COLUMN_RATE * abs(frame - LEAD) // FPS
    return start if frame >= LEAD else -start


def mel_windows(columns: Tensor, frames: range, offset: int = 0) -> Tensor:
    """Windows (T, 80, 16) of video frames; beyond either end the outermost column repeats.

    Args:
        columns: (M, 80) part of the spectrum that begins at column `offset`.
        frames: range of video frame indices, counted from the beginning.
        offset: number of columns before `columns`.
    """
    starts = torch.tensor([window_start(frame) - offset for frame in frames])
    places = (starts[:, None] + torch.arange(COLUMNS)).clamp(0, len(columns) - 1)
    return columns[places].mT


def windows_of(samples: Tensor) -> Tensor:
    """Windows (T, 80, 16) of all video frames of mono sound (S,) at 16 kHz; the last may extend beyond it."""
    frames = -(-len(samples) // SAMPLES_PER_FRAME)
    return mel_windows(mel_spectrum(whole_frames(samples, frames)), range(frames))


def whole_frames(samples: Tensor, frames: int) -> Tensor:
    """Sound (S,) trimmed or padded with silence to `frames` video frames."""
    wanted = frames * SAMPLES_PER_FRAME
    return F.pad(samples[:wanted], (0, max(wanted - len(samples), 0)))


def silent_window() -> Tensor:
    """Window (1, 80, 16) of digital silence."""
    return torch.full((1, BANDS, COLUMNS), SILENCE)


def mel_filters(bands: int, fft_length: int, low: float, high: float) -> Tensor:
    """Triangular filters (bands, fft_length / 2 + 1) of unit area in Hz, evenly spaced in Slaney's mel; 16 kHz."""
    import librosa

    return torch.from_numpy(
        librosa.filters.mel(sr=SAMPLE_RATE, n_fft=fft_length, n_mels=bands, fmin=low, fmax=high)
    )


def _log_mel(frames: Tensor) -> Tensor:
    """Columns (N, 80) of windows (N, 800) of pre-emphasised sound."""
    spectrum = torch.fft.rfft(frames * torch.hann_window(WINDOW)).abs()
    decibels = 20 * torch.log10((spectrum @ _filters().T).clamp(min=AMPLITUDE_FLOOR)) - REFERENCE
    return (8 * (decibels + 100) / 100 - 4).clamp(-4, 4)


@cache
def _filters() -> Tensor:
    return mel_filters(BANDS, WINDOW, *BAND_RANGE)
