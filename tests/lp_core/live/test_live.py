"""The live pipeline: the same frames as offline, in time or not at all, the sound always whole, and a clean end."""

import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise

import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from talking_head.diffpose.procedural.stream import ProceduralStream
from talking_head.lp_core.choice import choose_renderer
from talking_head.lp_core.compute.compute import ON_CPU
from talking_head.lp_core.compute.transfer import as_bytes
from talking_head.lp_core.faces.search import find_faces
from talking_head.lp_core.live.recording import PICTURES_WAITING, Recording
from talking_head.lp_core.live.session import (
    RESERVE,
    LiveFrame,
    LiveHead,
    LiveSession,
    Schedule,
    measured_latency,
    picture_bytes,
)
from talking_head.lp_core.media.audio import ArrivingAudio, Resampler, load_audio
from talking_head.lp_core.media.encoding import VideoOptions
from talking_head.lp_core.media.picture import limited, load_picture
from talking_head.lp_core.media.rates import frame_count
from talking_head.lp_core.media.video import read_video
from talking_head.lp_core.motion.sequence import MotionSequence, join
from talking_head.lp_core.render.portrait import Portrait
from talking_head.lp_core.render.render import render

FPS = Fraction(25)
VOICE = load_audio(ROOT / "workflows" / "demo_speech.wav")
RATE = VOICE.sample_rate


@cache
def sitter() -> Portrait:
    """Somebody small; not a fixture, since hypothesis prints those."""
    picture = limited(load_picture(ROOT / "workflows" / "demo_portrait.jpg"), 160)
    return choose_renderer("mesh", ON_CPU).portrait(picture, find_faces(picture)[0])


@pytest.fixture
def portrait():
    return sitter()


class Counted:
    """A stream whose frame n settles with second n / 25 + delay, and whose motion is the number n."""

    fps = FPS

    def __init__(self, delay: float = 0.4, hop: int = 3) -> None:
        self.delay, self._hop, self._given, self._heard = delay, hop, 0, 0

    def push(self, sound):
        self._heard += len(sound)
        frames = int((self._heard / 16_000 - self.delay) * 25 + 1e-6) + self._hop
        return self._until(frames // self._hop * self._hop)

    def finish(self):
        return self._until(frame_count(self._heard, 16_000, FPS))

    def _until(self, end):
        if end <= self._given:
            return None
        motion = MotionSequence.still(end - self._given, FPS)
        number = torch.arange(self._given, end, dtype=torch.float32)[:, None].expand(-1, 3)
        self._given = end
        return replace(motion, translation=number.clone())


class Simulated:
    """A renderer whose pictures tell their frame's number, and during whose work sound goes on arriving."""

    name = "simulated"

    def __init__(self, arrive, seconds) -> None:
        self._arrive, self._seconds = arrive, iter(seconds)

    def draw(self, _portrait, motion, _options):
        self._arrive(next(self._seconds))
        return (motion.translation[:, :1, None, None] / 255).expand(-1, 2, 2, 3)


class Everything:
    """An audience that keeps what it gets."""

    def __init__(self) -> None:
        self.sounds, self.frames, self.ends = [], [], 0

    def sound(self, samples):
        self.sounds.append(samples)

    def frame(self, frame):
        self.frames.append(frame)

    def end(self):
        self.ends += 1


def pieces(sizes, samples=VOICE.waveform):
    """Sound cut into pieces of these sizes, over and over."""
    start, turn = 0, 0
    while start < samples.shape[1]:
        yield samples[:, start : start + sizes[turn % len(sizes)]]
        start, turn = start + sizes[turn % len(sizes)], turn + 1


def in_turns(head, sound):
    """Every frame of a voice when there is all the time in the world between its pieces."""
    frames = []
    for piece in sound:
        head.push(piece)
        while head.has_sound or head.has_frame:
            if head.has_sound:
                head.hear()
            if head.has_frame:
                frames.append(head.draw())
    head.finish()
    while not head.is_done:
        if head.has_sound:
            head.hear()
        frames.append(head.draw())
    return frames


@cache
def offline(seconds):
    """The frames of so much of the voice when it is all there."""
    samples = VOICE.waveform[:, : seconds * RATE]
    stream = ProceduralStream(25, seed=3)
    sound = Resampler(RATE, 16_000).resampled(samples, last=True)[0]
    motion = join([piece for piece in (stream.push(sound), stream.finish()) if piece is not None])
    return torch.cat(list(render(sitter(), motion)))


@settings(max_examples=4)
@given(st.lists(st.integers(1, 6_000), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 400))
def test_frames_are_those_of_the_whole_voice_however_it_arrives(sizes):
    portrait, samples = sitter(), VOICE.waveform[:, :RATE]
    head = LiveHead(portrait, ProceduralStream(25, seed=3), ArrivingAudio(RATE), latency=60)
    frames = in_turns(head, pieces(sizes, samples))
    expected = offline(1)
    assert [frame.index for frame in frames] == list(range(len(expected)))
    assert not [frame.index for frame in frames if frame.picture is None]
    seen = torch.stack([frame.picture for frame in frames if frame.picture is not None])
    assert (seen.int() - as_bytes(expected).int()).abs().max() <= 1  # one frame at a time rounds differently


@settings(max_examples=10)
@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 200))
def test_resampling_does_not_depend_on_the_pieces(sizes):
    whole = Resampler(RATE, 16_000).resampled(VOICE.waveform, last=True)
    resampler, cut = Resampler(RATE, 16_000), list(pieces(sizes))
    parts = [resampler.resampled(piece, last=piece is cut[-1]) for piece in cut]
    assert torch.equal(torch.cat(parts, 1), whole)


class Watch(Everything):
    """An audience that also keeps when each frame came."""

    def __init__(self, clock) -> None:
        super().__init__()
        self.moments, self._clock = [], clock

    def frame(self, frame):
        super().frame(frame)
        self.moments.append(self._clock())


def simulated(portrait, minutes, seconds, latency=0.6, piece=0.04):
    """What an audience got, in simulated time, of a head whose renderer takes `seconds`; and the sound."""
    now, samples, total = [0.0], round(piece * 16_000), minutes * 60 * 16_000
    sound, audience = ArrivingAudio(16_000), Watch(lambda: now[0])
    renderer = Simulated(lambda span: arrive(span), seconds)
    head = LiveHead(replace(portrait, renderer=renderer), Counted(), sound, latency=latency, clock=lambda: now[0])

    def arrive(span):
        end = now[0] + span
        while sound.arrived < total and (moment := (sound.arrived + samples) / 16_000) <= end + 1e-9:
            now[0] = moment
            audience.sound(torch.zeros(1, samples))
            head.push(torch.zeros(1, samples))
            if sound.arrived == total:
                head.finish()
        now[0] = end

    while not head.is_done:
        if head.has_sound:
            head.hear()
        if head.has_frame:
            audience.frame(head.draw())
        else:
            arrive(piece)
    return audience, sound


def delays(low, high):
    generator = torch.Generator().manual_seed(1)
    while True:
        yield low + (high - low) * float(torch.rand((), generator=generator))


@pytest.mark.parametrize(
    ("minutes", "low", "high", "shown"), [(2, 0.1, 0.1, 0.3), (2, 0.05, 0.25, 0.1), (30, 0.18, 0.22, 0.06)]
)
def test_a_slow_renderer_drops_frames_and_keeps_sync(portrait, minutes, low, high, shown):
    audience, sound = simulated(portrait, minutes, delays(low, high))
    assert sound.arrived == sum(piece.shape[1] for piece in audience.sounds) == minutes * 60 * 16_000
    assert [frame.index for frame in audience.frames] == list(range(minutes * 60 * 25))
    drawn = [frame for frame in audience.frames if frame.picture is not None]
    assert max(frame.offset for frame in drawn) <= 1 / 25 + 1e-6
    assert shown <= len(drawn) / len(audience.frames) < 0.5
    assert all(int(frame.picture[0, 0, 0]) == min(frame.index, 255) for frame in drawn)
    longest = max(after.index - before.index for before, after in pairwise(drawn))
    assert longest < 75
    late = [
        moment - frame.index / 25 - 0.6
        for moment, frame in zip(audience.moments, audience.frames, strict=True)
        if frame.picture is not None
    ]
    assert max(late) <= 2 / 25 + 1e-6  # by the wall's clock, to the last frame; sound comes in pieces of a frame


def test_a_quick_renderer_drops_nothing_and_is_early(portrait):
    audience, _ = simulated(portrait, 1, delays(0.0, 0.02))
    assert all(frame.picture is not None for frame in audience.frames)
    assert max(frame.offset for frame in audience.frames) <= 0


def test_drawing_goes_on_after_a_pause_of_the_machine(portrait):
    def seconds():
        yield from [0.02] * 50
        yield 3.0
        yield from delays(0.02, 0.02)

    frames = simulated(portrait, 1, seconds())[0].frames
    dropped = [frame.index for frame in frames if frame.picture is None]
    assert dropped[-1] - dropped[0] <= len(dropped)  # one stretch, in which one frame may have been tried
    assert 2.5 * 25 <= len(dropped) < 3.5 * 25


def test_a_frame_is_late_when_it_is_more_than_a_frame_behind():
    schedule = Schedule(FPS, 0.5)
    assert schedule.offset(50, 2.5) == 0
    assert not schedule.is_late(50, 2.53)
    assert schedule.is_late(50, 2.55)


@pytest.mark.parametrize("latency", [0, 0.39, -1, 61, float("nan"), float("inf")])
def test_a_latency_that_cannot_be_held_is_refused(portrait, latency):
    with pytest.raises(ValueError, match=r"takes 0.40 s of sound: give more, up to 60 s"):
        LiveHead(portrait, Counted(0.4), ArrivingAudio(RATE), latency)


@pytest.mark.parametrize("fps", [1, 60])
def test_the_latency_of_any_rate_can_be_measured(portrait, fps):
    stream = ProceduralStream(fps)
    assert measured_latency(portrait, stream) >= stream.delay + RESERVE


def test_the_latency_is_the_stream_s_delay_and_a_reserve(portrait):
    assert LiveHead(portrait, Counted(0.4), ArrivingAudio(RATE)).schedule.latency == pytest.approx(0.4 + RESERVE)
    assert measured_latency(portrait, Counted(0.4)) >= 0.4 + RESERVE


# ------------------------------------------------------------------ threads, and the file written along


def recorded(path, portrait, **options):
    kept = VideoOptions(preset="ultrafast", **options)
    return Recording(path, picture_bytes(portrait.picture), FPS, RATE, options=kept)


def said(head, audience):
    """The whole voice, at once."""
    with LiveSession(head, audience) as session:
        for piece in pieces([2_000]):
            session.push(piece)
        session.finish()


@contextmanager
def no_thread_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def lengths(path):
    """The number of frames in a file, and the sound in it."""
    video = read_video(path)
    sound = video.audio()
    assert sound is not None
    return sum(len(batch) for batch in video.frames()), sound


@settings(max_examples=12)
@given(st.integers(0, 12), st.integers(200, 9_000), st.booleans(), st.booleans())
def test_closing_at_any_moment_leaves_no_thread_and_a_whole_file(tmp_path_factory, steps, size, ends, fails):
    portrait, path = sitter(), tmp_path_factory.mktemp("live") / "live.mp4"
    pushed = list(pieces([size]))[:steps]
    head = LiveHead(portrait, ProceduralStream(25), ArrivingAudio(RATE))

    def speak():
        with LiveSession(head, [recorded(path, portrait)]) as session:
            for piece in pushed:
                session.push(piece)
            if ends:
                session.finish()
            if fails:
                raise KeyboardInterrupt

    with no_thread_left(), pytest.raises(KeyboardInterrupt) if fails else nullcontext():
        speak()
    samples = sum(piece.shape[1] for piece in pushed)
    assert path.exists() == bool(samples)
    if samples:
        frames, sound = lengths(path)
        assert frames == frame_count(samples, RATE, FPS)
        assert 0 <= sound.samples - samples < 1024 + RATE / 25


def test_a_voice_that_ends_is_drawn_to_its_end(tmp_path, portrait):
    path, audience = tmp_path / "live.mp4", Everything()
    samples = VOICE.waveform[:, :RATE]
    head = LiveHead(portrait, ProceduralStream(25, seed=3), ArrivingAudio(RATE), latency=60)
    with LiveSession(head, [recorded(path, portrait, crf=1), audience]) as session:
        for piece in pieces([441], samples):
            session.push(piece)
        session.finish()
    assert audience.ends == 1
    assert all(frame.picture is not None for frame in audience.frames)
    seen = torch.cat(list(read_video(path).frames()))
    expected = offline(1)
    assert (seen - expected).abs().mean() < 0.02
    assert torch.equal(torch.cat(audience.sounds, 1), samples)


def test_dropped_frames_repeat_the_picture_before_them(tmp_path, portrait):
    path = tmp_path / "live.mp4"
    recording = Recording(path, torch.zeros(32, 32, 3, dtype=torch.uint8), FPS, RATE)
    recording.sound(torch.zeros(1, RATE))
    levels = [None, None, 100, None, 200, None]
    for index, level in enumerate(levels):
        picture = None if level is None else torch.full((32, 32, 3), level, dtype=torch.uint8)
        recording.frame(LiveFrame(index, picture, 0.0))
    recording.end()
    seen = torch.cat(list(read_video(path).frames())).mean((1, 2, 3)) * 255
    assert (seen - torch.tensor([0, 0, 100, 100, 200, 200])).abs().max() < 3


def test_an_encoder_that_stands_still_costs_pictures_and_no_sound(tmp_path, portrait, monkeypatch):
    start, path = threading.Event(), tmp_path / "live.mp4"
    module = __import__("talking_head.lp_core.live.recording", fromlist=["write_video"])
    write_video = module.write_video

    def waiting(*given):
        start.wait()
        return write_video(*given)

    monkeypatch.setattr(module, "write_video", waiting)
    recording = Recording(path, torch.zeros(32, 32, 3, dtype=torch.uint8), FPS, RATE)
    recording.sound(torch.zeros(1, 4 * RATE))
    for index in range(100):
        recording.frame(LiveFrame(index, torch.full((32, 32, 3), 2 * index, dtype=torch.uint8), 0.0))
    start.set()
    recording.end()
    frames, sound = lengths(path)
    assert frames == 100
    assert abs(sound.samples - 4 * RATE) < 2048
    seen = torch.cat(list(read_video(path).frames())).mean((1, 2, 3)) * 255
    assert (seen[-40:] - 2 * PICTURES_WAITING).abs().max() < 5


def test_trouble_in_a_thread_reaches_who_speaks_and_the_file_is_kept(tmp_path, portrait):
    class Broken:
        name = "broken"

        def draw(self, *_):
            raise RuntimeError("no memory")

    path = tmp_path / "live.mp4"
    head = LiveHead(replace(portrait, renderer=Broken()), ProceduralStream(25), ArrivingAudio(RATE), latency=60)
    with no_thread_left(), pytest.raises(RuntimeError, match="no memory"):
        said(head, [recorded(path, portrait)])
    frames, sound = lengths(path)
    assert abs(frames / 25 - float(sound.duration)) < 0.1


def test_a_file_that_cannot_be_written_ends_the_session_with_a_sentence(tmp_path, portrait):
    head = LiveHead(portrait, ProceduralStream(25), ArrivingAudio(RATE))
    with no_thread_left(), pytest.raises(FileNotFoundError, match="does not exist"):
        said(head, [recorded(tmp_path / "nowhere" / "live.mp4", portrait)])


def test_bad_sound_gets_a_sentence(portrait):
    head = LiveHead(portrait, Counted(), ArrivingAudio(16_000))
    with pytest.raises(ValueError, match=r"shape \(1, samples\); got \(2, 5\)"):
        head.push(torch.zeros(2, 5))
    head.push(torch.zeros(1, 16_000 * 11))
    with pytest.raises(ValueError, match="more than 10 seconds behind the voice"):
        head.push(torch.zeros(1, 5))
    head.finish()
    with pytest.raises(ValueError, match="voice has ended"):
        head.push(torch.zeros(1, 5))
