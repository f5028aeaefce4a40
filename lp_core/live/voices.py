"""Where a live voice comes from: a file at its own pace, or a microphone of this machine."""

import importlib
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import torch
from torch import Tensor

PIECE = 0.02  # seconds; longer ones let the first frames of each wait
WAKE = 0.2  # seconds; a queue that waits without a limit would not let Ctrl-C through


def at_its_pace(
    waveform: Tensor,
    sample_rate: int,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Generator[Tensor, None, None]:
    """Pieces (channels, S) of a sound, each given when it would have been heard.

    Args:
        waveform: (channels, S).
        sample_rate: samples a second.
        clock: seconds from some moment on.
        wait: returns after so many seconds.
    """
    begun, given = clock(), 0
    for piece in waveform.split(round(PIECE * sample_rate), dim=1):
        given += piece.shape[1]
        wait(max(begun + given / sample_rate - clock(), 0.0))
        yield piece


def microphone(sample_rate: int, device: str | None = None) -> Generator[Tensor, None, None]:
    """Pieces (1, S) of what a microphone hears, as it hears them, without end; closing it lets go of it.

    Args:
        sample_rate: samples a second.
        device: its name or number, as `python -m sounddevice` lists them; the system's usual one when None.

    Raises:
        ValueError: sounddevice is not installed, or there is no such microphone.
        OSError: the microphone has gone.
    """
    sounddevice = sound_devices()
    heard: SimpleQueue[Tensor] = SimpleQueue()
    named = int(device) if device is not None and device.isdigit() else device
    try:
        stream = sounddevice.InputStream(
            samplerate=sample_rate,
            blocksize=round(PIECE * sample_rate),
            device=named,
            channels=1,
            callback=lambda samples, _frames, _time, _status: heard.put(torch.from_numpy(samples.T.copy())),
        )
        with stream:  # which starts it
            while stream.active or not heard.empty():
                with suppress(Empty):
                    yield heard.get(timeout=WAKE)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ValueError(f"The microphone cannot be used: {error}. `python -m sounddevice` lists them.") from error
    raise OSError("The microphone has stopped; was it unplugged?")


def sound_devices() -> Any:
    """The package sounddevice.

    Raises:
        ValueError: it is not installed, or the PortAudio library is not.
    """
    try:
        return importlib.import_module("sounddevice")
    except (ImportError, OSError) as error:  # OSError: the PortAudio library is missing
        raise ValueError(
            f'A microphone needs sounddevice ({error}): pip install "talking-head[live]"; on Linux also '
            "apt-get install libportaudio2. Or leave --microphone out and speak to the page."
        ) from error
