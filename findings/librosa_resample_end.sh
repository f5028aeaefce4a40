#!/usr/bin/env bash
# librosa 0.11.0 with soxr 1.1.0: resampled sound may end with a sample of 0 that the resampler did not make.
#
# librosa.resample returns ceil(length · ratio) samples; soxr gives the rounded number. Where the two differ, librosa
# appends a zero (fix=True, the default): 1001 samples of a constant 1 at 44.1 kHz end in … 1.09, 0 at 16 kHz. A
# streaming feature that is fed in pieces so resampled meets a click at every seam.
#
# Seen: librosa 364 samples, the last 0.0; soxr 363 samples, the last 1.0937
# What to do: call soxr, or librosa with fix=False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet librosa==0.11.0 soxr==1.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import librosa
import numpy as np
import soxr

ones = np.ones(1001, np.float32)
by_librosa = librosa.resample(ones, orig_sr=44_100, target_sr=16_000)
by_soxr = soxr.resample(ones, 44_100, 16_000)
print(f"librosa {len(by_librosa)} samples, the last {by_librosa[-1]}; soxr {len(by_soxr)}, the last {by_soxr[-1]:.4f}")
assert (len(by_librosa), float(by_librosa[-1])) == (364, 0.0)
assert len(by_soxr) == 363
assert np.allclose(by_librosa[:-1], by_soxr, atol=1e-6)
assert len(librosa.resample(ones, orig_sr=44_100, target_sr=16_000, fix=False)) == 363
PY
