"""A voice that is still arriving, to a portrait that says it: frames in time, or none.

    sound ─ push ─► arrived ─ hear ─► settled motion ─ draw ─► frame n, or nothing in its place
      └───────────► audience ◄──────────────────────────────────┘

The clock is the sound that has arrived, and no other until it ends. Frame n belongs to second n / fps of it and is
due `latency` seconds of sound later. A frame that cannot be ready before it is more than a frame behind is dropped,
so that pictures are never late for their sound, however slow the machine; sound is never dropped.

`LiveHead` has the times and the rule and knows no threads; `LiveSession` hears in one thread and draws in another.
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

HEARING_RATE = 16_000  # samples a second that streams of motion hear
RESERVE = 0.2  # seconds from a frame's motion being settled until it is due, at least
LONGEST = 60.0  # seconds of latency, beyond which too much would wait
BEHIND = 10.0  # seconds that hearing may be behind the sound before it is given up
DRAWN = 5  # latest frames, whose median time the next one is expected to take
PATIENCE = 1.0  # seconds of dropped frames after which one is tried, whatever it is expected to take


class MotionStream(Protocol):
    """Motion of a voice that is still arriving; see diffpose.live."""

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        ...

    @property
    def delay(self) -> float:
        """Seconds of sound from a frame's moment on until it settles, at most."""
        ...

    def push(self, sound: Tensor) -> MotionSequence | None:
        """The motion settled by more sound (S,), 16 kHz mono, of any length; None while nothing new is settled."""
        ...

    def finish(self) -> MotionSequence | None:
        """The motion still open when the voice ends; None for none."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When frames are due.

    Attributes:
        fps: frames a second.
        latency: seconds from a sound's arrival until its frame is due.
    """

    fps: Fraction
    latency: float

    def offset(self, index: int, position: float) -> float:
        """Seconds that frame `index` is behind when `position` seconds of sound have arrived; early is below 0."""
        return position - float(index / self.fps) - self.latency

    def is_late(self, index: int, position: float) -> bool:
        """Whether the frame is more than a frame behind."""
        return self.offset(index, position) > float(1 / self.fps)


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame as the audience gets it.

    Attributes:
        index: counted from 0; it belongs to second index / fps of the sound.
        picture: (H, W, 3) uint8 on the CPU; None where the frame is dropped and the one before it stays.
        offset: see Schedule.offset, when it was ready or given up.
    """

    index: int
    picture: Tensor | None
    offset: float


class Audience(Protocol):
    """Who sees and hears a live head. Nothing of it may wait: it is called in the midst of the work."""

    def sound(self, samples: Tensor) -> None:
        """More sound (channels, S), as it arrives."""
        ...

    def frame(self, frame: LiveFrame) -> None:
        """The next frame; none is left out, and none comes before its sound."""
        ...

    def end(self) -> None:
        """Nothing more comes."""
        ...


class LiveHead:
    """A portrait that says what arrives; one thread may push, one hear and one draw.

    Args:
        portrait: who speaks.
        stream: a new one; it makes the motion.
        sound: an empty track, which the voice arrives at.
        latency: seconds from a sound to its frame; by default the stream's delay and RESERVE.
        options: how frames are drawn.
        clock: seconds from some moment on; it goes on where the voice ends.

    Raises:
        ValueError: a latency that no frame can be drawn in, or of more than LONGEST seconds.

    Attributes:
        schedule: when frames are due.
        sound: the track that the voice arrives at.
        has_heard_all: whether the voice has ended and all motion of it is settled.
        next_frame: the one that is drawn or dropped next.
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
        self._waiting: deque[tuple[MotionSequence, int]] = deque()  # frames, as places in what settled together
        self._clock, self._end = clock, math.inf  # when the voice ended
        self.has_heard_all = False
        self._heard = 0  # samples
        self.next_frame = 0
        self._drawing = deque([0.0], maxlen=DRAWN)  # seconds that the latest frames took
        self._dropped = 0  # frames in a row

    @property
    def position(self) -> float:
        """Seconds of sound that have arrived, and those since it ended: the clock."""
        return self.sound.arrived / self.sound.sample_rate + max(self._clock() - self._end, 0.0)

    @property
    def _has_ended(self) -> bool:
        return self._end < math.inf

    @property
    def frames(self) -> int:
        """Frames that cover the sound that has arrived."""
        return frame_count(self.sound.arrived, self.sound.sample_rate, self.schedule.fps)

    @property
    def is_done(self) -> bool:
        """Whether the voice has ended and every frame of it was given."""
        return self.has_heard_all and self.next_frame >= self.frames

    @property
    def has_sound(self) -> bool:
        """Whether there is something to hear now."""
        return not self.has_heard_all and len(self._waiting) < self._room and (
            self._has_ended or self._heard < self.sound.arrived
        )  # fmt: skip

    @property
    def has_frame(self) -> bool:
        """Whether there is a frame to draw now."""
        return not self.is_done and (self.has_heard_all or bool(self._waiting))

    def push(self, samples: Tensor) -> None:
        """More of the voice (channels, S).

        Raises:
            ValueError: sound of another shape, with NaN, after the end, or hearing that is far behind.
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
        """Nothing more of the voice comes; from now on the clock goes by itself."""
        self._end = min(self._end, self._clock())

    def hear(self) -> None:
        """Make motion of the sound that has arrived since the last call."""
        ended = self._has_ended  # looked at first: what came before the end is then there
        sound = self.sound.take(self.sound.arrived)
        heard = self._resampler.resampled(self._mixdown.mixed(sound), last=ended)[0]
        self._settle(self._stream.push(heard))
        if ended:
            self._settle(self._stream.finish())
        self._heard += sound.shape[1]
        self.has_heard_all = ended

    def _settle(self, motion: MotionSequence | None) -> None:
        if motion is not None:
            self._waiting.extend((motion, place) for place in range(len(motion)))

    def draw(self) -> LiveFrame:
        """The next frame, drawn, or dropped where it could not be ready in time."""
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
        """Whether a frame that is begun now is expected in time; after long waiting one is tried to find out.

        A frame is begun only where it is expected when it is due: the frame's time that it may be late by is left
        for what takes longer than expected.
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
    """A picture (H, W, 3) in 0…1 as uint8 on the CPU, turned into it where it was drawn."""
    return as_bytes(picture).cpu()


def measured_latency(portrait: Portrait, stream: MotionStream, options: RenderOptions | None = None) -> float:
    """Seconds from a sound to its frame that this machine can hold: the stream's delay and twice its own work.

    RESERVE is the least that is left for that work.

    All that is slow the first time is over afterwards.

    Args:
        portrait: who will be drawn.
        stream: one to be used up.
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
    """A live head at work in two threads; leaving it ends them, whatever the moment, and then the audience's part.

    Args:
        head: who speaks.
        audience: who sees it.
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
        """More of the voice (channels, S), from one thread at a time; see LiveHead.push.

        Raises:
            ValueError: as there.
            Exception: whatever ended the work.
        """
        self._raise()
        self._head.push(samples)
        for one in self._audience:
            one.sound(samples)
        self._tell()

    def finish(self) -> None:
        """Nothing more of the voice comes: return when the last frame is drawn.

        Raises:
            Exception: whatever ended the work before.
        """
        self._head.finish()
        self._tell()
        for thread in self._threads:
            thread.join()
        self._raise()

    def _close(self) -> None:
        self._is_closed = True
        with ExitStack() as ends:  # all of it is done, whatever fails or interrupts a part
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
        except BaseException as error:  # it belongs to who pushes the voice
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
        """Whether there is something to do, waited for; not after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or something() or end())
            return not self._is_closed and not end()


class Tally:
    """An Audience that counts.

    Attributes:
        frames: all so far.
        dropped: those that were not shown.
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
