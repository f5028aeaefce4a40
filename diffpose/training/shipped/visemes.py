"""Trains the viseme nets on synthetic speech: `python -m talking_head.diffpose.training.shipped.visemes driver`.

The driver (diffpose/procedural/viseme_net.safetensors) is used by the built-in generator; the judge
(tests/benchmarks/judge_net.safetensors) measures lip sync and was trained with other voices, languages and seed.
Each takes about ten minutes on one core.
"""

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...procedural.visemes import ASSET, SHAPES, UNITS, VisemeNet
from ...speech.analysis import HOP, SAMPLE_RATE, analyse
from .espeak import Phoneme, speak
from .phonemes import shape_targets
from .sentences import (
    DRIVER_LANGUAGES,
    DRIVER_VARIANTS,
    ENGLISH,
    FOREIGN,
    JUDGE_LANGUAGES,
    JUDGE_VARIANTS,
)

log = logging.getLogger(__name__)

CHUNK = 256  # frames of a training example
BATCH = 16
VELOCITY_WEIGHT = 3.0  # of the loss on changes from frame to frame, which decide whether closures are reached
EQUALISER = np.array([60, 150, 300, 600, 1200, 2400, 4800, 8060])  # Hz


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run: voices, seed, width of the net, number of steps, output path."""

    languages: tuple[str, ...]
    variants: tuple[str, ...]
    seed: int
    width: int
    utterances: int
    steps: int
    path: Path


@dataclass(frozen=True, eq=False)
class Example:
    """Normalised mels (T, 32) and their target shapes (T, 6), in UNITS."""

    mels: Tensor
    shapes: Tensor


JUDGE = Path(__file__).parents[3] / "tests" / "benchmarks" / "judge_net.safetensors"
RECIPES = {
    "driver": Recipe(DRIVER_LANGUAGES, DRIVER_VARIANTS, seed=1, width=64, utterances=1600, steps=8000, path=ASSET),
    "judge": Recipe(JUDGE_LANGUAGES, JUDGE_VARIANTS, seed=2, width=56, utterances=1200, steps=5000, path=JUDGE),
}


def examples(recipe: Recipe) -> list[Example]:
    """Utterances by the recipe's voices, each with random recording conditions."""
    random = np.random.default_rng(recipe.seed)
    return [_example(recipe, random) for _ in range(recipe.utterances)]


def train(recipe: Recipe) -> VisemeNet:
    """A net trained by the recipe; every twentieth utterance is held out to report correlations."""
    torch.manual_seed(recipe.seed)
    random = np.random.default_rng(recipe.seed + 100)
    data = [example for example in examples(recipe) if len(example.mels) > CHUNK]
    held, taught = data[::20], [example for index, example in enumerate(data) if index % 20]
    log.info("%d utterances, %.0f minutes", len(data), sum(len(e.mels) for e in data) / 6000)
    net = VisemeNet(recipe.width)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, recipe.steps)
    for step in range(recipe.steps):
        loss = _loss(net, _batch(taught, random))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 499:
            log.info("step %d loss %.4f held-out r %s", step + 1, loss.item(), _correlations(net, held))
    return net.eval()


def save(net: nn.Module, path: Path) -> None:
    """Write the net in half precision."""
    from safetensors.torch import save_file

    save_file({name: tensor.half() for name, tensor in net.state_dict().items()}, path)


def _example(recipe: Recipe, random: np.random.Generator) -> Example:
    language, variant = str(random.choice(recipe.languages)), str(random.choice(recipe.variants))
    native = language in FOREIGN and random.random() < 0.6
    text = " ".join(random.choice(FOREIGN[language] if native else ENGLISH, 2, replace=False))
    voice = f"{language}+{variant}" if variant else language
    pace, pitch, range_ = int(random.integers(115, 225)), int(random.integers(25, 76)), int(random.integers(20, 91))
    utterance = speak(text, voice, pace, pitch, range_)
    # Resampling a voice changes its formants and pitch, which gives other speakers.
    stretch = random.uniform(0.87, 1.16)
    samples = _resampled(utterance.samples, utterance.rate, stretch)
    before, after = random.uniform(0.1, 0.7, 2)
    samples = np.pad(samples, (int(before * SAMPLE_RATE), int(after * SAMPLE_RATE)))
    phonemes = _moved(utterance.phonemes, stretch, before, len(samples) / SAMPLE_RATE)
    targets = shape_targets(phonemes, len(samples) // HOP + 1) / np.array(UNITS)
    speech = analyse(torch.from_numpy(_recorded(samples, random)))
    return Example(torch.from_numpy(speech.mels), torch.from_numpy(targets.astype(np.float32)))


def _resampled(samples: NDArray[np.float32], rate: int, stretch: float) -> NDArray[np.float32]:
    import librosa

    return librosa.resample(samples, orig_sr=round(rate / stretch), target_sr=SAMPLE_RATE)


def _moved(phonemes: tuple[Phoneme, ...], stretch: float, before: float, duration: float) -> list[Phoneme]:
    """Phonemes in stretched time, with a pause before and after them."""
    moved = [Phoneme(p.symbol, before + p.start * stretch, before + p.end * stretch) for p in phonemes]
    return [Phoneme("", 0.0, before), *moved, Phoneme("", moved[-1].end, duration)]


def _recorded(samples: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The speech with random loudness per syllable, room, microphone and noise, and sometimes clipping."""
    sound = samples * _syllable_gains(len(samples), random)
    if random.random() < 0.5:
        sound = _reverberated(sound, random)
    sound = _equalised(sound, random)
    noise = random.normal(size=len(sound))
    if random.random() < 0.5:
        noise = np.cumsum(noise)
        noise -= np.convolve(noise, np.ones(800) / 800, mode="same")
    signal_to_noise = random.uniform(8, 55)  # dB
    sound = sound / (sound.std() + 1e-9) + noise / noise.std() * 10 ** (-signal_to_noise / 20)
    if random.random() < 0.15:
        sound = np.clip(sound, -1.5, 1.5)
    return (0.1 * sound).astype(np.float32)


def _syllable_gains(length: int, random: np.random.Generator) -> NDArray[np.floating]:
    knots = np.arange(0, length + 4000, 4000)
    return np.interp(np.arange(length), knots, 10 ** (random.normal(0, 4, len(knots)) / 20))


def _reverberated(sound: NDArray[np.floating], random: np.random.Generator) -> NDArray[np.floating]:
    length = int(SAMPLE_RATE * random.uniform(0.05, 0.4))
    tail = random.normal(size=length) * np.exp(-np.arange(length) / (length / 5))
    tail *= random.uniform(0.05, 0.4) / np.sqrt((tail**2).sum())
    tail[0] += 1
    size = len(sound) + length
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail, size), size)[: len(sound)]


def _equalised(sound: NDArray[np.floating], random: np.random.Generator) -> NDArray[np.floating]:
    """The sound with a random microphone response, or sometimes a telephone's narrow band."""
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    gains = random.normal(0, 4.5, len(EQUALISER)) + np.linspace(0, random.normal(0, 8), len(EQUALISER))
    decibels = np.interp(np.log2(frequencies + 30), np.log2(EQUALISER), gains)
    if random.random() < 0.2:
        decibels -= 60 * (frequencies > random.uniform(3300, 7000))
    if random.random() < 0.2:
        decibels -= 30 * (frequencies < random.uniform(100, 320))
    return np.fft.irfft(np.fft.rfft(sound) * 10 ** (decibels / 20), len(sound))


def _batch(data: list[Example], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random batch: mels (N, 32, T) with a little noise and tilt, and shapes (N, 6, T)."""
    chosen = [data[index] for index in random.integers(len(data), size=BATCH)]
    starts = [int(random.integers(len(example.mels) - CHUNK)) for example in chosen]
    cut = [slice(start, start + CHUNK) for start in starts]
    mels = torch.stack([example.mels[span] for example, span in zip(chosen, cut, strict=True)]).mT
    shapes = torch.stack([example.shapes[span] for example, span in zip(chosen, cut, strict=True)]).mT
    return mels + 0.15 * torch.randn_like(mels[..., :1]) + 0.08 * torch.randn_like(mels), shapes


def _loss(net: VisemeNet, batch: tuple[Tensor, Tensor]) -> Tensor:
    mels, shapes = batch
    error = net(mels) - shapes
    return error.square().mean() + VELOCITY_WEIGHT * error.diff(dim=-1).square().mean()


@torch.inference_mode()
def _correlations(net: VisemeNet, held: list[Example]) -> str:
    given = torch.cat([net(example.mels.T[None])[0] for example in held], -1)
    wanted = torch.cat([example.shapes for example in held]).T
    values = [np.corrcoef(*pair)[0, 1] for pair in zip(given.numpy(), wanted.numpy(), strict=True)]
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(SHAPES, values, strict=True))


def main() -> None:
    """Train one net and write it over the shipped one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", choices=RECIPES)
    recipe = RECIPES[parser.parse_args().net]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    save(train(recipe), recipe.path)


if __name__ == "__main__":
    main()
