"""The page of a live head: who may open it, what it is told, and what it shows in a real browser."""

import asyncio
import json
import re
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO

import pytest
import torch
from browser import CHROMIUM, FLAGS
from conftest import ROOT
from PIL import Image
from test_live import RATE, VOICE, no_thread_left, sitter

from talking_head.apps.cli import live as live_command
from talking_head.apps.cli.main import main
from talking_head.apps.live.viewer import (
    FRAME,
    FRAMES_WAITING,
    HEADER,
    SOUND,
    SOUND_WAITING,
    Message,
    Outbox,
    Viewer,
)
from talking_head.diffpose.procedural.stream import ProceduralStream
from talking_head.lp_core.live.session import LiveFrame, LiveHead, LiveSession, Schedule, picture_bytes
from talking_head.lp_core.live.voices import PIECE, at_its_pace
from talking_head.lp_core.media.audio import ArrivingAudio, Audio
from talking_head.lp_core.media.video import read_video

aiohttp = pytest.importorskip("aiohttp")
SCHEDULE = Schedule(Fraction(25), 0.6)
PICTURE = torch.full((48, 32, 3), 90, dtype=torch.uint8)


def viewer(**options) -> Viewer:
    return Viewer(PICTURE, SCHEDULE, 16_000, **options)


def asked(coroutine):
    """What a coroutine that uses an aiohttp session gives."""

    async def run():
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            return await asyncio.wait_for(coroutine(session), 30)

    return asyncio.run(run())


def place(server: Viewer, path: str) -> str:
    return server.url.replace("/?", f"{path}?")


def taken(outbox: Outbox) -> list:
    async def all_of_it():
        outbox.add(Message(None))
        contents = []
        while (content := await outbox.next()) is not None:
            contents.append(content)
        return contents

    return asyncio.run(all_of_it())


def test_a_slow_page_misses_the_oldest_frames_and_no_sound():
    outbox = Outbox(lambda: None)
    for number in range(3 * FRAMES_WAITING):
        outbox.add(Message(f"frame {number}", is_frame=True))
        outbox.add(Message(f"sound {number}", seconds=0.04))
    contents = taken(outbox)
    assert [content for content in contents if content.startswith("sound")] == [f"sound {n}" for n in range(75)]
    frames = [content for content in contents if content.startswith("frame")]
    assert frames == [f"frame {n}" for n in range(2 * FRAMES_WAITING, 3 * FRAMES_WAITING)]


def test_a_page_that_is_seconds_behind_in_sound_is_let_go():
    gone = []
    outbox = Outbox(lambda: gone.append(True))
    outbox.add(Message(b"", seconds=SOUND_WAITING))
    assert not gone
    outbox.add(Message(b"", seconds=0.1))
    assert gone


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/portrait.jpg", {}, 200),
        ("/code/live.mjs", {}, 200),
        ("/?token=wrong", {}, 403),
        ("/portrait.jpg?", {}, 403),
        ("/live?token=", {}, 403),
        ("/", {"Origin": "http://elsewhere.example"}, 403),
        ("/", {"Host": "elsewhere.example"}, 403),
        ("/code/../../../pyproject.toml", {}, 403),
        ("/code/%2e%2e/%2e%2e/pyproject.toml", {}, 403),
    ],
)
def test_only_the_page_that_was_given_the_address_is_answered(path, headers, status):
    with viewer() as server:
        address = place(server, path) if "?" not in path else server.url.partition("/?")[0] + path

        async def ask(session):
            async with session.get(address, headers=headers) as answer:
                return answer.status, answer.headers.get("Referrer-Policy"), await answer.read()

        found, referrer, body = asked(ask)
    assert found in (status, 404 if status == 403 else status)
    assert b"[project]" not in body
    if status == 200 and path == "/":
        assert referrer == "no-referrer"
        assert b"live.mjs" in body


def test_a_page_gets_hello_then_sound_and_frames_in_order_then_the_end():
    sound = torch.linspace(-1, 1, 1600)[None]

    async def watch(session):
        async with session.ws_connect(place(server, "/live")) as page:
            hello, got = json.loads(await page.receive_str()), []
            for index in range(3):
                server.sound(sound)
                server.frame(LiveFrame(index, None if index == 1 else PICTURE, 0.0))
            server.frame(LiveFrame(3, PICTURE, 0.0))
            while len(got) < 6:
                got.append(await page.receive_bytes())
            server.end()
            return hello, got, json.loads(await page.receive_str())

    with viewer() as server:
        hello, got, end = asked(watch)
    assert hello == {
        "fps": 25.0, "latency": 0.6, "sample_rate": 16_000, "width": 32, "height": 48, "microphone": False,
    }  # fmt: skip
    headers = [HEADER.unpack_from(message) for message in got]
    assert [number for kind, number in headers if kind == SOUND] == [0, 1600, 3200]
    assert [number for kind, number in headers if kind == FRAME] == [0, 2, 3]  # the second was dropped
    pieces = [message[HEADER.size :] for message, (kind, _) in zip(got, headers, strict=True) if kind == SOUND]
    heard = torch.frombuffer(bytearray(pieces[0]), dtype=torch.int16) / 32_767
    assert (heard - sound[0]).abs().max() < 1e-4
    frames = [message[HEADER.size :] for message, (kind, _) in zip(got, headers, strict=True) if kind == FRAME]
    with Image.open(BytesIO(frames[0])) as picture:
        assert picture.size == (32, 48)
        assert abs(picture.getpixel((5, 5))[0] - 90) < 3
    assert end == {"end": True}


def test_one_page_s_microphone_is_heard_at_the_server_s_rate():
    spoken = torch.sin(torch.arange(4800) / 20).numpy()

    async def speak(session):
        async with (
            session.ws_connect(place(server, "/live")) as first,
            session.ws_connect(place(server, "/live")) as second,
        ):
            await first.receive_str()
            await second.receive_str()
            await first.send_str(json.dumps({"sample_rate": 48_000}))
            for piece in spoken.reshape(5, -1):
                await first.send_bytes(piece.tobytes())
            await asyncio.sleep(0.2)
            await second.send_str(json.dumps({"sample_rate": 8_000}))
            await second.send_bytes(bytes(400))
            await first.send_bytes(b"\x00\x00\xc0\x7f")  # NaN

    with viewer(microphone=True) as server:
        asked(speak)
    heard = torch.cat(list(server.voice()), 1)
    assert 1300 < heard.shape[1] <= 1601  # a third, but for what the resampler still holds
    assert torch.isfinite(heard).all()
    expected = torch.sin(torch.arange(1600) * 3 / 20)
    assert (heard[0, 100:1200] - expected[100:1200]).abs().max() < 0.02


def test_a_page_that_comes_back_is_heard_again_and_one_that_comes_second_only_watches():
    piece = torch.full((320,), 0.5).numpy().tobytes()

    async def offered(page):
        return json.loads(await page.receive_str())["microphone"]

    async def speak(session):
        for turn in range(2):
            await asyncio.sleep(turn)  # until the first one's leaving is known
            async with session.ws_connect(place(server, "/live")) as page:
                assert await offered(page)
                await page.send_str(json.dumps({"sample_rate": 16_000}))
                await page.send_bytes(piece)
                heard.append(await asyncio.to_thread(next, voice))
                async with session.ws_connect(place(server, "/live")) as second:
                    assert not await offered(second)

    heard = []
    with viewer(microphone=True) as server:
        voice = server.voice()
        asked(speak)
    assert [float(piece.sum()) for piece in heard] == [160, 160]
    assert list(voice) == []


def test_the_last_frames_come_before_the_end():
    noise = torch.randint(0, 256, (512, 512, 3), dtype=torch.uint8)

    async def watch(session):
        async with session.ws_connect(place(server, "/live")) as page:
            await page.receive_str()
            ready.set()
            return [json.loads(said.data) if isinstance(said.data, str) else said.data[:12] async for said in page]

    ready, messages = threading.Event(), []
    with viewer() as server:
        thread = threading.Thread(target=lambda: messages.extend(asked(watch)))
        thread.start()
        ready.wait(30)
        for index in range(FRAMES_WAITING // 2):
            server.frame(LiveFrame(index, noise, 0.0))
        server.end()
    thread.join()
    *frames, end = messages
    assert [HEADER.unpack(frame) for frame in frames] == [(FRAME, index) for index in range(FRAMES_WAITING // 2)]
    assert end == {"end": True}


def test_a_page_that_stops_reading_is_let_go_and_costs_no_memory():
    piece = torch.rand(1, 16_000)
    with no_thread_left(), viewer() as server:
        address = server.url.split("/")[2]
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as page:
            key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="
            asks = f"Host: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}"
            page.sendall(f"GET {place(server, '/live').partition(address)[2]} HTTP/1.1\r\n{asks}\r\n\r\n".encode())
            server.wait_until_watched()
            for second in range(1500):
                server.sound(piece)
                server.frame(LiveFrame(second, PICTURE, 0.0))
                time.sleep(0.001)
            page.settimeout(10)
            arrived = sum(map(len, iter(lambda: page.recv(1 << 20), b"")))
    assert arrived < 1500 * 32_000 / 2  # what lay in the system's buffers


def test_ending_leaves_no_thread_and_frees_the_port():
    with no_thread_left(), viewer() as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match=f"Cannot serve the page at 127.0.0.1, port {port}.*--host or --port"):
            viewer(port=port)
    with no_thread_left(), viewer(port=port):
        pass


def test_a_file_is_spoken_at_its_own_pace():
    now, waits = [100.0], []

    def wait(seconds):
        waits.append(seconds)
        now[0] += seconds

    given = []
    for piece in at_its_pace(VOICE.waveform[:, : 2 * RATE], RATE, lambda: now[0], wait):
        given.append(piece)
        now[0] += 0.001  # the listener's work
        assert sum(one.shape[1] for one in given) / RATE == pytest.approx(now[0] - 100, abs=0.0011)
    assert torch.equal(torch.cat(given, 1), VOICE.waveform[:, : 2 * RATE])
    assert max(waits) <= PIECE + 1e-6


def saved_voice(path, seconds):
    import soundfile

    soundfile.write(path, VOICE.waveform[0, : round(seconds * RATE)].numpy(), RATE)
    return Audio(VOICE.waveform, RATE)


def test_the_command_writes_a_file_along(tmp_path, capsys):
    saved_voice(tmp_path / "voice.wav", 0.7)
    video = tmp_path / "live.mp4"
    portrait = str(ROOT / "workflows" / "demo_portrait.jpg")
    given = [
        "live",
        portrait,
        "--voice",
        str(tmp_path / "voice.wav"),
        "-o",
        str(video),
        "--no-page",
        "--max-side",
        "128",
    ]
    assert main(given) == 0
    assert "18 frames" in capsys.readouterr().out
    clip = read_video(video)
    sound = clip.audio()
    assert sum(len(batch) for batch in clip.frames()) == 18
    assert sound is not None
    assert abs(float(sound.duration) - 0.7) < 0.05


@pytest.mark.parametrize("pressed", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
def test_the_command_finishes_the_file_when_it_is_told_to_end(tmp_path, capsys, monkeypatch, pressed):
    def told_to_end(waveform, rate):
        yield from waveform[:, : rate // 2].split(rate // 50, 1)
        assert signal.getsignal(pressed[0]) is signal.default_int_handler  # else the tests would be ended
        signal.raise_signal(pressed[0])

    def finish(session):
        if pressed[1:]:
            signal.raise_signal(pressed[1])
        finished(session)

    finished = LiveSession.finish
    monkeypatch.setattr(live_command, "at_its_pace", told_to_end)
    monkeypatch.setattr(LiveSession, "finish", finish)
    usual = signal.getsignal(signal.SIGTERM)
    voice, video = ROOT / "workflows" / "demo_speech.wav", tmp_path / "live.mp4"
    portrait = str(ROOT / "workflows" / "demo_portrait.jpg")
    with no_thread_left():
        given = ["live", portrait, "--voice", str(voice), "-o", str(video), "--no-page", "--max-side", "128"]
        assert main(given) == 0
    assert signal.getsignal(signal.SIGTERM) is usual
    assert f"{video}: 13 frames" in capsys.readouterr().out
    assert sum(len(batch) for batch in read_video(video).frames()) == 13
    assert list(tmp_path.iterdir()) == [video]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-o", "nowhere/live.mp4"], "the folder .*nowhere does not exist"),
        (["-o", "live.doc"], "Video is written as"),
        (["--microphone"], r"A microphone needs sounddevice .*talking-head\[live\]"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(options, sentence, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["live", "no such portrait.jpg", *options]) == 1
    assert re.search(sentence, capsys.readouterr().err)


@pytest.mark.parametrize(("rate", "suffix"), [(8_000, ".mp4"), (44_100, ".webm"), (96_000, ".mkv")])
def test_a_voice_of_any_rate_is_kept_in_any_format(tmp_path, rate, suffix):
    import soundfile

    video, voice = tmp_path / f"live{suffix}", tmp_path / "voice.wav"
    soundfile.write(voice, VOICE.resampled(rate).waveform[0, : rate // 4].repeat(2, 1).T.numpy(), rate)
    portrait = str(ROOT / "workflows" / "demo_portrait.jpg")
    assert main(["live", portrait, "--voice", str(voice), "-o", str(video), "--no-page", "--max-side", "96"]) == 0
    sound = read_video(video).audio()
    assert sound is not None
    assert sound.channels == 2
    assert abs(float(sound.duration) - 0.25) < 0.05


def test_nobody_to_hear_is_said(capsys):
    assert main(["live", str(ROOT / "workflows" / "demo_portrait.jpg"), "--no-page"]) == 1
    assert "give --voice FILE or --microphone" in capsys.readouterr().err


@contextmanager
def browser_page():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        try:
            yield page
        finally:
            browser.close()
        assert not errors


def live(server_options, seconds):
    """A head with a page, and what the page says after `seconds` of it, at their own pace."""
    portrait = sitter()
    head = LiveHead(portrait, ProceduralStream(25, seed=3), ArrivingAudio(RATE), latency=2.0)
    with (
        Viewer(picture_bytes(portrait.picture), head.schedule, RATE, **server_options) as server,
        browser_page() as page,
    ):
        page.goto(server.url)
        before = page.locator("canvas").screenshot()
        page.click("button")
        server.wait_until_watched()
        pieces = server.voice() if server_options.get("microphone") else at_its_pace(VOICE.waveform, RATE)
        left = seconds
        with LiveSession(head, [server]) as session:
            for piece in pieces:
                session.push(piece)
                left -= piece.shape[1] / RATE
                if left <= 0:
                    break
            page.wait_for_timeout(3_000)  # until all is heard
            shown = page.locator("canvas")
            report = {name: float(shown.get_attribute(f"data-{name}") or 0) for name in ("shown", "behind")}
            return before, shown.screenshot(), report


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.flaky(reruns=2)
@pytest.mark.parametrize("options", [{}, {"microphone": True}], ids=["voice", "microphone"])
def test_a_browser_shows_frames_while_their_sound_is_heard(options):
    pytest.importorskip("playwright")
    before, after, report = live(options, seconds=3)
    assert report["shown"] > 20
    assert report["behind"] < 0.2  # of a busy machine's page; a frame is 0.04 s
    assert before != after
    assert not [thread for thread in threading.enumerate() if thread.name in ("viewer", "live _hear", "live _draw")]
