"""Mouth shapes of phonemes: the table from which training targets of the viseme nets are made."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from ...speech.curves import ANALYSIS_RATE, Curve, smoothed
from .espeak import Phoneme


@dataclass(frozen=True)
class Articulation:
    """Mouth shape of a sound, and its dominance over neighbouring sounds.

    Attributes:
        opening: between the inner lips, eye distances.
        width: relative to rest, eye distances.
        pout: protrusion of the lips, eye distances.
        closure: 0 … 1 lips pressed together.
        tongue: 0 … 1 tongue at the teeth.
        tuck: 0 … 1 lower lip under the upper teeth.
        hold_opening: dominance of opening, closure and tuck; 1 is an ordinary sound.
        hold_shape: dominance of width and pout.
    """

    opening: float = 0.0
    width: float = 0.0
    pout: float = 0.0
    closure: float = 0.0
    tongue: float = 0.0
    tuck: float = 0.0
    hold_opening: float = 0.6
    hold_shape: float = 0.35


def _vowel(opening: float, width: float = 0.0, pout: float = 0.0, tongue: float = 0.0) -> Articulation:
    return Articulation(opening, width, pout, tongue=tongue, hold_opening=1.2, hold_shape=1.2)


def _bilabial() -> Articulation:
    return Articulation(pout=0.005, closure=1.0, hold_opening=4.0, hold_shape=0.3)


# Amplitudes from recordings of three talkers: openings 0.07-0.11 on average and 0.16-0.23 at their 95th percentile.
TABLE = {
    "a": _vowel(0.155, 0.015), "æ": _vowel(0.145, 0.03), "ɑ": _vowel(0.165, -0.005), "ɐ": _vowel(0.13),
    "ʌ": _vowel(0.115), "ɛ": _vowel(0.105, 0.03), "e": _vowel(0.085, 0.04, tongue=0.2),
    "ɪ": _vowel(0.065, 0.03, tongue=0.2), "i": _vowel(0.05, 0.05, tongue=0.3), "ᵻ": _vowel(0.06, 0.02, tongue=0.2),
    "ɨ": _vowel(0.055, 0.01, tongue=0.2), "o": _vowel(0.095, -0.06, 0.03), "ɔ": _vowel(0.12, -0.045, 0.02),
    "ɒ": _vowel(0.14, -0.025, 0.015), "ʊ": _vowel(0.06, -0.055, 0.03), "u": _vowel(0.045, -0.085, 0.045),
    "ʉ": _vowel(0.045, -0.07, 0.04), "ɯ": _vowel(0.05, 0.01), "ɤ": _vowel(0.08, 0.01),
    "ɵ": _vowel(0.065, -0.06, 0.03), "y": _vowel(0.045, -0.075, 0.04, 0.2), "ʏ": _vowel(0.05, -0.06, 0.035, 0.2),
    "ø": _vowel(0.07, -0.06, 0.03), "œ": _vowel(0.09, -0.045, 0.03), "ɶ": _vowel(0.12, -0.03, 0.02),
    "ə": _vowel(0.07), "ɘ": _vowel(0.065), "ɜ": _vowel(0.075, -0.02, 0.01), "ɞ": _vowel(0.08, -0.03, 0.015),
    "ɚ": _vowel(0.06, -0.035, 0.02), "ɝ": _vowel(0.06, -0.035, 0.02),
    "p": _bilabial(), "b": _bilabial(), "m": _bilabial(), "ɓ": _bilabial(),
    "β": Articulation(0.015, 0, 0.01, closure=0.6, hold_opening=2, hold_shape=0.3),
    "f": Articulation(0.018, 0.005, -0.005, tuck=1, hold_opening=3, hold_shape=0.4),
    "v": Articulation(0.018, 0.005, -0.005, tuck=1, hold_opening=2.5, hold_shape=0.4),
    "ʋ": Articulation(0.03, tuck=0.5, hold_opening=1, hold_shape=0.4),
    "w": Articulation(0.025, -0.085, 0.045, hold_opening=1.6, hold_shape=2.5),
    "ɥ": Articulation(0.03, -0.075, 0.04, hold_opening=1.4, hold_shape=2),
    "ɹ": Articulation(0.045, -0.04, 0.025, tongue=0.2), "ɻ": Articulation(0.045, -0.03, 0.02, tongue=0.2),
    "r": Articulation(0.06, -0.01, tongue=0.5), "ɾ": Articulation(0.06, tongue=0.5),
    "ɽ": Articulation(0.06, tongue=0.5), "ʁ": Articulation(0.06), "ʀ": Articulation(0.06),
    "l": Articulation(0.07, 0.005, tongue=0.8), "ɫ": Articulation(0.065, -0.015, tongue=0.7),
    "ɭ": Articulation(0.065, tongue=0.6), "ʎ": Articulation(0.06, 0.02, tongue=0.6),
    "n": Articulation(0.05, 0.01, tongue=0.7), "ɳ": Articulation(0.05, tongue=0.6),
    "ɲ": Articulation(0.05, 0.02, tongue=0.5), "ŋ": Articulation(0.055, 0.01),
    "t": Articulation(0.045, 0.012, tongue=0.6), "d": Articulation(0.045, 0.012, tongue=0.6),
    "ʈ": Articulation(0.045, tongue=0.5), "ɖ": Articulation(0.045, tongue=0.5),
    "ɗ": Articulation(0.045, tongue=0.6),
    "θ": Articulation(0.05, 0.01, tongue=1), "ð": Articulation(0.05, 0.01, tongue=1),
    "s": Articulation(0.03, 0.025, tongue=0.3, hold_opening=1.3, hold_shape=0.7),
    "z": Articulation(0.03, 0.025, tongue=0.3, hold_opening=1.3, hold_shape=0.7),
    "ʃ": Articulation(0.05, -0.055, 0.04, tongue=0.2, hold_opening=1.3, hold_shape=2),
    "ʒ": Articulation(0.05, -0.055, 0.04, tongue=0.2, hold_opening=1.3, hold_shape=2),
    "ʂ": Articulation(0.05, -0.04, 0.03, tongue=0.2, hold_opening=1.3, hold_shape=1.5),
    "ʐ": Articulation(0.05, -0.04, 0.03, tongue=0.2, hold_opening=1.3, hold_shape=1.5),
    "ɕ": Articulation(0.04, -0.02, 0.02, tongue=0.2), "ʑ": Articulation(0.04, -0.02, 0.02, tongue=0.2),
    "ç": Articulation(0.045, 0.03, tongue=0.2), "j": Articulation(0.05, 0.035, tongue=0.3),
    "c": Articulation(0.05, 0.02, tongue=0.2), "ɟ": Articulation(0.05, 0.02, tongue=0.2),
    "k": Articulation(0.06, 0.01), "ɡ": Articulation(0.06, 0.01), "g": Articulation(0.06, 0.01),
    "q": Articulation(0.06), "ɣ": Articulation(0.06), "x": Articulation(0.06), "χ": Articulation(0.06),
    "h": Articulation(0.08), "ɦ": Articulation(0.08), "ħ": Articulation(0.09), "ʕ": Articulation(0.09),
}  # fmt: skip

REST = Articulation(hold_opening=1.0, hold_shape=1.0)
BILABIALS = ("p", "b", "m", "ɓ")
VOICELESS_STOPS, VOICED_STOPS = ("p", "t", "k", "q", "ʈ"), ("b", "d", "ɡ", "g", "ɖ")
CLOSING = 0.05  # seconds of silence before the phoneme event of espeak-ng's stops, which marks the burst
SHORTEST_PAUSE = 0.12  # seconds; the mouth does not reach rest in shorter ones

# Coarticulation per shape, in the order of Visemes: spread of the Gaussian and lead of the lips, seconds.
SPREAD = (0.032, 0.060, 0.060, 0.022, 0.040, 0.024)
LEAD = (0.015, 0.035, 0.035, 0.010, 0.015, 0.010)


@dataclass(frozen=True)
class Segment:
    """A mouth shape from `start` to `end` seconds."""

    articulation: Articulation
    symbol: str
    start: float
    end: float


def segments(phonemes: Sequence[Phoneme]) -> list[Segment]:
    """Mouth shapes of phonemes, ordered such that later ones overwrite earlier ones: stops last.

    The event of a voiceless or a short voiced stop marks its burst; the lips are closed in the silence before it.
    """
    shapes = [segment for phoneme in phonemes for segment in _split(phoneme)]
    moved = [_before_burst(segment) if _is_burst(segment) else segment for segment in shapes]
    return sorted(moved, key=lambda segment: segment.articulation.closure)


def shape_targets(phonemes: Sequence[Phoneme], frames: int) -> Curve:
    """Mouth shapes (frames, 6) at ANALYSIS_RATE, in the order of Visemes, of timed phonemes.

    Neighbours are blended by dominance, which is high for M, B, P and F, and low for vowels and K.
    Source: Cohen and Massaro 1993, "Modeling coarticulation in synthetic visual speech".
    """
    values = np.zeros((frames, 6))
    dominance = np.full((frames, 6), 1e-3)
    for segment in segments(phonemes):
        first = round(segment.start * ANALYSIS_RATE)
        span = slice(max(first, 0), max(round(segment.end * ANALYSIS_RATE), first + 1))
        *shape, hold_opening, hold_shape = astuple(segment.articulation)
        values[span] = shape
        dominance[span] = (hold_opening, hold_shape, hold_shape, hold_opening, 1.0, hold_opening)
    moments = np.arange(frames)
    targets = np.zeros((frames, 6))
    for column, (spread, lead) in enumerate(zip(SPREAD, LEAD, strict=True)):
        weight = dominance[:, column]
        blended = smoothed(values[:, column] * weight, spread) / smoothed(weight, spread)
        targets[:, column] = np.interp(moments + lead * ANALYSIS_RATE, moments, blended)
    return targets


def unknown_symbols(phonemes: Sequence[Phoneme]) -> set[str]:
    """Symbols of phonemes without any letter in the table."""
    return {phoneme.symbol for phoneme in phonemes if phoneme.symbol.strip() and not _letters(phoneme.symbol)}


def _letters(symbol: str) -> list[str]:
    """The letters of an IPA symbol that are in the table, without length, tone and other marks."""
    if symbol.startswith("("):  # espeak-ng's mark of a change of language: "(en)"
        return []
    plain = (letter if letter in TABLE else unicodedata.normalize("NFD", letter)[0] for letter in symbol)
    return [letter for letter in plain if letter in TABLE]


def _split(phoneme: Phoneme) -> Iterator[Segment]:
    """One segment per letter: affricates and diphthongs in equal parts, rest for a pause."""
    letters = _letters(phoneme.symbol)
    if not letters and phoneme.end - phoneme.start > SHORTEST_PAUSE:
        yield Segment(REST, "", phoneme.start, phoneme.end)
    edges = np.linspace(phoneme.start, phoneme.end, len(letters) + 1)
    for letter, start, end in zip(letters, edges[:-1], edges[1:], strict=True):
        yield Segment(TABLE[letter], letter, float(start), float(end))


def _is_burst(segment: Segment) -> bool:
    short = segment.end - segment.start < CLOSING
    return segment.symbol in VOICELESS_STOPS or (segment.symbol in VOICED_STOPS and short)


def _before_burst(segment: Segment) -> Segment:
    return Segment(segment.articulation, segment.symbol, segment.start - CLOSING, segment.start + 0.01)
