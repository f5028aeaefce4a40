"""Frames from a device to the host while the next ones are drawn.

On CUDA (and ROCm) copies run on a stream of their own into a ring of pinned buffers, each with an event; nothing
waits but for the event of the copy that it needs, and that asleep. Elsewhere the same code copies at once.
It was tested with a stand-in for CUDA that records the order of things, and never run on a GPU.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from .opencv import eight_bits

SLOTS = 2  # batches that are on their way at once


class Event(Protocol):
    """A moment in a device's work."""

    def query(self) -> bool:
        """Whether it has come."""
        ...

    def synchronize(self) -> None:
        """Sleep until it has come."""
        ...


class CopyStream(Protocol):
    """What carries tensors between the host and one device."""

    def buffer(self, like: Tensor) -> Tensor:
        """A tensor on the host that can be copied to."""
        ...

    def copy(self, source: Tensor, target: Tensor) -> Event:
        """Copy to the host once all asked of the device so far is done; gives the moment of arrival."""
        ...

    def sent(self, tensor: Tensor) -> Tensor:
        """The tensor of the host on the device, without waiting for it."""
        ...


class Now:
    """The moment that has come."""

    def query(self) -> bool:
        """See `Event`."""
        return True

    def synchronize(self) -> None:
        """See `Event`."""


class PlainCopyStream:
    """A copy_stream without streams: everything is done at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def buffer(self, like: Tensor) -> Tensor:
        """See `CopyStream`."""
        return torch.empty_like(like, device="cpu")

    def copy(self, source: Tensor, target: Tensor) -> Event:
        """See `CopyStream`."""
        target.copy_(source)
        return Now()

    def sent(self, tensor: Tensor) -> Tensor:
        """See `CopyStream`."""
        return tensor.to(self._device)


class CudaCopyStream:
    """Copies of a CUDA device: a stream, pinned memory, events that put the waiting thread to sleep."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def buffer(self, like: Tensor) -> Tensor:
        """See `CopyStream`."""
        return torch.empty(like.shape, dtype=like.dtype, pin_memory=True)

    def copy(self, source: Tensor, target: Tensor) -> Event:
        """See `CopyStream`."""
        done = torch.cuda.Event(blocking=True)
        drawn = torch.cuda.current_stream(self._device).record_event()
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(drawn)
            target.copy_(source, non_blocking=True)
            source.record_stream(self._stream)  # its memory is not given to others before the copy is done
            done.record(self._stream)
        return done

    def sent(self, tensor: Tensor) -> Tensor:
        """See `CopyStream`."""
        return tensor.pin_memory().to(self._device, non_blocking=True)


def copy_stream_to(device: torch.device) -> CopyStream:
    """The fastest copy_stream of a device."""
    return CudaCopyStream(device) if device.type == "cuda" else PlainCopyStream(device)


def promised(value: Tensor, copy_stream: CopyStream) -> Callable[[], bool]:
    """A condition () that a device works out, without waiting: who asks for it waits."""
    place = copy_stream.buffer(value)
    known = copy_stream.copy(value, place)

    def answer() -> bool:
        known.synchronize()
        return bool(place)

    return answer


def on_host(batches: Iterable[Tensor], eight_bits: bool = False) -> Iterator[Tensor]:
    """Batches (B, H, W, C) on the host, copied while the next ones are drawn; those there already pass as they are.

    Args:
        batches: of one device, a few of which are on their way at once.
        eight_bits: frames in 0…1 become uint8 on the device, a quarter of the bytes.
    """
    arriving = iter(batches)
    first = next(arriving, None)
    if first is None:
        return
    device, whole = first.device, chain(iter([first]), arriving)
    del first  # long videos: nothing but what is on its way is kept
    if device.type == "cpu":
        yield from whole
    else:
        yield from carried((as_bytes(batch) for batch in whole) if eight_bits else whole, copy_stream_to(device))


def carried(batches: Iterable[Tensor], copy_stream: CopyStream, slots: int = SLOTS) -> Iterator[Tensor]:
    """Batches copied to the host through a ring of `slots` buffers, each given as soon as it has arrived."""
    waiting: deque[tuple[Tensor, Event]] = deque()
    free: list[Tensor] = []

    def arrived() -> Tensor:
        place, known = waiting.popleft()
        known.synchronize()
        batch = place.clone()
        free.append(place)
        return batch

    for batch in batches:
        while waiting and (len(waiting) == slots or waiting[0][1].query()):
            yield arrived()
        place = free.pop() if free and free[-1].shape == batch.shape else copy_stream.buffer(batch)
        waiting.append((place, copy_stream.copy(batch, place)))
    while waiting:
        yield arrived()


def as_bytes(frames: Tensor) -> Tensor:
    """Frames in 0…1 as rounded uint8, on their device."""
    return eight_bits(frames)
