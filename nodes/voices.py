"""MixVoices: several voices on one timeline."""

from typing import Any

import torch

from ..lp_core.media.audio import Audio
from ..lp_core.media.voices import mixed, on_one_timeline, starts_in_turn
from .node import Node
from .wires import audio_of, optional_audio, sound_of

VOICES = 4
IN_TURN, FROM_THE_BEGINNING = "one after another", "from the beginning"
LONGEST_WAIT = 3600.0  # seconds


class MixVoices(Node):
    """AUDIOs to AUDIOs of one length and their mix."""

    DESCRIPTION = (
        "Arranges up to four voices in one video, in turn or overlapping. Returns each voice alone, with silence "
        "while the others speak, for its own face, and the mix for the video. All have the same length."
    )
    SEARCH_ALIASES = ("talking head", "several speakers", "dialogue", "conversation", "join audio", "merge audio")
    RETURN_TYPES = ("AUDIO",) * (VOICES + 1)
    RETURN_NAMES = ("mix", *(f"voice_{number}" for number in range(1, VOICES + 1)))
    OUTPUT_TOOLTIPS = (
        "All voices together, for the video.",
        "The first voice alone, for the AudioToMotion of the face that speaks it.",
        "The second voice alone.",
        "The third voice alone; silence when none is connected, for a listening face.",
        "The fourth voice alone; silence when none is connected.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "voice_1": ("AUDIO", {"tooltip": "The first voice."}),
                "voice_2": ("AUDIO", {"tooltip": "The second voice."}),
                "order": ([IN_TURN, FROM_THE_BEGINNING], {"default": IN_TURN, "tooltip": (
                    "Reference of the start times: the end of the previous voice, so that they are pauses, or the "
                    "beginning of the video, so that voices may overlap."
                )}),
                **{f"start_{number}": _start(number) for number in range(1, VOICES + 1)},
            },
            "optional": {
                "voice_3": ("AUDIO", {"tooltip": "A third voice."}),
                "voice_4": ("AUDIO", {"tooltip": "A fourth voice."}),
            },
        }  # fmt: skip

    def run(
        self,
        voice_1: dict[str, Any],
        voice_2: dict[str, Any],
        order: str,
        start_1: float,
        start_2: float,
        start_3: float,
        start_4: float,
        voice_3: dict[str, Any] | None = None,
        voice_4: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], ...]:
        """The mix, and each voice alone."""
        waits = (start_1, start_2, start_3, start_4)
        heard = (audio_of(voice_1), audio_of(voice_2), optional_audio(voice_3), optional_audio(voice_4))
        connected = {index: voice for index, voice in enumerate(heard) if voice is not None}
        voices, starts = list(connected.values()), [waits[index] for index in connected]
        tracks = on_one_timeline(voices, starts_in_turn(voices, starts) if order == IN_TURN else starts)
        mix = mixed(tracks)
        alone = [Audio(torch.zeros_like(mix.waveform), mix.sample_rate)] * VOICES
        for index, track in zip(connected, tracks, strict=True):
            alone[index] = track
        return tuple(sound_of(track) for track in (mix, *alone))


def _start(number: int) -> tuple[str, dict[str, Any]]:
    waits = {"default": 0.0 if number == 1 else 0.3, "min": -LONGEST_WAIT, "max": LONGEST_WAIT, "step": 0.05}
    tooltip = (
        f"Start of voice {number}, in seconds, from the point set by order. With one after another, negative "
        "values overlap the previous voice."
    )
    return ("FLOAT", {**waits, "tooltip": tooltip})
