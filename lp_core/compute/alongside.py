"""Work in a thread on items that the caller makes meanwhile, such as encoding while drawing."""

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
    """An exception to raise in the thread."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def alongside(
    items: Iterable[Item], work: Callable[[Generator[Item, None, None]], Result], ahead: int = 2
) -> Result:
    """Returns the result of `work` for the items, which are made here while a thread works on earlier ones.

    The thread works under the caller's gradient and inference mode; up to `ahead` items wait for it. When making an
    item fails, the error is raised inside `work`, at its request for the item, and here once `work` has ended.
    When `work` ends or fails early, no more items are made: `items` is closed and the error is raised here.
    """
    ready: SimpleQueue[object] = SimpleQueue()
    slots, closed = threading.Semaphore(ahead), threading.Event()
    outcome: Future[Result] = Future()

    def worked() -> None:
        try:
            with _under(modes):
                outcome.set_result(work(cast("Generator[Item, None, None]", _taken(ready, slots))))
        except BaseException as error:  # of any kind: it is raised again in the caller's thread
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
    """Yields what the other thread puts, in order; a slot is freed when the next item is requested."""
    while (item := ready.get()) is not _END:
        if isinstance(item, _Failed):
            raise item.error
        yield item
        slots.release()


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
