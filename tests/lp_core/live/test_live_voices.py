"""A microphone of this machine, with a stand-in for sounddevice: what it hears, and what goes wrong with it."""

import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from talking_head.lp_core.live.voices import microphone


class PortAudioError(Exception):
    """sounddevice's."""


class InputStream:
    """A microphone that hears three pieces at once and is unplugged."""

    opened: ClassVar[list["InputStream"]]
    trouble: tuple[str, ...] = ()

    def __init__(self, samplerate, blocksize, device, channels, callback) -> None:
        self.rate, self.device, self.callback = samplerate, device, callback
        self.size, self.active, self.is_closed = (blocksize, channels), False, False
        self._fail("open")
        self.opened.append(self)

    def _fail(self, step: str) -> None:
        if step in self.trouble:
            raise PortAudioError(f"cannot {step}")

    def __enter__(self):
        self._fail("start")
        for number in range(3):
            self.callback(np.full(self.size, number, np.float32), self.size[0], None, None)
        return self

    def __exit__(self, *_):
        self.is_closed = True


@pytest.fixture
def devices(monkeypatch):
    ours = type("OurStream", (InputStream,), {"opened": []})
    module = SimpleNamespace(PortAudioError=PortAudioError, InputStream=ours)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return ours


def test_what_it_hears_comes_in_order_until_it_is_unplugged(devices):
    pieces = microphone(48_000, "3")
    heard = [next(pieces) for _ in range(3)]
    with pytest.raises(OSError, match="has stopped; was it unplugged"):
        next(pieces)
    assert [piece.shape for piece in heard] == [(1, 960)] * 3
    assert torch.equal(torch.stack(heard)[:, 0, 0], torch.arange(3.0))
    (stream,) = devices.opened
    assert (stream.rate, stream.device) == (48_000, 3)
    assert stream.is_closed


def test_closing_it_lets_go_of_it(devices):
    pieces = microphone(48_000)
    next(pieces)
    pieces.close()
    assert devices.opened[0].is_closed


@pytest.mark.parametrize("step", ["open", "start"])
def test_one_that_cannot_be_used_is_said(devices, step):
    devices.trouble = (step,)
    with pytest.raises(ValueError, match=f"cannot be used: cannot {step}.*python -m sounddevice"):
        next(microphone(48_000))


def test_without_the_package_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ValueError, match="A microphone needs sounddevice"):
        next(microphone(48_000))
