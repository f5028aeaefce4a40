"""Frames on their way to the host: order, slots, and what waits for what, with a stand-in for CUDA."""

import contextlib

import numpy as np
import pytest
import torch
from slow_copy_stream import SlowCopyStream

from talking_head.lp_core.compute.transfer import (
    CudaCopyStream,
    PlainCopyStream,
    as_bytes,
    carried,
    copy_stream_to,
    on_host,
    promised,
)
from talking_head.lp_core.media.encoding import VideoOptions, write_video


def drawn(count, log=None, shape=(2, 3, 3, 3)):
    for number in range(count):
        if log is not None:
            log.append("draw")
        yield torch.full(shape, float(number))


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_batches_arrive_whole_in_order_over_few_buffers(slots):
    copy_stream = SlowCopyStream()
    arrived = list(carried(drawn(10), copy_stream, slots))
    assert [float(batch.mean()) for batch in arrived] == list(range(10))
    assert all(bool((batch == batch.mean()).all()) for batch in arrived)
    assert len(copy_stream.buffers) == copy_stream.most == slots


def test_the_next_batch_is_drawn_before_the_first_copy_is_waited_for():
    copy_stream = SlowCopyStream()
    list(carried(drawn(4, copy_stream.log), copy_stream, 2))
    assert copy_stream.log == [
        "draw",
        "copy",
        "draw",
        "copy",
        "draw",
        "wait",
        "copy",
        "draw",
        "wait",
        "copy",
        "wait",
        "wait",
    ]


def test_what_has_arrived_is_given_at_once():
    copy_stream = SlowCopyStream()
    batches = carried(drawn(3), copy_stream, 3)
    copies, copy = [], copy_stream.copy
    copy_stream.copy = lambda source, target: copies.append(copy(source, target)) or copies[-1]

    def source():
        yield from drawn(1)
        copies[0].synchronize()
        yield from drawn(1)
        raise AssertionError("the first batch was there")

    batches = carried(source(), copy_stream, 3)
    assert float(next(batches).mean()) == 0


def test_a_given_batch_is_not_written_to_later():
    copy_stream, kept = SlowCopyStream(), []
    for batch in carried(drawn(6), copy_stream, 1):
        kept.append(batch)
        assert all(batch.data_ptr() != place.data_ptr() for place in copy_stream.buffers)
    assert [float(batch[0, 0, 0, 0]) for batch in kept] == list(range(6))


def test_a_shorter_last_batch_has_its_own_place():
    copy_stream = SlowCopyStream()
    batches = [torch.zeros(4, 2, 2, 3), torch.ones(4, 2, 2, 3), torch.full((1, 2, 2, 3), 2.0)]
    assert [tuple(batch.shape) for batch in carried(batches, copy_stream, 2)] == [
        tuple(batch.shape) for batch in batches
    ]


def test_an_error_of_the_drawing_comes_through():
    def breaking():
        yield from drawn(3)
        raise RuntimeError("the renderer stopped")

    with pytest.raises(RuntimeError, match="renderer stopped"):
        list(carried(breaking(), SlowCopyStream()))


def test_a_promise_is_kept_when_it_is_asked_for():
    copy_stream = SlowCopyStream()
    fine = promised(torch.tensor(True), copy_stream)
    assert copy_stream.log == ["copy"]
    assert fine()
    assert not promised(torch.tensor(False), PlainCopyStream(torch.device("cpu")))()


class FakeCuda:
    """Records what is asked of torch.cuda, in order."""

    def __init__(self, monkeypatch):
        self.log = []
        for name in ("Stream", "Event"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name.lower()))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.stream(device, "drawing"))
        monkeypatch.setattr(torch.cuda, "stream", self.within)

    def stream(self, device, name="copying"):
        assert device.type == "cuda"
        return FakeStream(self.log, name)

    def event(self, blocking=False):
        return FakeEvent(self.log, "copied, sleeping" if blocking else "copied, spinning")

    @contextlib.contextmanager
    def within(self, stream):
        self.log.append(f"on {stream.name}")
        yield
        self.log.append(f"off {stream.name}")


class FakeStream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def record_event(self):
        self.log.append(f"record drawn on {self.name}")
        return FakeEvent(self.log, "drawn")

    def wait_event(self, event):
        self.log.append(f"{self.name} waits for {event.name}")


class FakeEvent:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def record(self, stream):
        self.log.append(f"record {self.name} on {stream.name}")


def test_a_cuda_copy_waits_for_the_drawing_and_nothing_else_does(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    copy_stream = CudaCopyStream(torch.device("cuda"))

    class Frames:
        def record_stream(self, stream):
            cuda.log.append(f"kept for {stream.name}")

    class Pinned:
        def copy_(self, source, non_blocking):
            assert non_blocking
            cuda.log.append("copy" if isinstance(source, Frames) else "copy of something else")

    copy_stream.copy(Frames(), Pinned())
    assert cuda.log == [
        "record drawn on drawing",
        "on copying",
        "copying waits for drawn",
        "copy",
        "kept for copying",
        "record copied, sleeping on copying",
        "off copying",
    ]
    assert isinstance(copy_stream_to(torch.device("cuda")), CudaCopyStream)
    assert isinstance(copy_stream_to(torch.device("mps")), PlainCopyStream)


def test_what_is_on_the_host_passes_as_it_is():
    batches = list(drawn(3))
    assert all(one is other for one, other in zip(on_host(batches, eight_bits=True), batches, strict=True))
    assert list(on_host([])) == []


@pytest.mark.parametrize("form", ["a.mp4", "a.gif"])
def test_bytes_are_written_as_their_floats_are(tmp_path, form):
    frames = torch.rand(4, 32, 32, 3)
    written = []
    for kind in (frames, as_bytes(frames)):
        write_video(tmp_path / form, [kind], 25, None, VideoOptions(crf=1))
        written.append((tmp_path / form).read_bytes())
    assert written[0] == written[1]
    expected = np.clip(np.rint(frames.numpy() * 255), 0, 255)
    np.testing.assert_array_equal(as_bytes(frames).numpy(), expected)
