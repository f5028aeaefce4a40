"""Work in a thread beside the caller: order, bound, errors, closing, and the caller's modes."""

import threading
import time

import pytest
import torch

from talking_head.lp_core.compute.alongside import alongside


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
