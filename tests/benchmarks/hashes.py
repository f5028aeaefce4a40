"""Hashes of results: of tensors and what is made of them, and of what files hold."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from safetensors.torch import load_file

PLAIN = (str, int, float, Fraction, bytes, type(None))


def hashed(value: object) -> str:
    digest = hashlib.sha256()
    feed(digest, value)
    return digest.hexdigest()


def feed(digest: Any, value: Any) -> None:
    """Add numbers, text, tensors and what is made of them to a hash; networks and other objects add nothing."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, np.ndarray):
        feed(digest, torch.from_numpy(value))
    elif isinstance(value, Mapping):
        feed(digest, sorted(value.items()))
    elif isinstance(value, (list, tuple)):
        digest.update(f"{len(value)} of".encode())
        for part in value:
            feed(digest, part)
    elif is_dataclass(value):
        feed(digest, [getattr(value, field.name) for field in fields(value)])
    elif isinstance(value, PLAIN):
        digest.update(repr(value).replace(str(Path.cwd()), "").encode())  # the folder has a random name


def content(file: Path) -> object:
    """What a file holds, without metadata: tensors, the frames of picture and sound, or bytes."""
    if file.suffix == ".safetensors":
        return load_file(file)
    if file.suffix not in (".mp4", ".webm", ".wav", ".flac", ".png", ".jpg", ".webp"):
        return file.read_bytes()
    with av.open(str(file)) as opened:
        return [(frame.pts, str(frame.time_base), frame.to_ndarray()) for frame in opened.decode()]
