#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2): naming a stream's colour space tags the file and does not convert the pixels to it.
#
# rgb24 frames given to a stream whose codec context says BT.709 are still converted by BT.601, so pure red is shown
# as (255, 23, 0) by whatever believes the tag. Without a tag it comes back as (253, 0, 0), and converted by hand,
# reformat(dst_colorspace=ITU709), as (254, 0, 0).
#
# Seen: untagged [253, 0, 0], tagged [255, 23, 0], converted and tagged [254, 0, 0]
# What to do: convert the frame oneself and tag the stream with the same colour space.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import io

import av
import numpy as np
from av.video.reformatter import Colorspace

RED = np.full((64, 64, 3), (255, 0, 0), np.uint8)
BT709 = 1  # in AVColorSpace, AVColorPrimaries and AVColorTransferCharacteristic


def red_after(is_tagged, is_converted):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        if is_tagged:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = BT709
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(RED, format="rgb24")
            if is_converted:
                frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as source:
        return next(source.decode(video=0)).to_ndarray(format="rgb24")[32, 32].tolist()


found = red_after(False, False), red_after(True, False), red_after(True, True)
print("untagged {}, tagged {}, converted and tagged {}".format(*found))
assert found == ([253, 0, 0], [255, 23, 0], [254, 0, 0]), found
PY
