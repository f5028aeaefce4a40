"""Every format once round: written, the same bytes when written again, and read back by the pack itself."""

import hashlib
import logging
import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.media.encoding import VideoOptions, write_video
from talking_head.lp_core.media.formats import GIF, H264, OPUS, SOFTWARE, WEBP
from talking_head.lp_core.media.picture_files import frame_durations
from talking_head.lp_core.media.video import read_video

FRAMES, HEIGHT, WIDTH, FPS, RATE = 13, 128, 160, 25, 48_000
CLEAR, VEILED = slice(0, 48), slice(48, 64)  # rows that are transparent, and half so
FAITHFUL = {"image/gif": 0.04}  # mean error of a channel; 256 colours are few
AAC_BLOCK = 1024  # samples

each_format = pytest.mark.parametrize("form", SOFTWARE, ids=lambda form: form.name)


def clip(channels=3, count=FRAMES):
    """Soft colours that grow brighter frame by frame."""
    still = F.interpolate(torch.rand(1, 3, 4, 4), (HEIGHT, WIDTH), mode="bilinear").movedim(1, -1)
    frames = still * torch.linspace(0.4, 1, count)[:, None, None, None]
    if channels == 3:
        return frames
    opacity = torch.ones(count, HEIGHT, WIDTH, 1)
    opacity[:, CLEAR], opacity[:, VEILED] = 0, 0.5
    return torch.cat([frames, opacity], -1)


def voice(seconds: float) -> Audio:
    time = torch.arange(round(seconds * RATE)) / RATE
    return Audio(0.3 * torch.sin(2 * math.pi * 330 * time)[None], RATE)


def written(folder, form, frames, fps=FPS, name="clip", audio=None):
    path = folder / f"{name}{form.suffixes[0]}"
    write_video(path, frames.split(5), fps, audio, VideoOptions(format=form, crf=1, metadata={"workflow": "{}"}))
    return path


@each_format
@pytest.mark.parametrize("channels", [3, 4])
def test_what_is_written_is_read_back(tmp_path, form, channels):
    if channels == 4 and not form.with_alpha:
        pytest.skip("this format keeps no transparency")
    frames = clip(channels)
    audio = voice(FRAMES / FPS) if form.sound else None
    video = read_video(written(tmp_path, form, frames, audio=audio))
    assert (video.fps, video.width, video.height) == (FPS, WIDTH, HEIGHT)
    seen = torch.cat(list(video.frames(alpha=channels == 4)))
    assert seen.shape == frames.shape
    opaque = slice(VEILED.stop, None) if channels == 4 else slice(None)
    assert (seen - frames)[:, opaque, :, :3].abs().mean() < FAITHFUL.get(form.name, 0.015)
    heard = video.audio()
    if audio is None:
        assert heard is None
        return
    assert heard is not None
    assert heard.samples == audio.samples
    inner = slice(RATE // 20, audio.samples - RATE // 20)
    assert (heard.waveform - audio.waveform)[:, inner].square().mean().sqrt() < 0.03


@pytest.mark.parametrize("form", [form for form in SOFTWARE if form.with_alpha], ids=lambda form: form.name)
def test_transparency_is_read_back_and_hidden_colours_are_not(tmp_path, form):
    path = written(tmp_path, form, clip(4))
    seen = torch.cat(list(read_video(path).frames(alpha=True)))
    inner = slice(CLEAR.start, CLEAR.stop - 4)
    assert seen[:, inner, :, 3].max() < 0.02
    assert seen[:, VEILED.stop + 4 :, :, 3].min() > 0.98
    if form != GIF:  # which knows no half of it
        assert (seen[:, VEILED.start + 4 : VEILED.stop - 4, :, 3] - 0.5).abs().mean() < 0.02
    laid = torch.cat(list(read_video(path).frames()))
    assert laid[:, inner].min() > 0.97


@each_format
def test_a_file_is_the_same_bytes_when_it_is_written_again(tmp_path, form):
    audio = voice(FRAMES / FPS) if form.sound else None
    frames = clip()
    files = [written(tmp_path, form, frames, name=name, audio=audio) for name in "abcdef"]
    assert len({hashlib.sha256(file.read_bytes()).digest() for file in files}) == 1


@pytest.mark.parametrize(("form", "most"), [(GIF, Fraction(50)), (WEBP, Fraction(1000, 11))])
@pytest.mark.parametrize("fps", [24, 30, 48, 50, 60, 90, 100, 120, 240])
def test_no_frame_is_shorter_than_browsers_play(tmp_path, caplog, form, most, fps):
    count = fps // 2
    frames = torch.zeros(count, 16, 16, 3)
    frames += torch.arange(count)[:, None, None, None] / count
    with caplog.at_level(logging.WARNING):
        path = written(tmp_path, form, frames, fps)
    durations = frame_durations(path)
    assert min(durations) >= form.shortest_frame
    assert abs(float(sum(durations)) - count / fps) <= float(form.shortest_frame)
    assert len(durations) == math.ceil(count / fps * min(most, fps))
    assert caplog.text.count("left out") == (fps > most)
    shown = torch.cat(list(read_video(path).frames()))[..., 0].mean((1, 2)) * count
    expected = torch.floor(torch.arange(len(shown)) * max(fps / float(most), 1) + 1e-9)
    assert (shown - expected).abs().max() < 0.02 * count + 1


def test_pages_of_a_gif_last_as_long_as_its_frames(tmp_path):
    with Image.open(written(tmp_path, GIF, clip(count=30), 30)) as image:
        delays = []
        for index in range(image.n_frames):
            image.seek(index)
            delays.append(image.info["duration"])
    assert set(delays) <= {30, 40}
    assert abs(sum(delays) - 1000) <= 10


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_bytes_and_floats_are_written_alike(tmp_path, pixels):
    levels = (clip() * 255).round()
    seen = []
    for name, frames in (("bytes", levels.to(torch.uint8)), ("floats", levels / 255)):
        path = tmp_path / f"{name}.mp4"
        write_video(path, frames, FPS, None, VideoOptions(format=H264, crf=1, pixel_format=pixels))
        seen.append(torch.cat(list(read_video(path).frames())))
    assert (seen[0] - seen[1]).abs().max() < 1.5 / 255


@pytest.mark.parametrize("form", [form for form in SOFTWARE if form.sound], ids=lambda form: form.name)
@pytest.mark.parametrize("samples", [RATE // 2, RATE // 2 - 777, 2000])
def test_the_sound_has_not_a_sample_more_or_less(tmp_path, form, samples):
    """Of a sound that ends before the pictures too, where the container keeps its length."""
    audio = Audio(0.3 * torch.rand(1, samples) - 0.15, RATE)
    heard = read_video(written(tmp_path, form, clip(), audio=audio)).audio()
    assert heard is not None
    assert abs(heard.samples - samples) <= (RATE // 1000 if form.sound == OPUS else 0)
