"""Sources of live speech: a sound in real time, or a microphone of this machine."""

import importlib
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import torch
from torch import Tensor

PIECE = 0.02  # seconds; longer pieces delay their first frames
WAKE = 0.2  # seconds; a wait on a queue without a time limit would block Ctrl-C


def at_its_pace(
    waveform: Tensor,
    sample_rate: int,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Generator[Tensor, None, None]:
    """Yields pieces (channels, S) of a sound in real time, each when it has been played to its end.

    Args:
        waveform: (channels, S).
        sample_rate: samples a second.
        clock: returns monotonic seconds.
        wait: sleeps for a number of seconds.
    """
    begun, given = clock(), 0
    for piece in waveform.split(round(PIECE * sample_rate), dim=1):
        given += piece.shape[1]
        wait(max(begun + given / sample_rate - clock(), 0.0))
        yield piece


def microphone(sample_rate: int, device: str | None = None) -> Generator[Tensor, None, None]:
    """Yields pieces (1, S) from a microphone without end; closing the generator closes the microphone.

    Args:
        sample_rate: samples a second.
        device: its name or number, as `python -m sounddevice` lists them; the system's default when None.

    Raises:
        ValueError: sounddevice is not installed, or there is no such microphone.
        OSError: the microphone was disconnected.
    """
    sounddevice = sound_devices()
    pieces: SimpleQueue[Tensor] = SimpleQueue()
    named = int(device) if device is not None and device.isdigit() else device
    try:
        stream = sounddevice.InputStream(
            samplerate=sample_rate,
            blocksize=round(PIECE * sample_rate),
            device=named,
            channels=1,
            callback=lambda samples, _frames, _time, _status: pieces.put(torch.from_numpy(samples.T.copy())),
        )
        with stream:  # starts the recording
            while stream.active or not pieces.empty():
                with suppress(Empty):
                    yield pieces.get(timeout=WAKE)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise ValueError(f"The microphone cannot be used: {error}. `python -m sounddevice` lists them.") from error
    raise OSError("The microphone has stopped; was it unplugged?")


def sound_devices() -> Any:
    """The imported package sounddevice.

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
