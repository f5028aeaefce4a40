"""What Chromium's MediaRecorder writes of a camera and a microphone, in every type that it offers, is read."""

import base64

import pytest
from browser import CHROMIUM, FLAGS

from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.media.video import read_video

SECONDS = 2.5
FAKE_DEVICES = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
TYPES = [
    "video/webm;codecs=vp8,opus", "video/webm;codecs=vp9,opus", "video/webm;codecs=h264,opus", "video/mp4",
    "audio/webm", "audio/mp4",
]  # fmt: skip
RECORD = """async ([type, seconds]) => {
    if (!MediaRecorder.isTypeSupported(type)) return null;
    const wanted = { video: type.startsWith("video"), audio: true };
    const stream = await navigator.mediaDevices.getUserMedia(wanted);
    const recorder = new MediaRecorder(stream, { mimeType: type }), parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start(500);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    recorder.stop();
    await stopped;
    const reader = new FileReader();
    const read = new Promise((resolve) => { reader.onload = resolve; });
    reader.readAsDataURL(new Blob(parts));
    await read;
    return reader.result.split(",")[1];
}"""


@pytest.fixture(scope="module")
def page():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *FAKE_DEVICES])
        page = browser.new_page()
        page.route("**/*", lambda route: route.fulfill(body="<html></html>", content_type="text/html"))
        page.goto("http://127.0.0.1/")  # an address that may use cameras
        yield page
        browser.close()


@pytest.mark.parametrize("kind", TYPES)
def test_recordings_are_read(page, tmp_path, kind):
    recorded = page.evaluate(RECORD, [kind, SECONDS])
    if recorded is None:
        pytest.skip(f"this Chromium does not record {kind}")
    path = tmp_path / f"recording.{'mp4' if 'mp4' in kind else 'webm'}"
    path.write_bytes(base64.b64decode(recorded))
    assert float(load_audio(path).duration) == pytest.approx(SECONDS, abs=0.7)
    if kind.startswith("audio"):
        with pytest.raises(ValueError, match="only sound"):
            read_video(path)
        return
    video = read_video(path)
    assert 5 <= video.fps <= 60  # the fake camera gives 20 frames a second, fewer on a busy machine
    assert sum(map(len, video.frames())) == video.frame_count
    assert video.frame_count / float(video.fps) == pytest.approx(SECONDS, abs=0.7)
