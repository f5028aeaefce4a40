"""RenderToFile: the same video as LivePortraitRender and VideoCombine, without its frames in memory."""

import base64
import importlib
import json
import weakref
from dataclasses import replace
from io import BytesIO

import pytest
import torch
from host import InterruptedRunError, defaults_of
from PIL import Image
from test_nodes import NODES, host, nodding, pack_module, picture, run, small_portrait, wave  # noqa: F401 (fixtures)

LOSSLESS = "video/ffv1-mkv"
video_module = pack_module("lp_core.media.video")


def frames_in(path: str) -> torch.Tensor:
    return torch.cat(list(video_module.read_video(path).frames()))


class CountingRenderer:
    """Draws frames that say which one they are, and counts how many are alive."""

    def __init__(self) -> None:
        self.alive = self.drawn = self.most = 0

    def draw(self, _portrait, own, _options):
        frames = torch.full((len(own), 64, 64, 3), 0.5)
        self.drawn += len(own)
        self.alive += len(own)
        self.most = max(self.most, self.alive)
        weakref.finalize(frames, self._forget, len(own))
        return frames

    def _forget(self, count: int) -> None:
        self.alive -= count


@pytest.mark.parametrize("drawing", [{}, {"paste_back": False}, {"take_head": False, "relative": False}])
def test_it_is_render_and_combine_in_one(host, small_portrait, drawing):  # noqa: F811 (fixtures)
    motion, sound = nodding(9), wave(0.3)
    path, video = run(
        "RenderToFile", portrait=small_portrait, motion=motion, audio=sound, format=LOSSLESS, **drawing
    )
    frames, fps = run("LivePortraitRender", portrait=small_portrait, motion=motion, **drawing)
    combined, *_ = run("VideoCombine", images=frames, audio=sound, frame_rate=fps, format=LOSSLESS)
    assert torch.equal(frames_in(path), frames_in(combined))
    assert video.path == path
    one, other = (video_module.read_video(file) for file in (path, combined))
    assert one.fps == other.fps
    assert torch.equal(one.audio().waveform, other.audio().waveform)


def test_it_plays_in_the_node_and_carries_the_workflow(host, small_portrait):  # noqa: F811 (fixtures)
    result = NODES["RenderToFile"]().execute(
        **defaults_of(NODES["RenderToFile"]),
        portrait=small_portrait,
        motion=nodding(3),
        prompt={"1": {}},
        extra_pnginfo={"workflow": {"nodes": []}},
    )
    shown = {"filename": "talking_head_00001_.mp4", "subfolder": "", "type": "output"}
    assert result["ui"] == {"images": [shown], "animated": (True,)}
    metadata = video_module.read_video(result["result"][0]).metadata
    assert json.loads(metadata["workflow"]) == {"nodes": []}
    assert json.loads(metadata["prompt"]) == {"1": {}}


@pytest.mark.parametrize("form", ["video/h264-mp4", "image/gif", "image/png-sequence"])
def test_no_more_frames_are_alive_in_a_long_video_than_in_a_short_one(host, small_portrait, form):  # noqa: F811 (fixtures)
    most = []
    for length in (16, 160):
        renderer = CountingRenderer()
        run(
            "RenderToFile",
            portrait=replace(small_portrait, renderer=renderer),
            motion=nodding(length),
            batch_size=4,
            format=form,
        )
        assert renderer.drawn == length
        assert renderer.alive == 0
        most.append(renderer.most)
    assert max(most) <= 12  # a batch being drawn, one encoded, one between them, however the threads take turns


def test_it_ends_with_the_sound_when_asked_to(host, small_portrait):  # noqa: F811 (fixtures)
    sound = wave(0.2)
    for trimmed, expected in ((True, 5), (False, 9)):
        path, _ = run(
            "RenderToFile", portrait=small_portrait, motion=nodding(9), audio=sound, trim_to_audio=trimmed
        )
        assert len(frames_in(path)) == expected


def test_progress_is_seen_and_stop_leaves_no_file(host, small_portrait, monkeypatch):  # noqa: F811 (fixtures)
    run("RenderToFile", portrait=small_portrait, motion=nodding(6), batch_size=4)
    assert [(done, total) for done, total, _ in host.progress] == [(4, 6), (6, 6)]
    assert not any(preview for *_, preview in host.progress)  # which the page would take for the video
    (file,) = host.folders["output"].iterdir()
    file.unlink()
    bar = importlib.import_module("comfy.utils").ProgressBar
    update = bar.update_absolute

    def press_stop(self, done, *others):
        host.interrupted.set() if done == 6 else None
        update(self, done, *others)

    monkeypatch.setattr(bar, "update_absolute", press_stop)
    with pytest.raises(InterruptedRunError):
        run("RenderToFile", portrait=small_portrait, motion=nodding(6), batch_size=4)
    assert not list(host.folders["output"].iterdir())


def test_the_page_that_asked_is_shown_each_batch(host, small_portrait):  # noqa: F811 (fixtures)
    run("RenderToFile", portrait=small_portrait, motion=nodding(6), batch_size=4, unique_id="8:5")
    assert not host.sent  # no page asked
    host.server.client_id = "a page"
    run("RenderToFile", portrait=small_portrait, motion=nodding(6), batch_size=4, unique_id="8:5")
    assert [(event, content["node"]) for event, content in host.sent] == [("talking_head.frame", "8:5")] * 2
    address, _, content = host.sent[-1][1]["picture"].partition(",")
    assert address == "data:image/jpeg;base64"
    with Image.open(BytesIO(base64.b64decode(content))) as image:
        assert image.size == (256, 256)


def test_what_cannot_be_written_is_said_before_all_is_drawn(host, small_portrait):  # noqa: F811 (fixtures)
    renderer = CountingRenderer()
    portrait = replace(small_portrait, renderer=renderer)
    with pytest.raises(ValueError, match="pixel format"):
        run("RenderToFile", portrait=portrait, motion=nodding(40), pix_fmt="yuva420p")
    with pytest.raises(ValueError, match="leads out"):
        run("RenderToFile", portrait=portrait, motion=nodding(40), filename_prefix="../x")
    assert renderer.drawn <= 16
    assert not list(host.folders["output"].iterdir())
