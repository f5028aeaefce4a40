#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2): libopus puts the channels of 5.0 and 6.1 sound into each other's places.
#
# Each channel is given a tone of its own. Read back by FFmpeg, the tones of 5.0 come as 200 300 500 600 400: the
# left surround is heard in the centre, the centre in the right surround. In 6.1 the centre and the back centre are
# swapped. 3.0, quad and 5.1 come back in order. libsndfile 1.2.2, a decoder of its own, finds the same in the Ogg
# file (its order is Vorbis': left, centre, right …), so it is the encoder that is wrong and not FFmpeg's decoder.
# FFmpeg's AAC keeps the order of all five. The layout's name is right in every file.
# PyAV 19.0.2 (FFmpeg 9.0.2) does the same by libopus.
#
# Seen: 5.0 [200, 300, 500, 600, 400]; libsndfile 5.0 [200, 500, 300, 600, 400]; 6.1 [200, 300, 700, 500, 400, 600, 800]
# What to do: write 5.0 and 6.1 by AAC or FLAC, or add a silent channel and write 5.1 and 7.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6 soundfile==0.14.0
"$folder/venv/bin/python" - <<'PY'
import io

import av
import numpy as np
import soundfile

RATE = 48_000  # samples a second


def encoded(layout, channels, container="ogg", codec="libopus"):
    seconds = np.arange(RATE) / RATE
    tones = np.stack([0.2 * np.sin(2 * np.pi * 100 * (2 + n) * seconds) for n in range(channels)]).astype(np.float32)
    sound = av.AudioFrame.from_ndarray(tones, format="fltp", layout=layout)
    sound.sample_rate = RATE
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE, layout=layout)
        cut = av.AudioResampler("fltp" if codec == "aac" else "flt", layout, RATE, frame_size=stream.frame_size or 1024)
        for frame in [*cut.resample(sound), *cut.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    return file


def tones_of(samples):
    spectra = np.abs(np.fft.rfft(samples[:, RATE // 4 : RATE * 3 // 4], axis=1))
    return [int(peak) * 2 for peak in spectra.argmax(1)]  # hertz


def by_ffmpeg(file):
    with av.open(file) as container:
        assert container.streams.audio[0].format.is_planar
        return tones_of(np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1))


def by_libsndfile(file):
    return tones_of(soundfile.read(file)[0].T)


for layout, channels in (("3.0", 3), ("quad", 4), ("5.1", 6)):
    found = by_ffmpeg(encoded(layout, channels))
    print(layout, found)
    assert found == [100 * (2 + n) for n in range(channels)], found

for layout, channels, ffmpeg, libsndfile in (
    ("5.0", 5, [200, 300, 500, 600, 400], [200, 500, 300, 600, 400]),
    ("6.1", 7, [200, 300, 700, 500, 400, 600, 800], [200, 700, 300, 600, 800, 400, 500]),
):
    found = by_ffmpeg(encoded(layout, channels)), by_libsndfile(encoded(layout, channels))
    print(layout, *found)
    assert found == (ffmpeg, libsndfile), found
    kept = by_ffmpeg(encoded(layout, channels, "mp4", "aac"))
    assert kept == [100 * (2 + n) for n in range(channels)], kept
PY
