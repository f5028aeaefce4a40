"""Synthetic speech with phoneme times, from the system's espeak-ng library.

espeak-ng is GPL-3: it is used for training and measurements, never by the pack itself. It is loaded as the system
library (Debian: `apt install libespeak-ng1`) or from the Python package `espeakng-loader`.
"""

import ctypes
import ctypes.util
from ctypes import POINTER, Structure, c_char, c_int, c_short, c_uint, c_void_p
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

SYNCHRONOUS = 2
PHONEME_EVENTS_IN_IPA = 0x1 | 0x2
UTF8 = 1
RATE_PARAMETER, PITCH_PARAMETER, RANGE_PARAMETER = 1, 3, 4
END_OF_EVENTS, PHONEME = 0, 7


@dataclass(frozen=True)
class Phoneme:
    """A phoneme: its IPA symbol ("" is a pause) from `start` to `end` seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Utterance:
    """Synthesised speech.

    Attributes:
        samples: (S,) float32 in -1 … 1.
        rate: samples a second.
        phonemes: consecutive, without gaps, up to the end.
    """

    samples: NDArray[np.float32]
    rate: int
    phonemes: tuple[Phoneme, ...]


class _Event(Structure):
    _fields_ = (
        ("type", c_int),
        ("identifier", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("milliseconds", c_int),
        ("sample", c_int),
        ("user_data", c_void_p),
        ("text", c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


def speak(
    text: str, voice: str = "en-us", words_per_minute: int = 165, pitch: int = 50, range_: int = 50
) -> Utterance:
    """Text spoken by a voice such as "en-us" or "de+f2" (language + variant).

    Args:
        text: in any language.
        voice: espeak-ng's name of the voice.
        words_per_minute: 80 … 450.
        pitch: 0 … 100, 50 is the voice's default.
        range_: range of intonation, 0 … 100.

    Raises:
        ValueError: the voice does not exist.
        OSError: espeak-ng is not installed.
    """
    library, rate = _library()
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices` lists them.")
    settings = ((RATE_PARAMETER, words_per_minute), (PITCH_PARAMETER, pitch), (RANGE_PARAMETER, range_))
    for parameter, value in settings:
        library.espeak_SetParameter(parameter, value, 0)
    blocks: list[NDArray[np.float32]] = []
    marks: list[tuple[float, str]] = []
    listener = _Callback(lambda wave, count, events: _collect(wave, count, events, blocks, marks))
    library.espeak_SetSynthCallback(listener)
    data = text.encode() + b"\0"
    library.espeak_Synth(data, len(data), 0, 0, 0, UTF8, None, None)
    samples = np.concatenate([*blocks, np.zeros(1, np.float32)])
    return Utterance(samples, rate, _phonemes(marks, len(samples) / rate))


def _collect(wave, count: int, events, blocks: list, marks: list) -> int:
    """Append a block of samples and the phonemes that begin in it; espeak-ng's synthesis callback."""
    if wave and count:
        blocks.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / 32768)
    index = 0
    while events[index].type != END_OF_EVENTS:
        if events[index].type == PHONEME:
            marks.append((events[index].milliseconds / 1000, events[index].text.decode(errors="ignore")))
        index += 1
    return 0


def _phonemes(marks: list[tuple[float, str]], duration: float) -> tuple[Phoneme, ...]:
    starts = [0.0, *(start for start, _ in marks), duration]
    symbols = ["", *(symbol for _, symbol in marks)]
    spans = zip(symbols, starts[:-1], starts[1:], strict=True)
    return tuple(Phoneme(symbol, start, end) for symbol, start, end in spans if end > start)


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    """The initialised library, and its sample rate."""
    name, data = _location()
    library = ctypes.CDLL(name)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data, PHONEME_EVENTS_IN_IPA)
    if rate <= 0:
        raise OSError(f"espeak-ng ({name}) did not start; is its data (espeak-ng-data) installed?")
    return library, rate


def _location() -> tuple[str, bytes | None]:
    """Path of the library, and of its data; None for the library's default."""
    found = ctypes.util.find_library("espeak-ng")
    if found:
        return found, None
    try:
        import espeakng_loader  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise OSError(
            "espeak-ng is not installed: apt install libespeak-ng1, or pip install espeakng-loader."
        ) from error
    return espeakng_loader.get_library_path(), espeakng_loader.get_data_path().encode()
