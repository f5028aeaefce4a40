"""Frames from a device to the host while the next ones are drawn.

On CUDA (and ROCm) copies run on a stream of their own into a ring of pinned buffers, each with an event; the host
waits only for the event of the copy that it needs, without spinning. Elsewhere the same code copies synchronously.
It is tested with a fake of CUDA that records the order of operations, and has not been run on a GPU.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from .opencv import eight_bits

SLOTS = 2  # batches in flight


class Event(Protocol):
    """A point in a device's queue of work."""

    def query(self) -> bool:
        """Returns whether the device has reached it."""
        ...

    def synchronize(self) -> None:
        """Blocks, without spinning, until the device has reached it."""
        ...


class CopyStream(Protocol):
    """Copies tensors between the host and one device."""

    def buffer(self, like: Tensor) -> Tensor:
        """Returns a tensor on the host, of the shape and dtype of `like`, that can be copied to."""
        ...

    def copy(self, source: Tensor, target: Tensor) -> Event:
        """Starts a copy to the host, after all work queued on the device; returns the event of its end."""
        ...

    def sent(self, tensor: Tensor) -> Tensor:
        """Returns a tensor of the host on the device, without waiting for the copy."""
        ...


class Now:
    """An event that has already happened."""

    def query(self) -> bool:
        """See `Event`."""
        return True

    def synchronize(self) -> None:
        """See `Event`."""


class PlainCopyStream:
    """A CopyStream without a stream: every copy is synchronous."""

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
    """Asynchronous copies of a CUDA device: a stream, pinned memory, and events that block without spinning."""

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
            source.record_stream(self._stream)  # its memory is not reused before the copy is done
            done.record(self._stream)
        return done

    def sent(self, tensor: Tensor) -> Tensor:
        """See `CopyStream`."""
        return tensor.pin_memory().to(self._device, non_blocking=True)


def copy_stream_to(device: torch.device) -> CopyStream:
    """Returns the fastest CopyStream of a device."""
    return CudaCopyStream(device) if device.type == "cuda" else PlainCopyStream(device)


def promised(value: Tensor, copy_stream: CopyStream) -> Callable[[], bool]:
    """Returns a function that waits for a condition () computed on a device and returns it; the copy starts now."""
    place = copy_stream.buffer(value)
    known = copy_stream.copy(value, place)

    def answer() -> bool:
        known.synchronize()
        return bool(place)

    return answer


def on_host(batches: Iterable[Tensor], eight_bits: bool = False) -> Iterator[Tensor]:
    """Yields batches (B, H, W, C) on the host, copied while the next ones are drawn; those on the CPU pass through.

    Args:
        batches: of one device; a few of them are in flight at once.
        eight_bits: converts frames in 0…1 to uint8 on the device, a quarter of the bytes.
    """
    arriving = iter(batches)
    first = next(arriving, None)
    if first is None:
        return
    device, whole = first.device, chain(iter([first]), arriving)
    del first  # long videos: only batches in flight are kept
    if device.type == "cpu":
        yield from whole
    else:
        yield from carried((as_bytes(batch) for batch in whole) if eight_bits else whole, copy_stream_to(device))


def carried(batches: Iterable[Tensor], copy_stream: CopyStream, slots: int = SLOTS) -> Iterator[Tensor]:
    """Yields batches copied to the host through a ring of `slots` buffers, each as soon as its copy is done."""
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
    """Returns frames in 0…1 as rounded uint8, on their device."""
    return eight_bits(frames)
