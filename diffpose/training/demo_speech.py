"""Makes the bundled voice, workflows/demo_speech.wav, and its phoneme times for the tests.

`python -m talking_head.diffpose.training.demo_speech`. The words are ours; the voice is espeak-ng 1.51's.
"""

import json
import wave
from dataclasses import astuple
from pathlib import Path

import numpy as np

from .espeak import speak

TEXT = "Hello, and welcome! I am a portrait that can move and speak. Give me any voice, and my lips will follow."
VOICE, WORDS_PER_MINUTE = "en-us+f2", 155
ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "workflows" / "demo_speech.wav"
PHONEMES = ROOT / "tests" / "golden" / "speech" / "demo_phonemes.json"


def main() -> None:
    """Write both files."""
    spoken = speak(TEXT, VOICE, WORDS_PER_MINUTE)
    with wave.open(str(SPEECH), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(spoken.rate)
        file.writeframes((spoken.samples * 32768).clip(-32768, 32767).astype(np.int16).tobytes())
    rows = [json.dumps(astuple(phoneme), ensure_ascii=False) for phoneme in spoken.phonemes]
    PHONEMES.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
