"""Speech that is still arriving, to frames of a portrait that speaks it, on time or dropped.

    sound ─ push ─► arrived ─ hear ─► final motion ─ draw ─► frame n, or nothing in its place
      └───────────► audience ◄────────────────────────────────┘

The clock is the duration of the sound received, and no other until it ends. Frame n belongs to second n / fps of
it and is due `latency` seconds of sound later. A frame that cannot be ready within one frame of its due time is
dropped, so that pictures are never late for their sound, however slow the machine; sound is never dropped.

`LiveHead` has the schedule and the drop rule, without threads; `LiveSession` runs speech analysis in one thread and
drawing in another.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Protocol

import torch
from torch import Tensor

from ..compute.transfer import as_bytes
from ..media.audio import ArrivingAudio, Resampler
from ..media.mixdown import Mixdown
from ..media.rates import frame_count
from ..motion.sequence import MotionSequence
from ..render.portrait import Portrait, RenderOptions
from ..render.render import render

HEARING_RATE = 16_000  # samples a second of the sound that motion streams take
RESERVE = 0.2  # seconds, at least, from a frame's motion being final until the frame is due
LONGEST = 60.0  # seconds of latency; more would queue too many frames
BEHIND = 10.0  # seconds that motion may be behind the sound before pushing raises
DRAWN = 5  # latest frames; their median drawing time predicts the next one's
PATIENCE = 1.0  # seconds of dropped frames after which one is drawn regardless of the prediction


class MotionStream(Protocol):
    """Motion of speech that is still arriving; see diffpose.live."""

    @property
    def fps(self) -> Fraction:
        """Frames per second."""
        ...

    @property
    def delay(self) -> float:
        """Seconds of sound after a frame's time that its motion needs to become final, at most."""
        ...

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The frames made final by more sound (S,), 16 kHz mono, of any length; None when there are none."""
        ...

    def finish(self) -> MotionSequence | None:
        """The remaining frames when the voice ends; None when there are none."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When frames are due.

    Attributes:
        fps: frames per second.
        latency: seconds from a sound's arrival until its frame is due.
    """

    fps: Fraction
    latency: float

    def offset(self, index: int, position: float) -> float:
        """Seconds that frame `index` is late when `position` seconds of sound have arrived; early is below 0."""
        return position - float(index / self.fps) - self.latency

    def is_late(self, index: int, position: float) -> bool:
        """Whether the frame is late by more than one frame's duration."""
        return self.offset(index, position) > float(1 / self.fps)


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame as it is sent to the audience.

    Attributes:
        index: counted from 0; its time is second index / fps of the sound.
        picture: (H, W, 3) uint8 on the CPU; None when the frame is dropped and the one before it stays.
        offset: `Schedule.offset` when the frame was ready or dropped.
    """

    index: int
    picture: Tensor | None
    offset: float


class Audience(Protocol):
    """A receiver of the sound and frames of a live head. Its methods must not block: worker threads call them."""

    def sound(self, samples: Tensor) -> None:
        """Receives more sound (channels, S), as it arrives."""
        ...

    def frame(self, frame: LiveFrame) -> None:
        """Receives the next frame, drawn or dropped; every index comes once, in order, after its sound."""
        ...

    def end(self) -> None:
        """Called after the last frame and sound."""
        ...


class LiveHead:
    """A portrait that speaks sound as it arrives; one thread may call `push`, one `hear` and one `draw`.

    Args:
        portrait: the speaking portrait.
        stream: unused motion stream.
        sound: empty track that the voice is added to.
        latency: seconds from a sound to its frame; by default the stream's delay plus RESERVE.
        options: how frames are drawn.
        clock: returns monotonic seconds; it measures the time after the voice has ended.

    Raises:
        ValueError: the latency is below the stream's delay, or above LONGEST seconds.

    Attributes:
        schedule: when frames are due.
        sound: the track that the voice is added to.
        has_heard_all: whether the voice has ended and all its motion is final.
        next_frame: index of the next frame to draw or drop.
    """

    def __init__(
        self,
        portrait: Portrait,
        stream: MotionStream,
        sound: ArrivingAudio,
        latency: float | None = None,
        options: RenderOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schedule = Schedule(stream.fps, stream.delay + RESERVE if latency is None else latency)
        if not stream.delay <= self.schedule.latency <= LONGEST:
            raise ValueError(
                f"The latency is {self.schedule.latency:g} s; the motion of a frame takes {stream.delay:.2f} s of "
                f"sound: give more, up to {LONGEST:g} s."
            )
        self._portrait, self._stream, self._options = portrait, stream, options or RenderOptions()
        self.sound = sound
        self._resampler = Resampler(sound.sample_rate, HEARING_RATE)
        self._mixdown = Mixdown(sound.sample_rate)
        self._room = math.ceil(2 * self.schedule.latency * stream.fps)  # frames that may wait to be drawn
        self._waiting: deque[tuple[MotionSequence, int]] = deque()  # frames: a motion and an index in it
        self._clock, self._end = clock, math.inf  # when the voice ended
        self.has_heard_all = False
        self._heard = 0  # samples
        self.next_frame = 0
        self._drawing = deque([0.0], maxlen=DRAWN)  # seconds that the latest frames took
        self._dropped = 0  # frames in a row

    @property
    def position(self) -> float:
        """The clock: seconds of sound received, plus those since it ended."""
        return self.sound.arrived / self.sound.sample_rate + max(self._clock() - self._end, 0.0)

    @property
    def _has_ended(self) -> bool:
        return self._end < math.inf

    @property
    def frames(self) -> int:
        """Number of frames that cover the sound received so far."""
        return frame_count(self.sound.arrived, self.sound.sample_rate, self.schedule.fps)

    @property
    def is_done(self) -> bool:
        """Whether the voice has ended and all its frames were drawn or dropped."""
        return self.has_heard_all and self.next_frame >= self.frames

    @property
    def has_sound(self) -> bool:
        """Whether `hear` has sound to process."""
        return not self.has_heard_all and len(self._waiting) < self._room and (
            self._has_ended or self._heard < self.sound.arrived
        )  # fmt: skip

    @property
    def has_frame(self) -> bool:
        """Whether `draw` has a frame to draw."""
        return not self.is_done and (self.has_heard_all or bool(self._waiting))

    def push(self, samples: Tensor) -> None:
        """Adds more of the voice (channels, S).

        Raises:
            ValueError: the sound has another shape, holds NaN or comes after the end, or motion is more than BEHIND
                seconds behind.
        """
        if self._has_ended:
            raise ValueError("The voice has ended; start anew for more of it.")
        if self.sound.arrived - self._heard > BEHIND * self.sound.sample_rate:
            raise ValueError(
                f"The motion is more than {BEHIND:g} seconds behind the voice: this machine is too slow for what "
                "makes it. Choose a lighter one, such as procedural."
            )
        self.sound.push(samples)

    def finish(self) -> None:
        """Marks the end of the voice; from now on the clock runs by itself."""
        self._end = min(self._end, self._clock())

    def hear(self) -> None:
        """Generates motion for the sound received since the last call."""
        ended = self._has_ended  # read first: all sound pushed before the end is then in the track
        sound = self.sound.take(self.sound.arrived)
        samples = self._resampler.resampled(self._mixdown.mixed(sound), last=ended)[0]
        self._settle(self._stream.push(samples))
        if ended:
            self._settle(self._stream.finish())
        self._heard += sound.shape[1]
        self.has_heard_all = ended

    def _settle(self, motion: MotionSequence | None) -> None:
        if motion is not None:
            self._waiting.extend((motion, place) for place in range(len(motion)))

    def draw(self) -> LiveFrame:
        """The next frame, drawn, or dropped when it cannot be ready in time."""
        index, start = self.next_frame, self.position
        settled = self._waiting.popleft() if self._waiting else None
        picture = None
        if settled is not None and self._is_worth_drawing(index, start):
            picture = self._drawn(*settled)
            self._drawing.append(self.position - start)
            self._dropped = 0
        self._dropped += picture is None
        self.next_frame += 1
        return self._in_time(index, picture)

    def _is_worth_drawing(self, index: int, position: float) -> bool:
        """Whether a frame started now is expected on time; after PATIENCE seconds of drops, if not late yet.

        A frame is started only when it is expected by its due time: the one frame of permitted lateness is the
        margin for drawing that takes longer than expected.
        """
        if self._dropped >= PATIENCE * self.schedule.fps:
            return not self.schedule.is_late(index, position)
        return self.schedule.offset(index, position + median(self._drawing)) <= 0

    def give_up(self) -> LiveFrame:
        """The next frame, dropped."""
        self.next_frame += 1
        return self._in_time(self.next_frame - 1, None)

    def _in_time(self, index: int, picture: Tensor | None) -> LiveFrame:
        position = self.position
        kept = None if self.schedule.is_late(index, position) else picture
        return LiveFrame(index, kept, self.schedule.offset(index, position))

    def _drawn(self, motion: MotionSequence, place: int) -> Tensor:
        return picture_bytes(next(render(self._portrait, motion[place : place + 1], self._options))[0])


def picture_bytes(picture: Tensor) -> Tensor:
    """A picture (H, W, 3) in 0…1 as uint8 on the CPU, converted on its own device."""
    return as_bytes(picture).cpu()


def measured_latency(portrait: Portrait, stream: MotionStream, options: RenderOptions | None = None) -> float:
    """The latency, in seconds, that this machine can sustain: the stream's delay plus twice the time of its work.

    At least RESERVE is left for that work. The measurement also warms up networks and caches.

    Args:
        portrait: the portrait to be drawn.
        stream: a motion stream for the measurement, which is consumed.
        options: how frames will be drawn.
    """
    settled, drawn, still = [], [], MotionSequence.still(1, stream.fps)
    seconds = math.ceil(stream.delay) + 2
    for piece in torch.zeros(seconds * HEARING_RATE).split(HEARING_RATE // 25):
        start = time.perf_counter()
        if stream.push(piece) is not None:
            settled.append(time.perf_counter() - start)
    for _ in range(6):
        start = time.perf_counter()
        picture_bytes(next(render(portrait, still, options))[0])
        drawn.append(time.perf_counter() - start)
    return stream.delay + max(RESERVE, 2 * (median(settled[1:]) + median(drawn[1:])))


class LiveSession:
    """A context that runs a live head in two threads; leaving it stops them at any time, then ends the audience.

    Args:
        head: the live head.
        audience: receivers of its sound and frames.
    """

    def __init__(self, head: LiveHead, audience: Sequence[Audience] = ()) -> None:
        self._head, self._audience = head, tuple(audience)
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(work,), daemon=True, name=f"live {work.__name__}")
            for work in (self._hear, self._draw)
        ]

    def __enter__(self) -> "LiveSession":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._close()
        if kind is None:
            self._raise()

    def push(self, samples: Tensor) -> None:
        """Adds more of the voice (channels, S), from one thread at a time; see LiveHead.push.

        Raises:
            ValueError: as LiveHead.push.
            Exception: the error that ended a worker thread.
        """
        self._raise()
        self._head.push(samples)
        for one in self._audience:
            one.sound(samples)
        self._tell()

    def finish(self) -> None:
        """Marks the end of the voice, and waits until the last frame is drawn.

        Raises:
            Exception: the error that ended a worker thread.
        """
        self._head.finish()
        self._tell()
        for thread in self._threads:
            thread.join()
        self._raise()

    def _close(self) -> None:
        self._is_closed = True
        with ExitStack() as ends:  # every callback runs, even when another raises
            for one in self._audience:
                ends.callback(one.end)
            ends.callback(self._give_up)
            self._tell()
            for thread in self._threads:
                ends.callback(thread.join)

    def _give_up(self) -> None:
        self._head.finish()
        while self._head.next_frame < self._head.frames:
            self._show(self._head.give_up())

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _show(self, frame: LiveFrame) -> None:
        for one in self._audience:
            one.frame(frame)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            with torch.inference_mode():
                work()
        except BaseException as error:  # of any kind: raised again in the thread that pushes the voice
            self._error = error
            self._is_closed = True
            self._tell()

    def _hear(self) -> None:
        while self._wait_for(lambda: self._head.has_sound, lambda: self._head.has_heard_all):
            self._head.hear()
            self._tell()

    def _draw(self) -> None:
        while self._wait_for(lambda: self._head.has_frame, lambda: self._head.is_done):
            self._show(self._head.draw())
            self._tell()

    def _wait_for(self, something: Callable[[], bool], end: Callable[[], bool]) -> bool:
        """Waits for work; returns whether there is any, False after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or something() or end())
            return not self._is_closed and not end()


class Tally:
    """An Audience that counts frames.

    Attributes:
        frames: number of frames so far.
        dropped: number of dropped ones among them.
    """

    def __init__(self) -> None:
        self.frames = self.dropped = 0

    def sound(self, samples: Tensor) -> None:
        """See Audience."""

    def frame(self, frame: LiveFrame) -> None:
        """See Audience."""
        self.frames += 1
        self.dropped += frame.picture is None

    def end(self) -> None:
        """See Audience."""
