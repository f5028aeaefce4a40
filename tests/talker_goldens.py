"""Golden values of LivePortraitTalker, SadTalker and Live Speech Portraits, and the weights they were made with.

The original classes made the goldens with synthetic weights. Each tensor has a random stream of its own, named by
its key: numpy's Philox, seed 0. golden/talker holds what cannot be drawn again, trimmed to what the tests compare.
"""

import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).parent / "golden" / "talker"


def stream(name):
    return np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))


def weight(name, shape):
    """The tensor of a state dict's key, `name` being network.key."""
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return torch.tensor(0)
    n = stream(name).standard_normal(tuple(shape))
    if last == "running_mean":
        n = 0.1 * n
    elif last == "running_var":
        n = 1.0 + 0.1 * np.abs(n)
    elif len(shape) >= 2:
        n = n / np.sqrt(float(np.prod(shape[1:])))
    else:
        n = 1.0 + 0.1 * n if last == "weight" else 0.1 * n
    return torch.from_numpy(n.astype(np.float32))


def tensors_of(network, name):
    """The synthetic checkpoint of a network, without its prefix."""
    return {key: weight(f"{name}.{key}", value.shape) for key, value in network.state_dict().items()}


@cache
def filled(kind, name, folded=True):
    """A network of class `kind` with the weights of the goldens, as the loaders give it."""
    from talking_head.lp_core.liveportrait.nets.blocks import fold

    with torch.device("meta"):
        network = kind()
    network.load_state_dict(tensors_of(network, name), assign=True)
    network.eval().requires_grad_(False)
    if folded:
        fold(network)
    return network


@cache
def golden(group):
    return load_file(FOLDER / f"{group}.safetensors")


def waveform(samples):
    """The voiced test signal of the goldens (S,), 16 kHz, with a stretch of digital silence."""
    time = np.arange(samples, dtype=np.float64) / 16000
    random = stream("waveform")
    pitch = 110.0 + 40.0 * random.random()
    phases = random.random(12) * 2 * np.pi
    loudness = 0.55 + 0.45 * np.sin(2 * np.pi * (3.0 + random.random()) * time + phases[0])
    vibrato = 6.0 * np.sin(2 * np.pi * 1.3 * time + phases[1])
    phase = 2 * np.pi * np.cumsum(pitch + vibrato) / 16000
    voice = np.zeros(samples)
    for harmonic in range(1, 11):
        voice += np.sin(harmonic * phase + phases[harmonic + 1]) / harmonic
    voice = 0.3 * loudness * voice + 0.02 * random.standard_normal(samples)
    voice[int(0.45 * samples) : int(0.58 * samples)] = 0.0
    return torch.from_numpy(np.clip(voice, -0.8, 0.8).astype(np.float32))


def assert_near(found, expected, tolerance):
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0, check_dtype=False)
