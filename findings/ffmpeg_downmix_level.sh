#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2): a downmix is louder in floating point than in integers.
#
# The same sound, every channel at 0.5 throughout, brought to fewer channels by AudioResampler: to 16 bits the gains
# are scaled so that nothing can clip, to float they are not. 5.1 to mono comes out 3.4 times as loud (10.7 dB) in
# float, beyond full scale; stereo to mono 1.4 times (3 dB). The input's format does not matter here, the output's does.
#
# Seen: stereo to mono fltp 0.7071, s16p 0.5; 5.1 to stereo 1.2071, 0.5; 5.1 to mono 1.7071, 0.5; mono to stereo 0.3536 both
# What to do: mix channels oneself by the mean, before any resampling.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import av
import numpy as np

FULL_SCALE = {"fltp": 1.0, "s16p": 32768.0}


def level(channels, layout, wanted, format):
    sound = av.AudioFrame.from_ndarray(np.full((channels, 960), 0.5, np.float32), format="fltp", layout=layout)
    sound.sample_rate = 48_000
    mixed = av.AudioResampler(format, wanted, 48_000).resample(sound)[0].to_ndarray()
    return round(float(mixed[0, 480]) / FULL_SCALE[format], 3)


for channels, layout, wanted, in_float, in_integers in (
    (2, "stereo", "mono", 0.707, 0.5),
    (6, "5.1", "stereo", 1.207, 0.5),
    (6, "5.1", "mono", 1.707, 0.5),
    (1, "mono", "stereo", 0.354, 0.354),
):
    found = level(channels, layout, wanted, "fltp"), level(channels, layout, wanted, "s16p")
    print(f"{layout} to {wanted}: fltp {found[0]}, s16p {found[1]}")
    assert found == (in_float, in_integers), found
PY
