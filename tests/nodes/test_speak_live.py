"""SpeakLive: a voice at its own pace, previews on the way, a whole file."""

import pytest
from host import InterruptedRunError
from test_nodes import host, pack_module, picture, run, small_portrait, wave  # noqa: F401 (fixtures)

video_module = pack_module("lp_core.media.video")


def test_a_voice_is_said_at_its_pace_with_previews_and_a_whole_file(host, small_portrait):  # noqa: F811 (fixtures)
    path, video, dropped, latency = run("SpeakLive", portrait=small_portrait, audio=wave(0.9), seed=3)
    clip = video_module.read_video(path)
    assert sum(len(batch) for batch in clip.frames()) == 23
    assert abs(float(clip.audio().duration) - 0.9) < 0.06
    assert video.path == path
    assert 0 <= dropped <= 23
    assert latency > 0.4
    previews = [preview for *_, preview in host.progress if preview is not None]
    assert previews or dropped > 10


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
