"""A server for the page of a live session: frames and sound to browsers, a browser's microphone back.

    session ─ sound, frame ─► Viewer ─► a queue for each page ─ WebSocket ─► web/live/live.mjs
    voice() ◄──────────────────── the microphone of one page at a time ◄────────┘

The page plays each sound `latency` after its arrival, so that its frame is there by then, and shows each frame
while the sound of its time is played. A page that is too slow misses frames and never sound; one that is too slow
even for the sound is disconnected.
"""

import asyncio
import importlib.util
import json
import secrets
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...lp_core.live.session import LiveFrame, Schedule
from ...lp_core.media.audio import Resampler
from ...lp_core.media.jpeg import jpeg
from ...lp_core.media.mixdown import Mixdown

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

PAGE = Path(__file__).parents[2] / "web" / "live"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cache-Control": "no-store",
}
FRAME, SOUND = 1, 2  # kinds of binary messages
HEADER = struct.Struct("<Id")  # kind; index of the frame, or of the first sample
FRAMES_WAITING = 25  # queued for a page, or for compression; beyond, the oldest are dropped
SOUND_WAITING = 10.0  # seconds that a page may be behind in sound before it is disconnected
FAREWELL = 1.0  # seconds that pages have to receive the rest when the server ends
HEARTBEAT = 15.0  # seconds between WebSocket pings
WAKE = 0.2  # seconds; waiting for a lock without a time limit would block Ctrl-C
MICROPHONE_RATES = (8_000, 192_000)  # samples a second, lowest and highest
LARGEST_PIECE = 1 << 18  # bytes of a message from a page


@dataclass(frozen=True, eq=False)
class Message:
    """A message to a page: text is JSON, bytes are a HEADER and a JPEG or 16-bit sound; None closes the page."""

    content: str | bytes | None
    seconds: float = 0.0  # of sound
    is_frame: bool = False


class Outbox:
    """The queue of messages to one page, in order; when it holds too many frames, the oldest are dropped.

    Args:
        abort: closes the connection; called when more than SOUND_WAITING seconds of sound are queued.
    """

    def __init__(self, abort: Callable[[], object]) -> None:
        self.abort = abort
        self._waiting: deque[Message] = deque()
        self._has_some = asyncio.Event()
        self._frames, self._seconds = 0, 0.0

    def add(self, message: Message) -> None:
        """Appends a message."""
        if message.is_frame and self._frames == FRAMES_WAITING:
            self._leave(next(entry for entry in self._waiting if entry.is_frame))
        self._waiting.append(message)
        self._frames += message.is_frame
        self._seconds += message.seconds
        self._has_some.set()
        if self._seconds > SOUND_WAITING:
            self.abort()

    async def next(self) -> str | bytes | None:
        """Waits for the next message and returns its content."""
        while not self._waiting:
            self._has_some.clear()
            await self._has_some.wait()
        message = self._waiting[0]
        self._leave(message)
        return message.content

    def _leave(self, message: Message) -> None:
        self._waiting.remove(message)
        self._frames -= message.is_frame
        self._seconds -= message.seconds


class Viewer:
    """A `live.Audience` that serves the page, in its own thread, inside a `with` block.

    Args:
        picture: (H, W, 3) uint8, shown until the first frame.
        schedule: when frames are due.
        sample_rate: samples a second of the sound, and of the pieces from `voice`.
        microphone: whether the page requests its microphone.
        host: address to listen at; other than loopback addresses open the server to the network.
        port: port to listen at; 0 chooses a free one.

    Attributes:
        url: address of the page, with a token; it gives access to the video and the microphone input.

    Raises:
        ValueError: aiohttp is not installed.
        OSError: the server cannot listen at the address.
    """

    def __init__(
        self,
        picture: Tensor,
        schedule: Schedule,
        sample_rate: int,
        *,
        microphone: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        require_aiohttp()
        self._socket = _listening(host, port)
        self._hello = {
            "fps": float(schedule.fps),
            "latency": schedule.latency,
            "sample_rate": sample_rate,
            "width": picture.shape[1],
            "height": picture.shape[0],
            "microphone": microphone,
        }
        self._picture, self._rate, self._token = jpeg(picture), sample_rate, secrets.token_urlsafe(16)
        self._outboxes: dict[Outbox, asyncio.Task[None]] = {}  # with the tasks that send them
        self._frames: deque[LiveFrame | None] = deque(maxlen=FRAMES_WAITING)  # to be compressed; None ends
        self._samples = 0  # of sound sent to pages
        self._speaker: Outbox | None = None  # the page with the active microphone
        self._voice: SimpleQueue[Tensor | None] = SimpleQueue()
        self._mixdown = Mixdown(sample_rate)
        self._watched = threading.Event()
        self._loop, self._closing, self._has_frames = asyncio.new_event_loop(), asyncio.Event(), asyncio.Event()
        address, self._port = self._socket.getsockname()[:2]
        self._is_local = ip_address(address).is_loopback
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._port}/?token={self._token}"
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=[self._serve()], daemon=True, name="viewer"
        )

    def __enter__(self) -> "Viewer":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.end()
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._loop.close()
        self._voice.put(None)

    def sound(self, samples: Tensor) -> None:
        """See Audience."""
        if samples.shape[1]:
            self._loop.call_soon_threadsafe(self._give_sound, pcm(self._mixdown.mixed(samples)), samples.shape[1])

    def frame(self, frame: LiveFrame) -> None:
        """See Audience."""
        self._loop.call_soon_threadsafe(self._take_frame, frame)

    def end(self) -> None:
        """See Audience."""
        self._loop.call_soon_threadsafe(self._take_frame, None)

    def wait_until_watched(self) -> None:
        """Blocks until the first page is connected."""
        while not self._watched.wait(WAKE):
            pass

    def voice(self) -> Generator[Tensor, None, None]:
        """Yields pieces (1, S) of a page's microphone, as they arrive, until the viewer is closed.

        When the page disconnects, the next one that offers its microphone is used.
        """
        while (piece := self._heard()) is not None:
            yield piece

    def _heard(self) -> Tensor | None:
        while True:
            with suppress(Empty):
                return self._voice.get(timeout=WAKE)

    def _take_frame(self, frame: LiveFrame | None) -> None:
        if frame is None or (frame.picture is not None and self._outboxes):
            self._frames.append(frame)
            self._has_frames.set()

    def _give_sound(self, samples: bytes, count: int) -> None:
        self._give(Message(HEADER.pack(SOUND, self._samples) + samples, count / self._rate))
        self._samples += count

    def _give(self, message: Message) -> None:
        for outbox in list(self._outboxes):
            outbox.add(message)

    async def _serve(self) -> None:
        from aiohttp import web

        app = web.Application(middlewares=[self._guard()])
        app.add_routes([web.get("/", self._page), web.get("/portrait.jpg", self._portrait)])
        app.add_routes([web.get("/live", self._talk), web.static("/code", PAGE)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=FAREWELL)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        compressing = asyncio.create_task(self._compress())
        await self._closing.wait()
        await asyncio.wait([compressing], timeout=FAREWELL)
        compressing.cancel()
        self._give(Message(None))
        if self._outboxes:
            await asyncio.wait(self._outboxes.values(), timeout=FAREWELL)
        for outbox in list(self._outboxes):
            outbox.abort()
        await runner.cleanup()
        await self._loop.shutdown_default_executor()  # its threads make JPEGs

    async def _compress(self) -> None:
        """Compresses frames to JPEG in a worker thread, in order, and sends them; then sends the end."""
        while (frame := await self._next_frame()) is not None:
            if frame.picture is not None:
                body = await asyncio.to_thread(jpeg, frame.picture)
                self._give(Message(HEADER.pack(FRAME, frame.index) + body, is_frame=True))
        self._give(Message(json.dumps({"end": True})))

    async def _next_frame(self) -> LiveFrame | None:
        while not self._frames:
            self._has_frames.clear()
            await self._has_frames.wait()
        return self._frames.popleft()

    def _guard(self) -> "Middleware":
        """Returns the middleware that refuses requests not from our own page, and sets HEADERS."""
        from aiohttp import web

        @web.middleware
        async def guarded(request: web.Request, handler: "Handler") -> web.StreamResponse:
            trouble = self._trouble(request)
            if trouble:
                raise web.HTTPForbidden(text=trouble, headers=HEADERS)
            response = await handler(request)
            if not response.prepared:
                response.headers.update(HEADERS)
            return response

        return guarded

    def _trouble(self, request: "web.Request") -> str:
        """Returns the reason to refuse a request; empty when it is accepted."""
        name, origin = request.url.host or "", request.headers.get("Origin")
        if self._is_local and not _is_this_machine(name):
            return f"This page is served to this machine only, not as {name!r}."
        if origin is not None and origin.partition("://")[2] != request.host:
            return f"Another page, {origin}, asked."
        given = request.query.get("token", "").encode()
        if not request.path.startswith("/code/") and not secrets.compare_digest(given, self._token.encode()):
            return "Open the address that `talking-head live` has printed, with its token."
        return ""

    async def _page(self, _request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        return web.FileResponse(PAGE / "index.html")

    async def _portrait(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web

        return web.Response(body=self._picture, content_type="image/jpeg")

    async def _talk(self, request: "web.Request") -> "web.WebSocketResponse":
        """Serves the WebSocket of a page: sends its outbox, and receives its microphone."""
        from aiohttp import web

        page = web.WebSocketResponse(max_msg_size=LARGEST_PIECE, heartbeat=HEARTBEAT)
        await page.prepare(request)
        outbox = Outbox(lambda: request.transport and request.transport.abort())
        asks = self._hello["microphone"] and self._speaker is None
        outbox.add(Message(json.dumps({**self._hello, "microphone": asks})))
        self._outboxes[outbox] = asyncio.create_task(_tell(page, outbox))
        self._watched.set()
        try:
            await self._listen(page, outbox)
        finally:
            self._outboxes.pop(outbox).cancel()
            self._speaker = None if self._speaker is outbox else self._speaker
        return page

    async def _listen(self, page: "web.WebSocketResponse", outbox: Outbox) -> None:
        """Receives the page's microphone: first its rate as JSON, then pieces of 32-bit samples."""
        from aiohttp import WSMsgType

        resampler = None
        async for said in page:
            if said.type is WSMsgType.TEXT and self._speaker is None and self._hello["microphone"]:
                resampler = Resampler(_microphone_rate(said.data), self._rate)
                self._speaker = outbox
            elif said.type is WSMsgType.BINARY and resampler is not None:
                self._voice.put(resampler.resampled(_samples(said.data)))


async def _tell(page: "web.WebSocketResponse", outbox: Outbox) -> None:
    """Sends the messages of an outbox until its end, or until the page disconnects."""
    with suppress(ConnectionError):
        while (content := await outbox.next()) is not None:
            await (page.send_str(content) if isinstance(content, str) else page.send_bytes(content))
        await page.close(message=b"ended")


def pcm(samples: Tensor) -> bytes:
    """Returns sound (1, S) in -1…1 as 16-bit little-endian samples."""
    return samples[0].mul(32_767).round_().clamp_(-32_768, 32_767).numpy().astype("<i2").tobytes()


def _samples(body: bytes) -> Tensor:
    """Returns sound (1, S) from 32-bit little-endian float samples; NaN and infinity become silence."""
    samples = np.frombuffer(body[: len(body) // 4 * 4], "<f4").astype(np.float32)
    return torch.from_numpy(np.nan_to_num(samples, posinf=0, neginf=0).clip(-1, 1))[None]


def _microphone_rate(message: str) -> int:
    """Returns the sample rate in a page's message, such as {"sample_rate": 48000}."""
    rate = json.loads(message)["sample_rate"]
    lowest, highest = MICROPHONE_RATES
    if not isinstance(rate, int) or not lowest <= rate <= highest:
        raise ValueError(f"The page's microphone has {rate!r} samples a second; expected {lowest} … {highest}.")
    return rate


def _is_this_machine(name: str) -> bool:
    with suppress(ValueError):
        return ip_address(name).is_loopback
    return name == "localhost"


def require_aiohttp() -> None:
    """Raises when the page cannot be served.

    Raises:
        ValueError: aiohttp is not installed.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise ValueError('The page needs aiohttp: pip install "talking-head[live]", or pip install aiohttp.')


def _listening(host: str, port: int) -> socket.socket:
    """Returns a listening socket.

    Raises:
        OSError: the address is not this machine's, or is already in use.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise OSError(
            f"Cannot serve the page at {host}, port {port}: {error}. Give another --host or --port."
        ) from error
