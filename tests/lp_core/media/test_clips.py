"""Clips of every kind that people bring, read through the one door: the right frames at the right times."""

import logging
from fractions import Fraction
from itertools import pairwise

import av
import made_media
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from made_media import BLUE, GREEN, GREY, RED, heard_clicks, pattern, quadrants, write_clip

from talking_head.lp_core.media import decoding
from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.media.tone import HLG, PQ
from talking_head.lp_core.media.video import read_video, write_video

ONE = 1 << 16  # in a display matrix
MS = Fraction(1, 1000)
RATES = [
    Fraction(24000, 1001),
    24,
    25,
    Fraction(30000, 1001),
    30,
    50,
    Fraction(60000, 1001),
    60,
    Fraction(25, 2),
    15,
]
CLICKS = (1.0, 2.0)  # seconds
CLOSE = 6  # levels of 255


def even(fps, count: int, start=0) -> list[Fraction]:
    return [Fraction(start) + Fraction(index) / Fraction(fps) for index in range(count)]


def in_ms(times) -> list[Fraction]:
    return [Fraction(round(time * 1000), 1000) for time in times]


def greys(count: int) -> list[np.ndarray]:
    return [pattern(level=40 + index * 37 % 180) for index in range(count)]


def all_frames(path, **how) -> torch.Tensor:
    return torch.cat(list(read_video(path).frames(**how)))


def assert_shows(frame, *colours):
    seen = np.array(quadrants(frame))
    assert np.abs(seen - np.array(colours)).max() <= CLOSE, f"the quadrants are {seen.tolist()}"


def pictures_seen(frames) -> int:
    return 1 + int((frames.mean((1, 2, 3)).diff().abs() > 0.01).sum())


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), (RED, GREEN, BLUE, GREY)),
        ((-1, 0, 0, 1), (GREEN, RED, GREY, BLUE)),
        ((1, 0, 0, -1), (BLUE, GREY, RED, GREEN)),
        ((-1, 0, 0, -1), (GREY, BLUE, GREEN, RED)),
        ((0, 1, 1, 0), (RED, BLUE, GREEN, GREY)),
        ((0, 1, -1, 0), (BLUE, RED, GREY, GREEN)),
        ((0, -1, 1, 0), (GREEN, GREY, RED, BLUE)),
        ((0, -1, -1, 0), (GREY, GREEN, BLUE, RED)),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_display_matrix_turns_and_mirrors(tmp_path, matrix, shown, ending):
    a, b, c, d = (ONE * value for value in matrix)
    path = write_clip(tmp_path / f"clip.{ending}", even(25, 3), matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    video = read_video(path)
    assert (video.width, video.height) == ((64, 96) if b else (96, 64))
    frames = all_frames(path)
    assert frames.shape[1:3] == (video.height, video.width)
    assert_shows(frames[0], *shown)


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(3, 4), Fraction(16, 11), Fraction(1, 2)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_pixels_are_made_square(tmp_path, aspect, ending):
    path = write_clip(tmp_path / f"clip.{ending}", even(25, 3), aspect=aspect)
    frames = all_frames(path)
    assert frames.shape[1:3] == (64, round(96 * aspect))
    assert_shows(frames[0], RED, GREEN, BLUE, GREY)


def test_square_pixels_are_made_before_turning(tmp_path):
    matrix = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)
    path = write_clip(tmp_path / "clip.mp4", even(25, 3), aspect=Fraction(4, 3), matrix=matrix)
    assert all_frames(path).shape[1:3] == (128, 64)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("pause", [0, 2.013])
@pytest.mark.parametrize("container", ["mp4", "mkv", "webm", "ts"])
def test_the_base_rate_is_exact_and_no_frame_is_lost(tmp_path, fps, pause, container):
    """Also in containers that count milliseconds, whose header says 1000 frames a second."""
    first = even(fps, 60)
    times = first + even(fps, 60, first[-1] + 1 / Fraction(fps) + Fraction(pause))
    blurred = container in ("mkv", "webm")
    path = write_clip(
        tmp_path / f"clip.{container}",
        in_ms(times) if blurred else times,
        greys(120),
        codec="libvpx" if container == "webm" else "libx264",
        time_base=MS if blurred else Fraction(1, 90000),
        rate=1000 if blurred else Fraction(fps),
    )
    video, frames = read_video(path), all_frames(path)
    assert video.fps == fps
    assert pictures_seen(frames) == 120
    assert len(frames) == video.frame_count
    assert abs(len(frames) - (float(times[-1] * Fraction(fps)) + 1)) <= 1


def test_times_that_show_no_base_rate_have_their_mean(tmp_path):
    times = np.cumsum(np.r_[0, np.random.default_rng(1).uniform(0.02, 0.08, 99)])
    path = write_clip(tmp_path / "clip.mkv", in_ms(map(Fraction, times)), greys(100), time_base=MS, rate=1000)
    video = read_video(path)
    assert float(video.fps) == pytest.approx(99 / times[-1], rel=0.01)
    assert abs(video.frame_count / float(video.fps) - times[-1]) < 0.1


def test_a_webcam_that_trembles_keeps_its_rate_beside_a_pause(tmp_path):
    times = np.arange(90) / 30 + np.random.default_rng(0).uniform(-0.008, 0.008, 90)
    times[45:] += 2
    clip = in_ms(map(Fraction, times - times[0]))
    path = write_clip(tmp_path / "clip.webm", clip, greys(90), codec="libvpx", time_base=MS, rate=1000)
    video = read_video(path)
    assert float(video.fps) == pytest.approx(30, abs=0.5)
    assert video.frame_count == pytest.approx(150, abs=2)


def test_rates_above_the_highest_are_brought_down(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", even(480, 240), greys(240), rate=480, time_base=Fraction(1, 48000))
    video = read_video(path)
    assert video.fps == 240
    assert sum(map(len, video.frames())) == pytest.approx(120, abs=1)


def test_the_last_frames_own_duration_counts(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", even(25, 2), last=2.0)
    assert len(all_frames(path)) == pytest.approx(51, abs=1)


@pytest.mark.parametrize(
    ("ending", "codec", "sound_codec"),
    [
        ("mp4", "libx264", "aac"),
        ("mp4", "libx264", "libopus"),
        ("mov", "libx264", "pcm_s16le"),
        ("mkv", "libx264", "aac"),
        ("mkv", "libx264", "flac"),
        ("webm", "libvpx", "libopus"),
        ("ts", "libx264", "aac"),
        ("flv", "libx264", "aac"),
    ],
)
@pytest.mark.parametrize("start", [0, 0.5, -0.3])
def test_clicks_are_heard_at_their_time_in_the_film(tmp_path, ending, codec, sound_codec, start):
    sound = made_media.clicks(3, [time - start for time in CLICKS])
    path = write_clip(
        tmp_path / f"clip.{ending}",
        even(25, 75),
        codec=codec,
        sound=sound,
        sound_codec=sound_codec,
        sound_start=start,
    )
    for heard in (read_video(path).audio(), load_audio(path)):
        assert heard_clicks(heard.waveform, heard.sample_rate) == pytest.approx(CLICKS, abs=0.01)


@pytest.mark.parametrize("start", [0.736, -0.25])
def test_what_is_written_of_a_clip_keeps_sound_and_pictures_together(tmp_path, start):
    """As `drive` writes it: the frames at the clip's rate with the clip's sound."""
    sound = made_media.clicks(3, [time - start for time in CLICKS])
    flashes = [pattern(level=255 if index in (25, 50) else 0) for index in range(75)]
    video = read_video(write_clip(tmp_path / "clip.mp4", even(25, 75), flashes, sound=sound, sound_start=start))
    write_video(tmp_path / "again.mp4", video.frames(), video.fps, video.audio())
    again = read_video(tmp_path / "again.mp4")
    bright = torch.cat(list(again.frames())).mean((1, 2, 3)) > 0.5
    assert torch.nonzero(bright).flatten().tolist() == [25, 50]
    audio = again.audio()
    assert heard_clicks(audio.waveform, audio.sample_rate) == pytest.approx(CLICKS, abs=0.01)


@pytest.mark.parametrize("sound_codec", ["aac", "libopus"])
def test_priming_and_padding_do_not_lengthen_the_sound(tmp_path, sound_codec):
    sound = made_media.clicks(1, [0.5])
    path = write_clip(tmp_path / "clip.mp4", even(25, 25), sound=sound, sound_codec=sound_codec)
    assert read_video(path).audio().samples == 48_000


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_hole_in_the_sound_is_silence(tmp_path, ending):
    sound = made_media.clicks(3, [*CLICKS, 1.4])
    path = write_clip(tmp_path / f"clip.{ending}", even(25, 75), sound=sound, holes=[(1.2, 1.6)])
    audio = read_video(path).audio()
    assert heard_clicks(audio.waveform, audio.sample_rate) == pytest.approx(CLICKS, abs=0.01)


def test_a_clock_that_starts_anew_goes_on(tmp_path):
    part = write_clip(tmp_path / "part.ts", even(25, 50), greys(50), sound=made_media.clicks(2, [0.5, 1.5]))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(3 * part.read_bytes())
    video, audio = read_video(joined), read_video(joined).audio()
    assert video.fps == 25
    assert pictures_seen(all_frames(joined)) == video.frame_count == 150
    expected = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert heard_clicks(audio.waveform, audio.sample_rate) == pytest.approx(expected, abs=0.01)


def test_a_gap_of_more_than_a_minute_is_closed_in_both_streams(tmp_path, caplog):
    times = even(25, 25) + even(25, 25, 100)
    sound = made_media.clicks(101, [0.5, 100.5])
    path = write_clip(tmp_path / "clip.mkv", times, greys(50), sound=sound, holes=[(1, 100)], time_base=MS)
    video, audio = read_video(path), read_video(path).audio()
    assert video.frame_count == pytest.approx(75, abs=1)
    assert heard_clicks(audio.waveform, audio.sample_rate) == pytest.approx([0.5, 2.5], abs=0.04)
    assert "nothing for 99 seconds before 100.00 s" in caplog.text


def test_a_long_gap_in_the_pictures_stays_where_the_sound_goes_on(tmp_path):
    sound = made_media.clicks(71, [0.5, 70.5])
    path = write_clip(tmp_path / "clip.mkv", even(25, 25) + even(25, 25, 70), sound=sound, time_base=MS)
    audio = read_video(path).audio()
    assert heard_clicks(audio.waveform, audio.sample_rate) == pytest.approx([0.5, 70.5], abs=0.01)


@pytest.mark.parametrize("start", [3, 30, 71])
def test_a_stretch_begins_at_a_keyframe_and_is_what_was_played(tmp_path, monkeypatch, start):
    options = {"g": "12", "bf": "2", "crf": "20"}
    path = write_clip(tmp_path / "clip.mp4", even(25, 75), greys(75), options=options)
    video, frames = read_video(path), all_frames(path)
    decoded, passed = [], decoding._timed

    def watched(*given):
        for timed in passed(*given):
            decoded.append(timed.time)
            yield timed

    monkeypatch.setattr(decoding, "_timed", watched)
    assert torch.equal(video.stretch(start, start + 4).float() / 255, frames[start : start + 4])
    assert len(decoded) <= 12 + 4 + 25  # a second more where the first seek lands too late


def test_names_with_a_colon_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = write_clip(tmp_path / "made.mkv", even(25, 3), sound=made_media.clicks(1, []))
    made.rename("concat:take 10:30 %03d.mkv")
    assert sum(map(len, read_video("concat:take 10:30 %03d.mkv").frames())) == 3
    assert load_audio("concat:take 10:30 %03d.mkv").sample_rate == 48_000


def test_damaged_packets_are_stepped_over_and_told_once(tmp_path, caplog):
    path = write_clip(tmp_path / "clip.mkv", even(25, 50), greys(50), codec="mjpeg", form="yuvj420p")
    content = bytearray(path.read_bytes())
    places = [index for index in range(len(content) - 2) if content[index : index + 3] == b"\xff\xd8\xff"]
    for place, following in pairwise(places[20:24]):
        content[place : following - 30] = bytes(following - 30 - place)  # what stands between is the container's
    path.write_bytes(content)
    video = read_video(path)
    with caplog.at_level(logging.WARNING):
        frames = torch.cat(list(video.frames()))
    assert len(frames) == 50
    assert pictures_seen(frames) == pytest.approx(47, abs=1)
    assert [line for line in caplog.text.splitlines() if "3 damaged packets" in line and "0.80 s" in line]
    assert len(caplog.records) == 1


def test_a_cover_is_no_film(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 90, 90, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        track = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.VideoFrame.from_ndarray(np.zeros((90, 90, 3), np.uint8), format="rgb24")
        for packet in (*cover.encode(frame), *cover.encode(None)):
            container.mux(packet)
        for packet in made_media._encoded_sound(track, made_media.clicks(1, [0.5]), 0, 48_000, ()):
            container.mux(packet)
    with pytest.raises(ValueError, match="only sound"):
        read_video(path)
    assert load_audio(path).duration == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("field_order", ["tff", "bff"])
def test_interlaced_clips_have_no_combs(tmp_path, field_order):
    """A white bar that moves: in each field it stands elsewhere, deinterlaced rows agree with their neighbours."""
    pictures = []
    for index in range(12):
        frame = np.full((64, 96, 3), 16, np.uint8)
        for field in (0, 1):
            later = field if field_order == "tff" else 1 - field
            left = 8 + 5 * (2 * index + later) % 72
            frame[field::2, left : left + 16] = 235
        pictures.append(frame)
    options = {"crf": "8", "x264-params": f"{field_order}=1"}
    path = write_clip(tmp_path / "clip.ts", even(25, 12), pictures, options=options)
    with av.open(str(path)) as container:
        is_interlaced = next(container.decode(video=0)).interlaced_frame
    assert is_interlaced
    frames = all_frames(path)
    assert torch.equal(read_video(path).stretch(5, 9).float() / 255, frames[5:9])
    frames = frames.mean(-1)
    assert len(frames) == 12
    combs = (frames[2:-2, 1:-1] - (frames[2:-2, :-2] + frames[2:-2, 2:]) / 2).abs().mean()
    assert combs < 0.03


def bt2020(picture: np.ndarray, transfer: int, white: float = 203) -> np.ndarray:
    """BT.709 (H, W, 3) bytes as non-linear BT.2020 in 16 bits, with white at so many nits: BT.2087, BT.2100."""
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    nits = (picture / 255.0) ** 2.4 @ to_bt2020.T * white
    if transfer == PQ:
        light = (nits / 10_000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * light) / (1 + 18.6875 * light)) ** 78.84375
    else:
        scene = (nits / 1000) ** (1 / 1.2)
        high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
    return np.round(signal.clip(0, 1) * 65_535).astype(np.uint16)


def write_hdr(path, picture, transfer, white: float = 203):
    """A clip of ten-bit BT.2020."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, transfer, 9, 1
        for index in range(3):
            deep = av.VideoFrame.from_ndarray(bt2020(picture, transfer, white), format="rgb48le")
            frame = deep.reformat(format="yuv420p10le", dst_colorspace=9, dst_color_range=1)
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_high_dynamic_range_comes_back_as_it_was_before(tmp_path, transfer):
    frames = all_frames(write_hdr(tmp_path / "clip.mp4", pattern(), transfer))
    seen, wanted = np.array(quadrants(frames[0])), np.array([RED, GREEN, BLUE, GREY])
    assert np.abs(seen - wanted).max() <= 12


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_is_brighter_than_white_rolls_off_and_never_turns_darker(tmp_path, transfer):
    levels = [
        float(all_frames(write_hdr(tmp_path / "clip.mp4", pattern(level=255), transfer, nits))[0].mean())
        for nits in (100, 180, 203, 300, 500, 990)
    ]
    assert levels == sorted(levels)
    assert levels[2] * 255 == pytest.approx(255, abs=12)
    assert levels[3] > levels[2] + 0.5 / 255


@pytest.mark.parametrize("codec", ["qtrle", "png"])
def test_hidden_colours_never_show_and_alpha_is_kept_where_wanted(tmp_path, codec):
    picture = np.dstack([pattern(), np.full((64, 96), 255, np.uint8)])
    picture[:, 48:] = (255, 0, 255, 0)  # hidden: magenta
    form = "argb" if codec == "qtrle" else "rgba"
    path = write_clip(tmp_path / "clip.mov", even(25, 3), [picture] * 3, codec=codec, form=form)
    assert_shows(all_frames(path)[0], RED, (255, 255, 255), BLUE, (255, 255, 255))
    kept = all_frames(path, alpha=True)
    assert kept.shape == (3, 64, 96, 4)
    assert kept[0, 0, 0, 3] == 1
    assert kept[0, 0, 90, 3] == 0


def test_a_size_that_changes_is_fitted_into_the_first(tmp_path):
    parts = [(64, 96), (96, 64), (32, 48)]
    stream = b""
    for height, width in parts:
        path = write_clip(tmp_path / "part.h264", even(25, 5), [pattern(height, width)] * 5)
        stream += path.read_bytes()
    (tmp_path / "clip.h264").write_bytes(stream)
    frames = all_frames(tmp_path / "clip.h264")
    assert frames.shape == (15, 64, 96, 3)
    assert_shows(frames[12], RED, GREEN, BLUE, GREY)
    middle = frames[7, :, 27:69]  # 43 of 96 columns, in the middle
    assert_shows(middle, RED, GREEN, BLUE, GREY)
    assert frames[7, :, :25].max() < 0.02


@examples(max_examples=12)
@given(
    fps=st.sampled_from(RATES),
    start=st.sampled_from([0, 0.25, -0.2, 0.04]),
    turn=st.sampled_from([(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, 1), (0, -1, -1, 0)]),
    aspect=st.sampled_from([None, Fraction(4, 3), Fraction(8, 9)]),
    channels=st.sampled_from([1, 2]),
    ending=st.sampled_from(["mp4", "mkv", "mov"]),
    first=st.sampled_from([0, 3.5]),
)
def test_random_clips_come_back(tmp_path_factory, fps, start, turn, aspect, channels, ending, first):
    a, b, c, d = (ONE * value for value in turn)
    path = write_clip(
        tmp_path_factory.mktemp("clip") / f"clip.{ending}",
        even(fps, 48, first),
        greys(48),
        rate=Fraction(fps),
        time_base=1 / (Fraction(fps) * 512),
        aspect=aspect,
        matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30),
        sound=made_media.clicks(1.5, [0.6], channels=channels),
        sound_start=first + start,
    )
    video, audio = read_video(path), read_video(path).audio()
    across = round(96 * (aspect or 1))
    assert (video.width, video.height) == ((64, across) if b else (across, 64))
    assert video.fps == fps
    assert pictures_seen(all_frames(path)) == 48
    assert audio.channels == channels
    assert heard_clicks(audio.waveform, audio.sample_rate) == pytest.approx([0.6 + start], abs=0.01)
