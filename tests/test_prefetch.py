"""Work in a thread ahead and behind: order, bound, errors, closing, and the reader's modes."""

import threading
import time

import pytest
import torch

from talking_head.lp_core.prefetch import alongside, prefetch


def test_order_and_content_are_kept():
    assert list(prefetch(range(1000), ahead=3)) == list(range(1000))
    assert list(prefetch([])) == []
    assert list(prefetch([None, False, StopIteration])) == [None, False, StopIteration]


def test_never_more_than_ahead_are_made():
    made = []

    def source():
        for number in range(10):
            made.append(number)
            yield number

    reader = prefetch(source(), ahead=3)
    assert not made
    assert next(reader) == 0
    time.sleep(0.05)
    assert len(made) <= 3
    assert list(reader) == list(range(1, 10))


def test_it_works_in_another_thread_while_the_reader_is_busy():
    step = 0.02

    def source():
        for _ in range(8):
            time.sleep(step)
            yield threading.current_thread()

    start = time.perf_counter()
    for thread in prefetch(source(), ahead=2):
        assert thread is not threading.current_thread()
        time.sleep(step)
    assert time.perf_counter() - start < 8 * 2 * step * 0.9


def test_errors_come_in_their_place():
    def source():
        yield 1
        raise KeyError("from the thread")

    reader = prefetch(source())
    assert next(reader) == 1
    with pytest.raises(KeyError, match="from the thread"):
        next(reader)


def test_closing_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    reader = prefetch(source(), ahead=1)
    next(reader)
    reader.close()
    assert closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_thread_works_under_the_readers_modes(mode):
    def source():
        yield torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    with mode():
        expected = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        assert next(prefetch(source())) == expected


def test_it_reads_at_least_one_ahead():
    with pytest.raises(ValueError, match="at least one"):
        prefetch([1], ahead=0)


def test_work_alongside_gets_every_item_in_another_thread():
    here, seen = [], []

    def source():
        for number in range(100):
            here.append(threading.current_thread())
            yield number

    def work(items):
        seen.append(threading.current_thread())
        return sum(items)

    assert alongside(source(), work) == sum(range(100))
    assert set(here) == {threading.current_thread()}
    assert seen[0] is not threading.current_thread()
    assert not [thread for thread in threading.enumerate() if thread.name == "alongside"]


def test_alongside_never_more_than_ahead_items_wait():
    made = []

    def source():
        for number in range(20):
            made.append(number)
            yield number

    def work(items):
        most = 0
        for done, _ in enumerate(items):
            time.sleep(0.002)
            most = max(most, len(made) - done)
        return most

    assert alongside(source(), work, ahead=3) <= 3


def test_an_error_of_the_source_reaches_the_work_and_the_caller():
    reached = []

    def source():
        yield 1
        raise KeyError("from the source")

    def work(items):
        try:
            return list(items)
        except KeyError as error:
            reached.append(error)
            raise

    with pytest.raises(KeyError, match="from the source"):
        alongside(source(), work)
    assert len(reached) == 1


@pytest.mark.parametrize("ends", ["fails", "returns"])
def test_work_that_ends_early_ends_and_closes_the_source(ends):
    closed = []

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    def work(items):
        next(items)
        if ends == "fails":
            raise OSError("disk full")
        return "enough"

    if ends == "fails":
        with pytest.raises(OSError, match="disk full"):
            alongside(source(), work)
    else:
        assert alongside(source(), work) == "enough"
    assert closed == [True]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_the_work_is_done_under_the_callers_modes(mode):
    with mode():
        expected = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        modes = alongside([1], lambda items: (torch.is_inference_mode_enabled(), torch.is_grad_enabled(), *items))
    assert modes == (*expected, 1)
