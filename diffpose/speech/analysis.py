"""Analysis of a voice, 100 times a second: loudness, brightness, frication, activity and a mel spectrum.

All values are relative to the recording's own levels over the latest seconds and a short look-ahead, so that they
do not depend on gain or distance of the microphone, and so that a stream can compute them too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .curves import ANALYSIS_RATE, Curve, narrowed, smoothed, widened

SAMPLE_RATE = 16_000
HOP = SAMPLE_RATE // ANALYSIS_RATE  # samples between frames
WINDOW = 400  # samples, 25 ms
FFT_LENGTH = 512
MEL_BANDS = 32
MEL_RANGE = (60.0, 7600.0)  # Hz

# Hz: all of speech; dark and bright part of vowels; voicing and hiss.
BANDS = ((200, 4000), (150, 700), (900, 3500), (100, 1500), (3500, 7600))
BLOCK = 6_000  # windows transformed together, to bound the memory for long sound

POWER_FLOOR = 1e-10  # of a full-scale sine: -100 dB
SILENCE = -85.0  # dB relative to a full-scale sine; quieter is never speech
SPEECH_RANGE = 32.0  # dB below the reference level down to which sound counts as speech
LOUD_RANGE = 22.0  # dB below the reference level down to which a frame counts in the averages
REFERENCE_FALL = 6.0  # dB that the reference level may fall below its earlier maximum
LOUDNESS_RANGE = 24.0  # dB from loudness 0 to 1
STEADY = 6.0  # dB between quiet and loud frames; less is hum or hiss, not speech
MEL_SPAN = 12.0  # dB per unit of the normalised mel spectrum

CONTEXT, AHEAD, STEP = 6.0, 2.0, 0.5  # seconds: past and future span of the averages, and interval between them


@dataclass(frozen=True, eq=False)
class Speech:
    """Analysis of a voice in T = samples // HOP + 1 frames, the n-th centred on second n / ANALYSIS_RATE.

    Attributes:
        mels: (T, 32) logarithmic mel spectrum less its recent mean over loud frames, in units of 12 dB,
            clipped to -3.5 … 2.5.
        level: (T,) decibels between 200 and 4000 Hz, 0 for a full-scale sine.
        loudness: (T,) 0 … 1: level within the 24 dB below the recent loudest frames.
        brightness: (T,) 0 … 1: power in 900-3500 Hz relative to 150-700 Hz, 0.5 on the recent average; open
            vowels are bright.
        frication: (T,) 0 … 1: level of hiss (S, SH, F) relative to voicing while speaking.
        activity: (T,) 0 in silence … 1 while speaking, with soft edges.
    """

    mels: Curve
    level: Curve
    loudness: Curve
    brightness: Curve
    frication: Curve
    activity: Curve

    def __len__(self) -> int:
        return len(self.level)

    @property
    def times(self) -> Curve:
        """(T,) times of the frames in seconds."""
        return np.arange(len(self)) / ANALYSIS_RATE

    def activity_at(self, seconds: Curve) -> Curve:
        """Activity (N,) at any times in seconds; values beyond the ends are held."""
        return np.interp(seconds, self.times, self.activity)


def analyse(samples: Tensor) -> Speech:
    """Analysis of mono sound (S,), S ≥ 1, at SAMPLE_RATE (`Audio.mono(SAMPLE_RATE)`)."""
    return analyse_pieces([samples])


def analyse_pieces(pieces: Iterable[Tensor]) -> Speech:
    """Analysis of sound in consecutive pieces (n,), read lazily to bound the memory (`Audio.mono_pieces`)."""
    decibels = _decibels(piece.numpy() for piece in pieces)
    mels, (whole, dark, bright, body, hiss) = decibels[:, :MEL_BANDS].T, decibels[:, MEL_BANDS:].T
    level = smoothed(whole, 0.01)
    reference, floor = _recent_levels(level)
    loud = level > np.maximum(reference - LOUD_RANGE, SILENCE)
    activity = _activity(level, reference, floor)
    return Speech(
        mels=np.stack([_normalised(mel, loud) for mel in mels], -1),
        level=level,
        loudness=np.clip((level - np.maximum(reference, SILENCE + 10)) / LOUDNESS_RANGE + 1, 0, 1),
        brightness=_brightness(smoothed(bright - dark, 0.015), loud),
        frication=activity * smoothed(np.clip((hiss - body + 5) / 15, 0, 1), 0.015),
        activity=activity,
    )


def power_spectra(pieces: Iterable[NDArray[np.float32]]) -> Iterator[Curve]:
    """Power spectra (T, 257) of Hann windows centred on every HOP-th sample of a sound in pieces (n,), in blocks.

    A full-scale sine peaks at 1. An offset would leak into all bands, so it is subtracted in every window; samples
    beyond the ends repeat the outermost, since a step from zero to an offset would be a click.
    """
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    waiting = np.zeros(0, np.float32)
    for piece in _held_at_the_ends(pieces):
        waiting = np.concatenate([waiting, piece.astype(np.float32)])
        while len(waiting) >= WINDOW:
            frames = np.lib.stride_tricks.sliding_window_view(waiting, WINDOW)[::HOP][:BLOCK]
            offset = frames @ window / window.sum()
            spectrum = np.fft.rfft((frames - offset[:, None]) * window, FFT_LENGTH)
            yield np.abs(spectrum) ** 2 * (2 / window.sum()) ** 2
            waiting = waiting[HOP * len(frames) :]


def _held_at_the_ends(pieces: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The pieces (n,) of a sound, extended at both ends by half a window of the outermost sample."""
    last = None
    for piece in pieces:
        if len(piece):
            if last is None:
                yield np.full(WINDOW // 2, piece[0])
            last = piece[-1]
            yield piece
    if last is not None:
        yield np.full(WINDOW // 2, last)


def mel_filters() -> NDArray[np.float32]:
    """Triangular filters (32, 257) of height 1, evenly spaced in mel.

    Source: O'Shaughnessy 1987: 2595 log10(1 + f / 700).
    """
    import librosa

    low, high = MEL_RANGE
    return librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=FFT_LENGTH, n_mels=MEL_BANDS, fmin=low, fmax=high, htk=True, norm=None
    )


def _decibels(pieces: Iterable[NDArray[np.float32]]) -> Curve:
    """Decibels (T, 32 + 5) of the mel bands and of BANDS."""
    frequencies = np.fft.rfftfreq(FFT_LENGTH, 1 / SAMPLE_RATE)
    bands = [(frequencies >= low) & (frequencies <= high) for low, high in BANDS]
    filters = np.concatenate([mel_filters(), np.array(bands, np.float32)])
    return np.concatenate([10 * np.log10(power @ filters.T + POWER_FLOOR) for power in power_spectra(pieces)])


def _normalised(mel: Curve, loud: NDArray[np.bool_]) -> NDArray[np.float32]:
    """One mel band (T,) in dB less its recent mean over loud frames, as in `Speech.mels`."""
    return np.clip((mel - _recent_mean(mel, loud)) / MEL_SPAN, -3.5, 2.5).astype(np.float32)


def _brightness(tilt: Curve, loud: NDArray[np.bool_]) -> Curve:
    """Brightness (T,) of a spectral tilt (T,) in dB, relative to its recent mean and standard deviation."""
    mean, square = _recent_mean(tilt, loud), _recent_mean(tilt**2, loud)
    deviation = np.sqrt(np.maximum(square - mean**2, 1.0))
    return np.clip((tilt - mean) / (2 * deviation) + 0.5, 0, 1)


def _activity(level: Curve, reference: Curve, floor: Curve) -> Curve:
    """Voice activity (T,), extended by 40 ms on both sides."""
    above_noise = np.minimum(floor + 8, reference - 12)
    threshold = np.maximum(np.maximum(above_noise, reference - SPEECH_RANGE), SILENCE)
    spoken = (level > threshold) & (reference - floor > STEADY)
    bridged = narrowed(widened(spoken.astype(float), 0.08), 0.04)
    return np.clip(smoothed(bridged, 0.05), 0, 1)


def _recent_levels(level: Curve) -> tuple[Curve, Curve]:
    """Loudest (95th percentile) and quietest (5th) level in the surrounding seconds, each (T,).

    The fall of the loudest is limited, so that breath in a long pause is not taken for speech.
    """
    centres = np.arange(0, len(level) + STEP * ANALYSIS_RATE, STEP * ANALYSIS_RATE)
    spans = [slice(max(0, int(c - CONTEXT * ANALYSIS_RATE)), int(c + AHEAD * ANALYSIS_RATE)) for c in centres]
    quiet, loudest = np.array([np.percentile(level[span], (5, 95)) for span in spans]).T
    loudest = np.maximum(loudest, np.maximum.accumulate(loudest) - REFERENCE_FALL)
    moments = np.arange(len(level))
    return np.interp(moments, centres, loudest), np.interp(moments, centres, quiet)


def _recent_mean(values: Curve, counted: NDArray[np.bool_]) -> Curve:
    """Means (T,) of counted values (T,), over the latest CONTEXT + AHEAD seconds of them, AHEAD seconds ahead."""
    if not counted.any():
        return values
    sums = np.concatenate([[0.0], np.cumsum(values[counted], dtype=np.float64)])
    counts = np.cumsum(counted)
    ahead = np.minimum(np.arange(len(values)) + int(AHEAD * ANALYSIS_RATE), len(values) - 1)
    last = np.maximum(counts[ahead], 1)
    first = np.maximum(last - int((CONTEXT + AHEAD) * ANALYSIS_RATE), 0)
    return (sums[last] - sums[first]) / (last - first)
