#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2): the first 1024 samples of an AAC encoder are cut off or kept, as the container has it.
#
# A click in the middle of one second of sound comes back where it was from mp4, mov and Matroska, 1024 samples
# (21 ms) late from ADTS (.aac), MPEG-TS and AVI. MP3 in AVI is 1105 samples late, an .mp3 file is right. No file says
# so: the first frame's pts is 0 in all but the .mp3, whose audio begins at a pts of 1105 samples. And in mp4, whose
# stream says 48000 samples, 48128 are decoded: the encoder's last frame is filled up with zeros, which are not cut.
# Frames without a pts make an mp4 that is 1024 samples late as well.
# PyAV 19.0.2 (FFmpeg 9.0.2) cuts the zeros in mp4 (48000 samples) and is as late in ADTS, MPEG-TS and AVI.
#
# Seen: mp4 0, mov 0, matroska 0, adts 1024, mpegts 1024, avi 1024, mp3 0, mp3 in avi 1105 samples late; mp4 48128 samples
# What to do: cut what comes after the stream's duration; measure lip sync in the container that is delivered.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io
from fractions import Fraction

import av
import numpy as np

RATE = 48_000  # samples a second, and of the sound
CLICK = RATE // 2


def decoded(container, codec):
    samples = np.zeros((1, RATE), np.float32)
    samples[0, CLICK] = 0.9
    sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    sound.sample_rate, sound.time_base, sound.pts = RATE, Fraction(1, RATE), 0
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE, layout="mono")
        cut = av.AudioResampler("fltp", "mono", RATE, frame_size=stream.frame_size or 1024)
        for frame in [*cut.resample(sound), *cut.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as source:
        return np.concatenate([frame.to_ndarray() for frame in source.decode(audio=0)], 1)[0]


EXPECTED = {
    ("mp4", "aac"): 0, ("mov", "aac"): 0, ("matroska", "aac"): 0, ("adts", "aac"): 1024, ("mpegts", "aac"): 1024,
    ("avi", "aac"): 1024, ("mp3", "mp3"): 0, ("avi", "mp3"): 1105,
}  # fmt: skip
for (container, codec), late in EXPECTED.items():
    samples = decoded(container, codec)
    found = int(np.abs(samples).argmax()) - CLICK
    print(f"{container} {codec}: {found} samples late, {len(samples)} decoded")
    assert found == late, (container, codec, found)
assert len(decoded("mp4", "aac")) == 48_128
PY
