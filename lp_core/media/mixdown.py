"""The one place where channels are mixed to one."""

from itertools import pairwise

import torch
from torch import Tensor

BLOCK_SECONDS = 0.02  # after which it is judged anew whether channels cancel out
MEMORY_SECONDS = 0.3  # time constant of the powers that are compared
CANCELLING = 0.5  # of the power that the mean of unrelated channels would have; below it they cancel out
LOUDER = 2.0  # times the power of the channel in use that another must have to take its place


class Mixdown:
    """Sound mixed to one channel as it arrives; joined, its pieces are the same however the sound was cut.

    It is the mean of the channels. Where that cancels out, as in sound whose second channel is the first one upside
    down, it is the loudest channel. A block is judged by those before it.

    Args:
        sample_rate: of the sound.
    """

    def __init__(self, sample_rate: int) -> None:
        self._block = max(round(BLOCK_SECONDS * sample_rate), 1)  # samples
        self._keeping = 1 - BLOCK_SECONDS / MEMORY_SECONDS
        self._powers: Tensor | None = None  # of the mean, then of each channel
        self._current = torch.zeros(0)  # the same of the block that is not complete
        self._filled = 0  # samples of that block
        self._chosen: int | None = None  # the channel in use; None for the mean

    def mixed(self, piece: Tensor) -> Tensor:
        """The one channel (1, n) of a piece (channels, n ≥ 0) more."""
        mean = piece.mean(0, keepdim=True)
        if len(piece) == 1 or not piece.shape[1]:
            return mean
        bounds = [0, *range(self._block - self._filled, piece.shape[1], self._block), piece.shape[1]]
        every = torch.cat([mean, piece])
        return torch.cat([self._judged(every[:, a:b]) for a, b in pairwise(bounds)], 1)

    def _judged(self, every: Tensor) -> Tensor:
        """The channel in use of a piece (1 + channels, n) that lies within one block; the mean comes first."""
        chosen = every[:1] if self._chosen is None else every[self._chosen + 1 :][:1]
        power = every.double().square().sum(1)
        self._current = power if not self._filled else self._current + power
        self._filled += every.shape[1]
        if self._filled >= self._block:
            self._powers = self._current if self._powers is None else self._keeping * self._powers + self._current
            self._filled = 0
            self._choose(self._powers)
        return chosen

    def _choose(self, powers: Tensor) -> None:
        channels = powers[1:]
        if float(powers[0]) >= CANCELLING * float(channels.sum()) / len(channels) ** 2:
            self._chosen = None
        elif self._chosen is None or float(channels.max()) > LOUDER * float(channels[self._chosen]):
            self._chosen = int(channels.argmax())


def mono(waveform: Tensor, sample_rate: int) -> Tensor:
    """One channel (1, S) of a sound (channels, S), as `Mixdown` makes it."""
    return Mixdown(sample_rate).mixed(waveform)
