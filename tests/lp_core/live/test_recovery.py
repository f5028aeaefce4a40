"""Recordings survive a killed process and a full disk."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from recording_process import grey_level

from talking_head.lp_core.live import recovery
from talking_head.lp_core.live.recording import RATE, Recording
from talking_head.lp_core.live.recovery import recover_recordings, recovered_path
from talking_head.lp_core.live.session import LiveFrame
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.media.encoding import VideoOptions, write_video
from talking_head.lp_core.media.video import read_video

PROCESS = Path(__file__).with_name("recording_process.py")
FPS, SIDE = 25, 64
FRAMES = 120  # written before the process is killed
# Frames at most that are still in the queue (25), the open fragment (25) and VP9's look-ahead (25), and some room.
LOST = {".mp4": 60, ".mkv": 60, ".webm": 85}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits as POSIX has them")


def started(path: Path, largest_bytes: int = 0):
    command = [sys.executable, str(PROCESS), str(path), str(largest_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed(path: Path) -> int:
    """A recording whose process is killed on the way; gives the number of the last frame that it was given."""
    with started(path) as process:
        for line in process.stdout:
            if int(line) >= FRAMES:
                break
        process.kill()
        return max([FRAMES, *(int(line) for line in process.stdout)])


def recorded(path: Path, frames: int = 5) -> None:
    recording = Recording(path, torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8), Fraction(FPS), RATE)
    recording.sound(torch.zeros(1, frames * RATE // FPS))
    for index in range(frames):
        recording.frame(LiveFrame(index, torch.full((SIDE, SIDE, 3), index, dtype=torch.uint8), 0.0))
    recording.end()


def whole_packets(path: Path) -> int:
    """How many pictures arrived whole; the last one may have been cut off on the way to the disk."""
    with av.open(str(path)) as container:
        return sum(packet.size > 0 and not packet.is_corrupt for packet in container.demux(video=0))


def check_numbers(path: Path, at_least: int) -> None:
    """All frames up to some are there, each that arrived whole in its place, and the sound beside them."""
    video = read_video(path)
    frames = torch.cat(list(video.frames()))
    assert len(frames) >= at_least
    numbers = frames[:, 4 : SIDE // 2 - 4].mean((1, 2, 3)) * 255
    expected = torch.tensor([float(grey_level(index)) for index in range(len(frames))])
    whole = whole_packets(path)
    assert len(frames) - whole in (0, 1)
    assert (numbers - expected)[:whole].abs().max() < 3
    sound = video.audio()
    assert sound is not None
    assert abs(float(sound.duration) - len(frames) / FPS) < 1.2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_what_a_killed_process_recorded_is_kept_and_told(tmp_path, caplog, suffix):
    path = tmp_path / f"live{suffix}"
    given = killed(path)
    assert not path.exists()
    recorded(path)
    kept = tmp_path / f"live.recovered{suffix}"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, kept.name])
    assert str(kept) in caplog.text
    check_numbers(kept, given - LOST[suffix])
    assert sum(len(batch) for batch in read_video(path).frames()) == 5


def test_a_recording_whose_process_lives_is_left_alone(tmp_path):
    path = tmp_path / "live.mp4"
    with started(path) as process:
        for line in process.stdout:
            if int(line) >= FRAMES:
                break
        before = list(tmp_path.iterdir())
        assert recover_recordings(tmp_path) == []
        assert list(tmp_path.iterdir()) == before
        assert len(before) == 1
        process.kill()
    assert recover_recordings(tmp_path) == [tmp_path / "live.recovered.mp4"]
    assert recover_recordings(tmp_path) == []


def test_a_full_disk_keeps_what_was_recorded(tmp_path):
    path = tmp_path / "live.mp4"
    path.write_bytes(b"what was there before")
    with started(path, largest_bytes=1_500_000) as process:
        *numbers, last = process.stdout.read().splitlines()
        errors = process.stderr.read()
    kept = tmp_path / "live.recovered.mp4"
    assert last.startswith("full: ")
    assert str(kept) in last
    assert str(kept) in errors
    assert sorted(tmp_path.iterdir()) == [path, kept]
    assert path.read_bytes() == b"what was there before"
    check_numbers(kept, int(numbers[-1]) - LOST[".mp4"])


def test_a_whole_recording_is_an_ordinary_file(tmp_path):
    """Its index lies in front and tells all, and its packets are those that `write_video` gives for the same."""
    recorded(tmp_path / "live.mp4", frames=40)
    frames = (torch.full((SIDE, SIDE, 3), index, dtype=torch.uint8) for index in range(40))
    write_video(tmp_path / "plain.mp4", frames, FPS, Audio(torch.zeros(1, 40 * RATE // FPS), RATE), VideoOptions())
    content = (tmp_path / "live.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert b"moof" not in content
    assert read_video(tmp_path / "live.mp4").frame_count == 40
    packets = []
    for name in ("live.mp4", "plain.mp4"):
        with av.open(str(tmp_path / name)) as container:
            kinds = ((packet.stream.type, packet.pts, packet.dts, bytes(packet)) for packet in container.demux())
            packets.append([(kind, *rest) for kind, *rest in kinds])
            assert container.start_time == 0
    assert packets[0] == packets[1]


def test_without_room_for_a_copy_the_fragments_are_the_recording(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recovery, "_join_fragments", full)
    recorded(tmp_path / "live.mp4", frames=40)
    assert [file.name for file in tmp_path.iterdir()] == ["live.mp4"]
    assert sum(len(batch) for batch in read_video(tmp_path / "live.mp4").frames()) == 40
    assert "stays in fragments (" in caplog.text


def test_nothing_is_kept_of_a_recording_without_a_frame(tmp_path, caplog):
    for name, content in ((".a.recording-1.mp4", b""), (".b.recording-2.mkv", b"no film"), (".talk.part.mp4", b"")):
        (tmp_path / name).write_bytes(content)
    assert recover_recordings(tmp_path) == []
    assert [file.name for file in tmp_path.iterdir()] == [".talk.part.mp4"]
    assert not caplog.text


def test_a_recording_that_fails_in_its_own_process_is_kept(tmp_path):
    path = tmp_path / "live.mp4"
    recording = Recording(path, torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8), Fraction(FPS), RATE)
    recording.sound(torch.zeros(1, 4 * RATE))
    for index in range(40):
        picture = torch.full((SIDE, SIDE, 3), grey_level(index), dtype=torch.uint8)
        recording.frame(LiveFrame(index, picture, 0.0))
    recording.frame(LiveFrame(40, torch.zeros(SIDE, SIDE + 2, 3, dtype=torch.uint8), 0.0))
    with pytest.raises(ValueError, match="one size"):
        recording.end()
    check_numbers(tmp_path / "live.recovered.mp4", 20)  # the others were still in the encoder


def test_names_of_kept_recordings_are_free_ones(tmp_path):
    path = tmp_path / "live.mp4"
    names = []
    for _ in range(3):
        names.append(recovered_path(path).name)
        recovered_path(path).touch()
    assert names == ["live.recovered.mp4", "live.recovered-2.mp4", "live.recovered-3.mp4"]


def test_fragments_keep_the_workflow(tmp_path):
    recording_options = VideoOptions(metadata={"workflow": '{"a": "é"}'})
    recording = Recording(
        tmp_path / "live.mp4", torch.zeros(SIDE, SIDE, 3, dtype=torch.uint8), Fraction(FPS), RATE,
        options=recording_options,
    )  # fmt: skip
    recording.sound(torch.zeros(1, RATE))
    recording.frame(LiveFrame(0, None, 0.0))
    recording.end()
    with av.open(str(tmp_path / "live.mp4")) as container:
        assert container.metadata["workflow"] == '{"a": "é"}'
