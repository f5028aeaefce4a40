"""Video out and in: counts and durations to the frame, the sound as it came, colours, and files whole or absent."""

import json
import math
import os
import subprocess
import sys
import textwrap
import threading
import wave
from enum import IntEnum
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from conftest import ROOT

from talking_head.lp_core.media import encoding
from talking_head.lp_core.media.audio import ArrivingAudio, Audio, AudioFile, load_audio
from talking_head.lp_core.media.rates import frame_count, frame_rate
from talking_head.lp_core.media.video import Video, VideoOptions, read_video, write_video

FAST = VideoOptions(preset="ultrafast")
RATES = [23.976, 25, 29.97, 30]


def tone(seconds: float, rate: int = 48_000, channels: int = 1) -> Audio:
    time = torch.arange(round(seconds * rate)) / rate
    return Audio(torch.stack([0.2 * torch.sin(2 * math.pi * 220 * (c + 1) * time) for c in range(channels)]), rate)


def grey(frames: int, height: int = 32, width: int = 48, batch: int = 16):
    for start in range(0, frames, batch):
        yield torch.full((min(batch, frames - start), height, width, 3), 0.5)


def tracks(path: Path):
    """(frames, seconds of picture, seconds of sound or None, sample rate, channels) that the file holds."""
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        count = sum(1 for _ in container.decode(picture))
        seconds = picture.duration * picture.time_base
        if not container.streams.audio:
            return count, seconds, None, None, None
        sound = container.streams.audio[0]
        return count, seconds, sound.duration * sound.time_base, sound.rate, sound.channels


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("seconds", [1, 7.3])
def test_counts_and_durations_are_exact(tmp_path, seconds, fps):
    audio = tone(seconds)
    rate = frame_rate(fps)
    frames = frame_count(audio.samples, audio.sample_rate, rate)
    written = write_video(tmp_path / "out.mp4", grey(frames), fps, audio, FAST)
    count, picture, sound, *_ = tracks(tmp_path / "out.mp4")
    assert written == count == frames == math.ceil(Fraction(seconds).limit_denominator(10) * rate)
    assert picture == frames / rate
    assert sound == audio.duration
    assert 0 <= picture - sound < 1 / rate
    assert read_video(tmp_path / "out.mp4").fps == rate


def test_a_minute_keeps_its_count(tmp_path):
    audio = tone(61, 8_000)
    frames = frame_count(audio.samples, audio.sample_rate, frame_rate(29.97))
    assert write_video(tmp_path / "out.mp4", grey(frames, 16, 16), 29.97, audio, FAST) == frames == 1829
    count, picture, sound, *_ = tracks(tmp_path / "out.mp4")
    assert (count, sound) == (frames, 61)
    assert 0 <= picture - sound < 1 / frame_rate(29.97)


@pytest.mark.parametrize(
    ("rate", "channels"), [(8_000, 1), (16_000, 1), (22_050, 3), (44_100, 2), (48_000, 7), (48_000, 8), (96_000, 6)]
)
def test_the_sound_keeps_rate_channels_and_shape(tmp_path, rate, channels):
    audio = tone(1.0, rate, channels)
    write_video(tmp_path / "out.mp4", grey(25), 25, audio, FAST)
    heard = read_video(tmp_path / "out.mp4").audio()
    assert heard is not None
    assert (heard.sample_rate, len(heard.waveform)) == (rate, channels)
    inner = slice(rate // 10, -rate // 10)
    difference = heard.waveform[:, : audio.samples][:, inner] - audio.waveform[:, inner]
    spoken = [channel for channel in range(channels) if not (channels >= 6 and channel == 3)]  # 3 is the subwoofer
    assert difference[spoken].square().mean().sqrt() < 0.02


@pytest.mark.parametrize(("rate", "nearest"), [(6_000, 8_000), (18_900, 22_050), (192_000, 96_000)])
def test_rates_without_aac_are_resampled_and_said(tmp_path, caplog, rate, nearest):
    write_video(tmp_path / "out.mp4", grey(12), 12, tone(1.0, rate), FAST)
    assert tracks(tmp_path / "out.mp4")[2:4] == (1, nearest)
    assert f"{rate} Hz" in caplog.text
    assert f"{nearest} Hz" in caplog.text


def test_sound_beyond_the_last_frame_is_cut(tmp_path):
    write_video(tmp_path / "out.mp4", grey(25), 25, tone(3.0), FAST)
    assert tracks(tmp_path / "out.mp4")[1:3] == (1, 1)


def test_sound_that_arrives_with_the_frames_is_written_as_one_that_is_there(tmp_path):
    audio, arriving, fps = tone(1.0, 44_100, 2), ArrivingAudio(44_100, 2), 25

    def frames():
        for frame, piece in zip(grey(25, batch=1), audio.waveform.split(44_100 // fps, 1), strict=False):
            arriving.push(piece)
            yield frame

    write_video(tmp_path / "arriving.mp4", frames(), fps, arriving, FAST)
    write_video(tmp_path / "whole.mp4", grey(25, batch=1), fps, audio, FAST)
    heard, expected = (read_video(tmp_path / f"{name}.mp4").audio() for name in ("arriving", "whole"))
    assert heard is not None
    assert expected is not None
    assert torch.equal(heard.waveform, expected.waveform)


def test_sound_can_only_arrive_at_a_rate_that_the_codec_has(tmp_path):
    with pytest.raises(ValueError, match="AAC has no 12345 Hz; let the sound arrive at one of 8000"):
        write_video(tmp_path / "out.mp4", grey(2), 25, ArrivingAudio(12_345), FAST)


def test_flash_and_click_stay_together(tmp_path):
    fps, rate, shown = 25, 48_000, [10, 40, 70]
    audio = torch.zeros(1, 4 * rate)
    frames = torch.zeros(100, 32, 32, 3)
    for frame in shown:
        frames[frame] = 1.0
        audio[0, frame * rate // fps : frame * rate // fps + 200] = 0.9
    write_video(tmp_path / "out.mp4", [frames], fps, Audio(audio, rate), FAST)
    video = read_video(tmp_path / "out.mp4")
    brightness = torch.cat(list(video.frames())).mean((1, 2, 3))
    assert torch.nonzero(brightness > 0.5).flatten().tolist() == shown
    heard = video.audio()
    assert heard is not None
    for frame in shown:
        start = frame * rate // fps
        window = heard.waveform[0, start - rate // fps : start + rate // fps].abs()
        onset = start - rate // fps + int(torch.nonzero(window > 0.45)[0])
        assert abs(onset - start) < rate / fps / 10, f"the click of frame {frame} is {onset - start} samples off"


@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 47), (31, 31), (8, 8), (1, 1)])
def test_odd_sides_are_padded_by_repeating_the_edge(tmp_path, height, width):
    ramp = torch.linspace(0.2, 0.8, width).expand(height, width)[None, ..., None].expand(4, -1, -1, 3)
    write_video(tmp_path / "out.mp4", [ramp], 25, None, VideoOptions(crf=1))
    seen = torch.cat(list(read_video(tmp_path / "out.mp4").frames()))
    assert seen.shape == (4, height + height % 2, width + width % 2, 3)
    assert (seen[:, :height, :width] - ramp).abs().max() < 0.05
    assert (seen[:, -1] - seen[:, height - 1]).abs().max() < 0.05


def test_colours_survive_and_are_tagged(tmp_path):
    colours = torch.tensor([[r, g, b] for r in (0.0, 0.5, 1.0) for g in (0.0, 0.5, 1.0) for b in (0.0, 0.5, 1.0)])
    picture = colours.view(3, 9, 3).repeat_interleave(32, 0).repeat_interleave(32, 1)
    write_video(tmp_path / "out.mp4", [picture] * 3, 25, None, VideoOptions(crf=1))
    seen = next(read_video(tmp_path / "out.mp4").frames())[1]
    inside = seen.view(3, 32, 9, 32, 3)[:, 8:24, :, 8:24].mean((1, 3))
    assert (inside - colours.view(3, 9, 3)).abs().max() < 3 / 255
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert context.pix_fmt == "yuv420p"


def test_half_precision_and_out_of_range_frames_are_taken(tmp_path):
    frames = torch.tensor([-1.0, 0.5, 2.0]).half().view(3, 1, 1, 1).expand(3, 32, 32, 3)
    assert write_video(tmp_path / "out.mp4", frames.unbind(), 25, None, VideoOptions(crf=1)) == 3
    seen = torch.cat(list(read_video(tmp_path / "out.mp4").frames())).mean((1, 2, 3))
    torch.testing.assert_close(seen, torch.tensor([0.0, 0.5, 1.0]), atol=0.02, rtol=0)


def test_the_index_stands_before_the_data(tmp_path):
    write_video(tmp_path / "out.mp4", grey(5), 25, tone(0.2), FAST)
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_metadata_comes_back(tmp_path):
    texts = {"workflow": json.dumps({"nodes": ["é", 1]}), "prompt": json.dumps({"1": {}})}
    write_video(tmp_path / "out.mp4", grey(2), 25, None, VideoOptions(metadata=texts))
    assert texts.items() <= dict(read_video(tmp_path / "out.mp4").metadata).items()


def test_a_failure_on_the_way_leaves_what_was_there(tmp_path):
    (tmp_path / "out.mp4").write_text("yesterday's")

    def breaking():
        yield from grey(40)
        raise RuntimeError("the renderer stopped")

    with pytest.raises(RuntimeError, match="renderer stopped"):
        write_video(tmp_path / "out.mp4", breaking(), 25, tone(2.0), FAST)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "yesterday's"


@pytest.mark.parametrize(
    ("frames", "fps", "sentence"),
    [
        ([], 25, "no frames"),
        ([torch.zeros(0, 32, 32, 3)], 25, "RGB"),
        ([torch.zeros(1, 32, 32, 4)], 25, "RGB"),
        ([torch.zeros(32, 32)], 25, "RGB"),
        ([torch.zeros(1, 32, 32, 3), torch.zeros(1, 32, 34, 3)], 25, "one size"),
        ([torch.zeros(1, 2, 20_000, 3)], 25, "16384"),
        ([torch.zeros(1, 32, 32, 3)], 0, "frame rate"),
        ([torch.zeros(1, 32, 32, 3)], 1000, "frame rate"),
    ],
)
def test_what_cannot_be_encoded_is_said_and_leaves_no_file(tmp_path, frames, fps, sentence):
    with pytest.raises(ValueError, match=sentence):
        write_video(tmp_path / "out.mp4", frames, fps, None, FAST)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_said_before_anything_is_drawn(tmp_path):
    with pytest.raises(FileNotFoundError, match="folder"):
        write_video(tmp_path / "nowhere" / "out.mp4", unwanted(), 25)


def test_a_read_only_folder_is_said(tmp_path, monkeypatch):
    def refuse(**where):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)  # chmod would not stop root, as whom containers run tests
    with pytest.raises(PermissionError, match="not writable"):
        write_video(tmp_path / "out.mp4", unwanted(), 25)


def test_only_mp4_names_are_taken(tmp_path):
    with pytest.raises(ValueError, match=r"\.mp4"):
        write_video(tmp_path / "out.avi", unwanted(), 25)


def unwanted():
    raise AssertionError("no frame may be asked for")
    yield


@pytest.mark.parametrize("options", [{"crf": 0}, {"crf": 52}, {"preset": "warp"}])
def test_options_outside_their_range_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        VideoOptions(**options)


@pytest.mark.skipif(os.name != "posix", reason="limits file sizes the POSIX way")
def test_a_full_disk_is_said_and_leaves_no_file(tmp_path):
    script = f"""
        import resource, sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        import conftest, torch
        from talking_head.lp_core.media.video import write_video
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            write_video("out.mp4", (torch.rand(8, 128, 128, 3) for _ in range(10)), 25)
        except OSError as error:
            print(error)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "could not be written" in run.stdout
    assert not list(tmp_path.iterdir())


def test_frames_are_made_here_and_encoded_in_another_thread(tmp_path, monkeypatch):
    made, encoded = [], []
    encode = encoding._Pictures.encode

    def watched(pictures, frames):
        encoded.append(threading.current_thread())
        return encode(pictures, frames)

    def frames():
        for frame in grey(20):
            made.append(threading.current_thread())
            yield frame

    monkeypatch.setattr(encoding._Pictures, "encode", watched)
    assert write_video(tmp_path / "out.mp4", frames(), 25, tone(0.8), FAST) == 20
    assert set(made) == {threading.current_thread()}
    assert len(set(encoded)) == 1
    assert not set(encoded) & set(made)
    assert not [thread for thread in threading.enumerate() if thread.name == "alongside"]


def test_an_encoder_that_fails_stops_the_drawing(tmp_path, monkeypatch):
    drawn = []

    def failing(pictures, frames):
        raise OSError("the disk is full")

    def endless():
        while True:
            drawn.append(len(drawn))
            yield from grey(1)

    monkeypatch.setattr(encoding._Pictures, "encode", failing)
    with pytest.raises(OSError, match="disk is full"):
        write_video(tmp_path / "out.mp4", endless(), 25, None, FAST)
    assert len(drawn) < 10
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [22_050, 10_001])
def test_sound_from_a_file_is_written_as_sound_from_memory(tmp_path, rate):
    sound = tone(25.0, rate)
    samples = (sound.waveform[0].numpy() * 32767).astype("<i2")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    written = []
    for name, audio in (("a", AudioFile(tmp_path / "sound.wav")), ("b", load_audio(tmp_path / "sound.wav"))):
        write_video(tmp_path / f"{name}.mp4", grey(50, 16, 16), 2, audio, FAST)
        written.append((tmp_path / f"{name}.mp4").read_bytes())
    assert written[0] == written[1]
    assert abs(read_video(tmp_path / "a.mp4").audio().duration - 25) < 0.1


def test_frames_are_encoded_as_they_come(tmp_path):
    alive, most = 0, 0

    class Frame(torch.Tensor):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def counted():
        nonlocal alive, most
        for _ in range(200):
            alive += 1
            most = max(most, alive)
            yield torch.zeros(1, 64, 64, 3).as_subclass(Frame)

    assert write_video(tmp_path / "out.mp4", counted(), 25, None, FAST) == 200
    assert most <= 3


def test_reading_is_lazy_and_repeatable(tmp_path, monkeypatch):
    write_video(tmp_path / "out.mp4", grey(100, 256, 256), 25, None, FAST)
    video = read_video(tmp_path / "out.mp4")
    assert (video.width, video.height, video.frame_count) == (256, 256, 100)
    for _ in range(2):
        assert [len(batch) for batch in video.frames(32)] == [32, 32, 32, 4]
    assert video.audio() is None
    module = sys.modules[Video.__module__]
    converted = []
    convert = module._rgb
    monkeypatch.setattr(module, "_rgb", lambda frame: converted.append(frame.pts) or convert(frame))
    next(video.frames(4))
    assert len(converted) == 4


def test_a_variable_frame_rate_is_evened_out(tmp_path):
    shown = [0, 1, 2, 6, 7, 8, 9]  # frames 3, 4 and 5 were not stored: 2 is held on
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width = stream.height = 32
        stream.time_base = stream.codec_context.time_base = Fraction(1, 10)
        for number in shown:
            pixels = torch.full((32, 32, 3), number * 25, dtype=torch.uint8).numpy()
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    video = read_video(tmp_path / "phone.mp4")
    levels = torch.cat(list(video.frames())).mean((1, 2, 3)) * 255 / 25
    expected = [max(n for n in shown if n <= round(float(i / video.fps * 10))) for i in range(len(levels))]
    assert abs(len(levels) / video.fps - 1) < 0.2
    assert (levels - torch.tensor(expected)).abs().median() < 0.2
    assert levels.diff().min() > -0.2


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_unreadable_files_are_said(tmp_path, content):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"clip\.mp4"):
        read_video(tmp_path / "clip.mp4")


def test_a_cut_off_file_is_said(tmp_path):
    write_video(tmp_path / "whole.mp4", [torch.rand(30, 64, 64, 3)], 25, None, FAST)
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "clip.mp4").write_bytes(content[: len(content) // 50])
    with pytest.raises(ValueError, match=r"clip\.mp4"):
        list(read_video(tmp_path / "clip.mp4").frames())


def test_a_sound_file_is_no_video(tmp_path):
    with av.open(str(tmp_path / "voice.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(torch.zeros(1, 1600, dtype=torch.int16).numpy(), layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match="only sound"):
        read_video(tmp_path / "voice.wav")
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        read_video(tmp_path / "gone.mp4")


def test_videos_are_read_by_pyav_before_18(tmp_path, monkeypatch):
    """ComfyUI takes any from 14.2 on; those had no name for BT.2020."""
    from av.video import reformatter

    write_video(tmp_path / "clip.mp4", torch.zeros(4, 32, 32, 3), 25, None, FAST)
    names = {name: member.value for name, member in reformatter.Colorspace.__members__.items() if name != "BT2020"}
    monkeypatch.setattr(reformatter, "Colorspace", IntEnum("Colorspace", names))
    assert sum(map(len, read_video(tmp_path / "clip.mp4").frames())) == 4
