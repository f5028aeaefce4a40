"""Work done in a thread beside the caller's: ahead of it (`prefetch`) or behind it (`alongside`).

Few items wait between the two, errors arrive on the other side, and no thread outlives its end.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar, cast

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
Modes = tuple[bool, bool]  # inference, gradients: torch keeps them per thread

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
    slots, closed = threading.Semaphore(ahead), threading.Event()
    thread = threading.Thread(
        target=_work, args=(items, ready, slots, closed, _modes()), daemon=True, name="prefetch"
    )
    thread.start()
    try:
        yield from cast("Generator[Item, None, None]", _taken(ready, slots))
    finally:
        closed.set()
        slots.release()
        thread.join()


def alongside(
    items: Iterable[Item], work: Callable[[Generator[Item, None, None]], Result], ahead: int = 2
) -> Result:
    """What `work` gives for the items: they are made here while a thread works on those before.

    The thread works under the caller's gradient and inference mode; up to `ahead` items wait for it. When making an
    item fails, `work` gets that error where it asked for the item, and it is raised here once `work` has ended.
    When `work` ends or fails early no more items are made: `items` is closed and the error raised here.
    """
    ready: SimpleQueue[object] = SimpleQueue()
    slots, closed = threading.Semaphore(ahead), threading.Event()
    outcome: Future[Result] = Future()

    def worked() -> None:
        try:
            with _under(modes):
                outcome.set_result(work(cast("Generator[Item, None, None]", _taken(ready, slots))))
        except BaseException as error:  # the caller's thread is where it belongs, whatever it is
            outcome.set_exception(error)
        finally:
            closed.set()
            slots.release()

    modes = _modes()
    thread = threading.Thread(target=worked, daemon=True, name="alongside")
    thread.start()
    try:
        _fill(items, ready, slots, closed)
    except BaseException as error:
        ready.put(_Failed(error))
        raise
    finally:
        ready.put(_END)
        thread.join()
    return outcome.result()


def _modes() -> Modes:
    return torch.is_inference_mode_enabled(), torch.is_grad_enabled()


@contextmanager
def _under(modes: Modes) -> Iterator[None]:
    inference, gradients = modes
    with torch.inference_mode(inference), torch.set_grad_enabled(gradients and not inference):
        yield


def _taken(ready: SimpleQueue[object], slots: threading.Semaphore) -> Generator[object, None, None]:
    """What the other thread puts, in order; a slot is free again once the next one is asked for."""
    while (item := ready.get()) is not _END:
        if isinstance(item, _Failed):
            raise item.error
        yield item
        slots.release()


def _work(
    items: Iterable[Item],
    ready: SimpleQueue[object],
    slots: threading.Semaphore,
    closed: threading.Event,
    modes: Modes,
) -> None:
    try:
        with _under(modes):
            _fill(items, ready, slots, closed)
    except BaseException as error:  # the reader's thread is where it belongs, whatever it is
        ready.put(_Failed(error))
    else:
        ready.put(_END)


def _fill(
    items: Iterable[Item], ready: SimpleQueue[object], slots: threading.Semaphore, closed: threading.Event
) -> None:
    """Fill the queue: one slot is taken before each item is made, so never more than `ahead` exist."""
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
