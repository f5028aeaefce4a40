#!/usr/bin/env bash
# torch 2.13.0: F.interpolate(mode="area") does not resample by area unless sizes divide.
#
# It is adaptive average pooling: every input pixel that an output pixel touches counts whole, however little of it
# lies inside. From 5 pixels to 3, the second input pixel counts in two outputs, and a light that moves by one pixel
# changes the sum of the output from 0.5 to 0.83. OpenCV's INTER_AREA weights by overlap: the sum is 0.6 everywhere.
#
# Seen: torch 0.5, 0.83, 0.33, 0.83, 0.5; OpenCV 4.12 0.6 five times; 4 to 2 pixels: both 0.5 four times
# What to do: use it for whole factors only; for others antialias=True, or OpenCV's INTER_AREA.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0
"$folder/venv/bin/pip" install --quiet opencv-python-headless==4.12.0.88
"$folder/venv/bin/python" - <<'PY'
import cv2
import numpy as np
import torch


def sums(resize, size, wanted):
    return [round(float(resize(light[None].astype(np.float32), wanted).sum()), 2) for light in np.eye(size)]


def by_torch(row, wanted):
    return torch.nn.functional.interpolate(torch.from_numpy(row)[None, None], (1, wanted), mode="area")


def by_opencv(row, wanted):
    return cv2.resize(row, (wanted, 1), interpolation=cv2.INTER_AREA)


print("5 to 3: torch", sums(by_torch, 5, 3), "OpenCV", sums(by_opencv, 5, 3))
assert sums(by_torch, 5, 3) == [0.5, 0.83, 0.33, 0.83, 0.5]
assert sums(by_opencv, 5, 3) == [0.6] * 5
assert sums(by_torch, 4, 2) == sums(by_opencv, 4, 2) == [0.5] * 4
PY
