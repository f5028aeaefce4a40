"""Work done ahead in a thread, so that drawing and encoding overlap."""

import threading
from collections.abc import Generator, Iterable
from queue import SimpleQueue
from typing import TypeVar, cast

import torch

Item = TypeVar("Item")

_END = object()


class _Failed:
    """An exception on its way from the thread to the reader."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(items: Iterable[Item], ahead: int = 2) -> Generator[Item, None, None]:
    """The same items in the same order, made by a thread that keeps up to `ahead` of them ready.

    The thread starts with the first item asked for and works under the reader's gradient and inference mode,
    which torch keeps per thread. An error in `items` is raised here, in its place. Closing the iterator (or
    dropping it) ends the thread after the item it is making and closes `items`.

    Raises:
        ValueError: `ahead` is below one.
    """
    if ahead < 1:
        raise ValueError(f"Work is done at least one item ahead; got {ahead}.")
    return _reader(items, ahead)


def _reader(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    ready: SimpleQueue[object] = SimpleQueue()
    slots = threading.Semaphore(ahead)
    closed = threading.Event()
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    thread = threading.Thread(target=_work, args=(items, ready, slots, closed, modes), daemon=True, name="prefetch")
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield cast("Item", item)
            slots.release()
    finally:
        closed.set()
        slots.release()
        thread.join()


def _work(
    items: Iterable[Item],
    ready: SimpleQueue[object],
    slots: threading.Semaphore,
    closed: threading.Event,
    modes: tuple[bool, bool],
) -> None:
    """Fill the queue: one slot is taken before each item is made, so never more than `ahead` exist."""
    inference, gradients = modes
    try:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients and not inference):
            _fill(items, ready, slots, closed)
    except BaseException as error:  # the reader's thread is where it belongs, whatever it is
        ready.put(_Failed(error))
    else:
        ready.put(_END)


def _fill(
    items: Iterable[Item], ready: SimpleQueue[object], slots: threading.Semaphore, closed: threading.Event
) -> None:
    source = iter(items)
    try:
        while slots.acquire() and not closed.is_set():
            try:
                item = next(source)
            except StopIteration:
                return
            ready.put(item)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
