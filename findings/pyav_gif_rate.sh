#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2): the average rate of a GIF is that of its first delays, not of its frames.
#
# GIF counts in hundredths of a second, so FFmpeg writes 30 frames at 60 a second with delays of 1 and 2 in turn: they
# last 0.5 s, as they should. Read back, average_rate says 100, and 100/3 for 30 a second. Duration and the frames'
# times are right.
#
# Seen: 60 frames/s: average_rate 100, 30 frames in 0.5 s; 30 frames/s: average_rate 100/3, 30 frames in 1.0 s
# What to do: work from frames' times, or from their number and the duration.
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


def read_back(rate, count=30):
    file = io.BytesIO()
    with av.open(file, "w", format="gif") as output:
        stream = output.add_stream("gif", rate=rate)
        stream.width = stream.height = 32
        stream.pix_fmt = "rgb8"
        for index in range(count):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 8 * index, np.uint8), "rgb24")))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as source:
        stream = source.streams.video[0]
        return stream.average_rate, len(list(source.decode(stream))), stream.duration * stream.time_base


for rate, average, seconds in ((60, Fraction(100), Fraction(1, 2)), (30, Fraction(100, 3), Fraction(1))):
    found = read_back(rate)
    print(f"{rate} frames/s: average_rate {found[0]}, {found[1]} frames in {float(found[2])} s")
    assert found == (average, 30, seconds), found
PY
