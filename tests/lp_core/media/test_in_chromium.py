"""What Chromium shows and plays of the files that pages play: first frame and sound at 0, colours, every sample."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from browser import chromium

from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.media.encoding import VideoOptions, write_video
from talking_head.lp_core.media.formats import AV1, GIF, H264, VP9, WEBP

# A real browser on a busy machine does not always come up in time.
pytestmark = pytest.mark.flaky(reruns=2, reruns_delay=2)

SIDE, FRAMES, FPS, RATE = 128, 30, 25, 48_000
QUADRANTS = torch.tensor([[220, 60, 40], [40, 180, 90], [30, 60, 200], [200, 200, 200]], dtype=torch.uint8)
CLICK = RATE // 2  # samples from the beginning
# Chromium counts the delay of Opus in the milliseconds that Matroska has for times.
SAMPLES_OFF = {".mp4": 0, ".webm": RATE // 1000}
PLAYED = """async (name) => {
    const video = document.createElement("video");
    video.muted = true;
    const first = new Promise((resolve) => video.requestVideoFrameCallback((now, seen) => resolve(seen.mediaTime)));
    const loaded = new Promise((resolve, reject) => {
        video.onloadeddata = resolve;
        video.onerror = () => reject(new Error(video.error.message));
    });
    video.src = name;
    document.body.append(video);
    await loaded;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = video.videoWidth;
    const drawn = canvas.getContext("2d");
    drawn.drawImage(video, 0, 0);
    const at = (x, y) => [...drawn.getImageData(x, y, 1, 1).data].slice(0, 3);
    const content = await (await fetch(name)).arrayBuffer();
    const sound = await new OfflineAudioContext(1, 48000, 48000).decodeAudioData(content);
    const result = {
        first: await first, duration: video.duration, samples: [...sound.getChannelData(0)],
        colours: [at(24, 24), at(104, 24), at(24, 104), at(104, 104)], middle: at(64, 64)[0],
    };
    video.remove();
    return result;
}"""
DECODED = """async ([name, type]) => {
    const data = await (await fetch(name)).arrayBuffer();
    const decoder = new ImageDecoder({ data, type });
    await decoder.tracks.ready;
    await decoder.completed;
    const durations = [];
    for (let index = 0; index < decoder.tracks.selectedTrack.frameCount; index++) {
        const { image } = await decoder.decode({ frameIndex: index });
        durations.push(image.duration);
        image.close();
    }
    return durations;
}"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder, and a page in Chromium that sees what is in it."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "index.html").write_text("<body></body>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with chromium() as browser:
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            yield folder, page
        server.shutdown()


def quadrants():
    """Frames of four colours, with the frame's number as a grey level in the middle."""
    frames = torch.zeros(FRAMES, SIDE, SIDE, 3, dtype=torch.uint8)
    half = SIDE // 2
    for index, colour in enumerate(QUADRANTS):
        frames[:, index // 2 * half :, index % 2 * half :] = colour
    frames[:, half - 16 : half + 16, half - 16 : half + 16] = 8 * torch.arange(FRAMES)[:, None, None, None]
    return frames


@pytest.mark.parametrize(
    ("form", "pixels"),
    [(H264, "yuv420p"), (H264, "yuv444p"), (H264, "yuv420p10le"), (VP9, "yuv420p"), (AV1, "yuv420p")],
    ids=lambda value: getattr(value, "encoder", value),
)
def test_chromium_plays_what_was_written(served, form, pixels):
    folder, page = served
    sound = torch.zeros(1, FRAMES * RATE // FPS)
    sound[0, CLICK : CLICK + 10] = 0.9
    name = f"{form.encoder}-{pixels}{form.suffixes[0]}"
    options = VideoOptions(format=form, crf=1, pixel_format=pixels)
    write_video(folder / name, quadrants(), FPS, Audio(sound, RATE), options)
    seen = page.evaluate(PLAYED, name)
    assert seen["first"] == 0
    assert seen["middle"] <= 2  # the frame with the number 0
    assert abs(seen["duration"] - FRAMES / FPS) < 0.01
    assert (torch.tensor(seen["colours"]) - QUADRANTS).abs().max() <= 8  # blue loses some in 4:2:0
    heard, off = torch.tensor(seen["samples"]), SAMPLES_OFF[form.suffixes[0]]
    assert abs(len(heard) - sound.shape[1]) <= off
    assert abs(int(heard.abs().argmax()) - CLICK - 5) <= off + 5


@pytest.mark.parametrize(("form", "kind"), [(GIF, "image/gif"), (WEBP, "image/webp")])
@pytest.mark.parametrize("fps", [30, 60, 120])
def test_chromium_plays_animated_pictures_as_long_as_they_last(served, form, kind, fps):
    folder, page = served
    name = f"fast-{fps}{form.suffixes[0]}"
    write_video(folder / name, quadrants(), fps, None, VideoOptions(format=form))
    microseconds = page.evaluate(DECODED, [name, kind])
    assert min(microseconds) >= 11_000
    assert abs(sum(microseconds) / 1e6 - FRAMES / fps) <= 0.02
