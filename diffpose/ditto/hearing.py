"""Ditto's speech features: a HuBERT that takes sound in short chunks, and the feature stream that makes the chunks.

    |--3 past--|---5 encoded---|-2 ahead-|      video frames of a chunk; the next one begins five frames later

Source: diffpose spec section 6. Ditto publishes its HuBERT only as an ONNX graph, which needs onnxruntime.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...lp_core.liveportrait.checkpoint import CheckpointError
from ..speech.streaming import ArrivedSound

ChunkEncoder = Callable[[Tensor], Tensor]
"""Encodes sound (6480,) at 16 kHz to features (20, C), 50 a second."""

CHUNK = 6480  # samples
HEARD, AHEAD = 5, 2  # frames
BEFORE = 4  # frames before the encoded ones that cover the chunk's beginning
UNITS = slice(-14, -4)  # of the 20 features of a chunk, those of its five frames


class DittoFeatures:
    """A `streaming.StreamingFeatures` that encodes each chunk of five frames once.

    Args:
        encoder: the speech encoder.
    """

    def __init__(self, encoder: ChunkEncoder) -> None:
        self._encoder = encoder
        self._arrived = ArrivedSound("zero")
        self._chunks: dict[int, Tensor] = {}

    @property
    def samples(self) -> int:
        """See SpeechFeatures."""
        return self._arrived.samples

    def push(self, sound: Tensor) -> None:
        """Append sound (S,), 16 kHz; see `streaming.mono`."""
        self._arrived.push(sound)

    def between(self, start: int, end: int) -> Tensor:
        """See SpeechFeatures."""
        first = start // HEARD
        chunks = [self._chunk(index) for index in range(first, -(-end // HEARD))]
        return torch.cat(chunks)[None, start - first * HEARD :][:, : end - start]

    def forget(self, frame: int) -> None:
        """See SpeechFeatures."""
        first = frame // HEARD
        self._chunks = {index: chunk for index, chunk in self._chunks.items() if index >= first}
        self._arrived.forget((first + len(self._chunks)) * HEARD - BEFORE)

    def _chunk(self, index: int) -> Tensor:
        """Features (5, C) of the five frames that begin at frame 5 · index."""
        if index not in self._chunks:
            start = index * HEARD
            sound = self._arrived.frames(max(start - BEFORE, 0), max(start + HEARD + AHEAD, 0))[0]
            sound = F.pad(sound, (max(CHUNK - len(sound), 0), 0))[-CHUNK:]
            self._chunks[index] = self._encoder(sound)[UNITS].unflatten(0, (HEARD, -1)).mean(1)
        return self._chunks[index]


def onnx_encoder(path: str | os.PathLike[str]) -> ChunkEncoder:
    """Ditto's streaming HuBERT from hubert_streaming_fix_kv.onnx, run on the CPU.

    Raises:
        ValueError: onnxruntime is not installed.
        CheckpointError: onnxruntime cannot run the file, or the network has other inputs.
    """
    try:
        runtime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ValueError(
            "Ditto's speech encoder is an ONNX file, which needs onnxruntime: pip install onnxruntime."
        ) from error
    try:
        session = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own classes for every kind of damage
        raise CheckpointError(f"{path} cannot be run by onnxruntime: {error}. Download it again.") from error
    names = [entry.name for entry in session.get_inputs()]
    if len(names) != 1:
        raise CheckpointError(f"{path} takes {names}; Ditto's streaming HuBERT takes sound alone.")

    def encode(sound: Tensor) -> Tensor:
        features = session.run(None, {names[0]: sound[None].numpy()})[0]
        return torch.from_numpy(features).float().flatten(0, -2)

    return encode
