"""Makes the bundled voices: workflows/demo_speech.wav, with phoneme times for the tests, and demo_answer.wav.

`python -m talking_head.diffpose.training.shipped.demo_speech`. The texts are ours; the voices are espeak-ng 1.51's.
"""

import json
import wave
from dataclasses import astuple
from pathlib import Path

import numpy as np

from .espeak import Utterance, speak

TEXT = "Hello, and welcome! I am a portrait that can move and speak. Give me any voice, and my lips will follow."
VOICE, WORDS_PER_MINUTE = "en-us+f2", 155
ANSWER = "Thank you! And while you were speaking, I listened, and blinked."
ANSWERING_VOICE = "en-us+f4"
ROOT = Path(__file__).parents[3]
SPEECH, ANSWER_FILE = (ROOT / "workflows" / name for name in ("demo_speech.wav", "demo_answer.wav"))
PHONEMES = ROOT / "tests" / "golden" / "speech" / "demo_phonemes.json"


def main() -> None:
    """Write all files."""
    spoken = speak(TEXT, VOICE, WORDS_PER_MINUTE)
    _write(SPEECH, spoken)
    _write(ANSWER_FILE, speak(ANSWER, ANSWERING_VOICE, WORDS_PER_MINUTE))
    rows = [json.dumps(astuple(phoneme), ensure_ascii=False) for phoneme in spoken.phonemes]
    PHONEMES.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


def _write(path: Path, spoken: Utterance) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(spoken.rate)
        file.writeframes((spoken.samples * 32768).clip(-32768, 32767).astype(np.int16).tobytes())


if __name__ == "__main__":
    main()
