"""SpeakLive: a voice at its own pace, previews on the way, a whole file."""

import pytest
from host import InterruptedRunError
from test_nodes import host, pack_module, picture, run, small_portrait, wave  # noqa: F401 (fixtures)

video_module = pack_module("lp_core.media.video")


def test_a_voice_is_said_at_its_pace_with_previews_and_a_whole_file(host, small_portrait):  # noqa: F811 (fixtures)
    host.server.client_id = "a page"
    path, video, dropped, latency = run(
        "SpeakLive", portrait=small_portrait, audio=wave(0.9), seed=3, unique_id="7"
    )
    clip = video_module.read_video(path)
    assert sum(len(batch) for batch in clip.frames()) == 23
    assert abs(float(clip.audio().duration) - 0.9) < 0.06
    assert video.path == path
    assert 0 <= dropped <= 23
    assert latency > 0.4
    frames = [content["node"] for event, content in host.sent if event == "talking_head.frame"]
    assert set(frames) <= {"7"}
    assert frames or dropped > 10
    assert not any(preview for *_, preview in host.progress)  # which the page would take for the video


def test_a_stopped_run_leaves_what_was_said(host, small_portrait, monkeypatch):  # noqa: F811 (fixtures)
    module = pack_module("nodes.speak_live")

    def interrupted(waveform, rate):
        for number, piece in enumerate(waveform.split(rate // 50, 1)):
            if number == 20:
                host.interrupted.set()
            yield piece

    monkeypatch.setattr(module, "at_its_pace", interrupted)
    with pytest.raises(InterruptedRunError):
        run("SpeakLive", portrait=small_portrait, audio=wave(2.0))
    (path,) = host.folders["output"].iterdir()
    clip = video_module.read_video(path)
    frames = sum(len(batch) for batch in clip.frames())
    assert 10 <= frames <= 11
    assert abs(float(clip.audio().duration) - frames / 25) < 0.07
