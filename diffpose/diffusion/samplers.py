"""Samplers of diffusion networks: guidance, ancestral and implicit (DDIM) sampling.

Symbols as in the papers: x_t noisy motion at step t, x̂_0 predicted clean motion, ε noise, z fresh noise, ᾱ_t share
of the signal's variance, σ_t standard deviation of the fresh noise, η share of it that DDIM keeps. All arithmetic
on the motion is float32 with float64 coefficients, whatever the network's precision.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Protocol

import torch
from torch import Tensor

from ...lp_core.options import check_options, option
from .denoiser import Condition
from .schedule import Schedule

Network = Callable[[Tensor, int], Tensor]
NoiseSource = Callable[[], Tensor]
GuidanceMode = Literal["incremental", "independent", "independent_compat"]
GUIDANCE_MODES = ("incremental", "independent", "independent_compat")
SampleMethod = Literal["ancestral", "ddim"]
METHODS = ("ancestral", "ddim")
STYLE_GUIDANCE = 1.0  # the scale of a style when none is given


@dataclass(frozen=True)
class DynamicThreshold:
    """Clamps each prediction to a quantile of its magnitude (Saharia et al. 2022, section 2.3, without rescaling).

    Attributes:
        quantile: 0 … 1, of |prediction| over the window.
        least: the limit is never below this.
        most: the limit is never above this.
    """

    quantile: float = 0.99
    least: float = 1.0
    most: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.quantile <= 1:
            raise ValueError(f"The threshold's quantile must lie in 0 … 1; got {self.quantile}.")
        if not 0 <= self.least <= self.most:
            raise ValueError(f"The threshold's limits must be 0 ≤ least ≤ most; got {self.least} and {self.most}.")

    def apply(self, prediction: Tensor) -> Tensor:
        """The prediction (B, L, d), each of the B clamped to its own limit."""
        size = prediction.abs().flatten(1).quantile(self.quantile, dim=1)
        limit = size.clamp(self.least, self.most)[:, None, None]
        return prediction.clamp(-limit, limit)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance: a scale for each condition.

    A scale of 1 is the plain conditional prediction; None leaves a condition unguided (it is then never dropped).

    Attributes:
        mode: "incremental" adds style on top of audio, "independent" measures each from the unconditional
            prediction, and "independent_compat" is DiffPoseTalk's mode of that name (each scale starts from the
            result of the previous one).
        threshold: limits every prediction before they are combined; None is off.
    """

    audio: float | None = option(
        2.0,
        "Scale of the diffusion generator's guidance by the voice: 1 is the plain prediction; higher values "
        "exaggerate.",
        minimum=0.0,
        maximum=10.0,
        step=0.1,
        label="audio guidance",
        optional=True,
    )
    style: float | None = option(
        None,
        "Scale of the diffusion generator's guidance by a learned style; multiplied by the style's strength.",
        minimum=0.0,
        maximum=10.0,
        step=0.1,
        label="style guidance",
        optional=True,
    )
    mode: GuidanceMode = option(  # noqa: RUF009 makes a dataclasses.field
        "incremental",
        "How the scales of two conditions are combined.",
        choices=GUIDANCE_MODES,
        label="guidance mode",
    )
    threshold: DynamicThreshold | None = None

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def scales(self) -> tuple[tuple[Condition, float], ...]:
        """The guided conditions with their scales, in the order they are added."""
        pairs: tuple[tuple[Condition, float | None], ...] = (("audio", self.audio), ("style", self.style))
        return tuple((name, scale) for name, scale in pairs if scale is not None)

    def dropped(self) -> tuple[frozenset[Condition], ...]:
        """The conditions dropped in each evaluation of the network; the first drops all that are guided."""
        names: list[Condition] = [name for name, _ in self.scales]
        everything: frozenset[Condition] = frozenset(names)
        if self.mode == "incremental":
            return tuple(frozenset(names[count:]) for count in range(len(names) + 1))
        return (everything, *(frozenset(other for other in names if other != name) for name in names))

    def combine(self, entries: Tensor) -> Tensor:
        """The guided prediction (N, L, d) from those of the entries of `dropped`, (entries, N, L, d).

        Source: Ho & Salimans (2022), equation 6; Sun et al. (2024), section 3.4, for two conditions.
        """
        guided = entries[0]
        for index, (_, scale) in enumerate(self.scales, start=1):
            base = {
                "incremental": entries[index - 1],
                "independent": entries[0],
                "independent_compat": guided,
            }[self.mode]
            guided = guided + scale * (entries[index] - base)
        return guided


@dataclass(frozen=True, eq=False)
class Prediction:
    """A network's prediction at one step.

    Attributes:
        guided: (N, L, d) float32.
        unconditional: (N, L, d) float32, with every guided condition dropped.
    """

    guided: Tensor
    unconditional: Tensor


class Predictor(Protocol):
    """Predicts clean motion (N, L, d) from noisy motion at step t."""

    def __call__(self, motion: Tensor, step: int) -> Prediction:
        """The prediction at diffusion step `step`."""
        ...


def guided(network: Network, guidance: Guidance) -> Predictor:
    """A predictor that evaluates all entries of `guidance.dropped()` as one batch and combines them.

    The network takes motion (entries · N, L, d) and the step; see Denoiser.window and Denoiser.new_frames.
    """
    count = len(guidance.dropped())

    def predict(motion: Tensor, step: int) -> Prediction:
        entries = network(motion.repeat(count, 1, 1), step).float()
        if guidance.threshold is not None:
            entries = guidance.threshold.apply(entries)
        entries = entries.unflatten(0, (count, -1))
        return Prediction(guidance.combine(entries), entries[0])

    return predict


def clean_from_noise(predictor: Predictor, schedule: Schedule) -> Predictor:
    """A predictor of clean motion from one of noise: x̂_0 = (x_t - √(1-ᾱ_t) ε̂) / √ᾱ_t."""

    def predict(motion: Tensor, step: int) -> Prediction:
        signal = schedule.alpha_bars[step].item()
        noise = predictor(motion, step)

        def clean(epsilon: Tensor) -> Tensor:
            return (motion - math.sqrt(1 - signal) * epsilon) / math.sqrt(signal)

        return Prediction(clean(noise.guided), clean(noise.unconditional))

    return predict


@dataclass(frozen=True)
class SampleOptions:
    """Options of sampling motion from noise.

    Attributes:
        guidance: classifier-free guidance.
    """

    method: SampleMethod = option(  # noqa: RUF009 makes a dataclasses.field
        "ddim", "ancestral visits every step; ddim may skip.", choices=METHODS, label="sampling method"
    )
    steps: int | None = option(
        10,
        "Denoising steps of the diffusion generator: 10 is fast, 50 gives finer motion; limited to the number it "
        "was trained with.",
        minimum=1,
        maximum=1000,
        label="number of steps",
        optional=True,
    )
    eta: float = option(
        1.0, "Share of fresh noise in DDIM: 0 none, 1 as much as ancestral sampling.", minimum=0.0, maximum=1.0
    )
    flexibility: float = option(
        0.0,
        "Ancestral noise between the posterior's deviation (0) and the square root of β (1).",
        minimum=0.0,
        maximum=1.0,
    )
    start_step: int | None = option(
        None,
        "Begins at this step instead of the last one, from unit noise all the same (hazard-10).",
        minimum=1,
        optional=True,
    )
    guidance: Guidance = Guidance()

    def __post_init__(self) -> None:
        check_options(self)
        if self.method == "ancestral" and self.steps is not None:
            raise ValueError("Ancestral sampling visits every step: leave steps empty or choose ddim.")

    def guided_by_style(self, scale: float | None) -> "SampleOptions":
        """The same options with another scale of the style; None for a network without a style input."""
        return replace(self, guidance=replace(self.guidance, style=scale))

    def times(self, schedule: Schedule) -> tuple[int, ...]:
        """The diffusion steps visited, descending to 0 (clean); at most one per step of training."""
        start = min(self.start_step or schedule.steps, schedule.steps)
        return respaced(start, min(self.steps or start, start))


@dataclass(frozen=True, eq=False)
class DenoisingState:
    """State of sampling after one step.

    Attributes:
        step: t of `motion`; 0 is clean.
        motion: (N, L, d) x_t.
        prediction: the network's prediction from which `motion` was computed.
    """

    step: int
    motion: Tensor
    prediction: Prediction


def respaced(start: int, count: int) -> tuple[int, ...]:
    """`count` + 1 evenly spaced steps from `start` down to 0, rounded towards clean motion as in DDIM.

    Check: respaced(1000, 2) == (1000, 500, 0).
    """
    return tuple(start * index // count for index in range(count, -1, -1))


def walk(
    predictor: Predictor, noise: Tensor, draw: NoiseSource, schedule: Schedule, options: SampleOptions
) -> Iterator[DenoisingState]:
    """States of denoising `noise` (N, L, d), one per step; the last one holds the motion.

    Args:
        predictor: predicts clean motion (see guided, clean_from_noise).
        noise: x at the first step.
        draw: source of fresh noise of the same shape; called once per step except the last.
        schedule: noise schedule of the network's training.
        options: method, steps and fresh noise.
    """
    times = options.times(schedule)
    motion = noise
    for step, following in pairwise(times):
        prediction = predictor(motion, step)
        mean, sigma = _move(motion, prediction.guided, schedule, step, following, options)
        motion = mean + sigma * draw().to(mean) if following else mean
        yield DenoisingState(following, motion, prediction)


def sample(
    predictor: Predictor, noise: Tensor, draw: NoiseSource, schedule: Schedule, options: SampleOptions
) -> Tensor:
    """The motion (N, L, d) at the end of `walk`."""
    return arrived(predictor, noise, draw, schedule, options).motion


def arrived(
    predictor: Predictor, noise: Tensor, draw: NoiseSource, schedule: Schedule, options: SampleOptions
) -> DenoisingState:
    """The last state of `walk`."""
    *_, last = walk(predictor, noise, draw, schedule, options)
    return last


def _move(
    motion: Tensor, clean: Tensor, schedule: Schedule, step: int, following: int, options: SampleOptions
) -> tuple[Tensor, float]:
    """Mean and standard deviation of x at `following`, given x at `step` and the predicted clean motion."""
    if options.method == "ancestral":
        return _posterior(motion, clean, schedule, step), schedule.sigma(step, options.flexibility)
    return _implicit(motion, clean, schedule, step, following, options.eta)


def _posterior(motion: Tensor, clean: Tensor, schedule: Schedule, step: int) -> Tensor:
    """Mean of q(x_{t-1} | x_t, x̂_0): Ho et al. (2020), equation 7."""
    beta, bar, before = (
        value.item() for value in (schedule.betas[step], schedule.alpha_bars[step], schedule.alpha_bars[step - 1])
    )
    return math.sqrt(1 - beta) * (1 - before) / (1 - bar) * motion + math.sqrt(before) * beta / (1 - bar) * clean


def _implicit(
    motion: Tensor, clean: Tensor, schedule: Schedule, step: int, following: int, eta: float
) -> tuple[Tensor, float]:
    """Mean and standard deviation of DDIM's step: Song et al. (2021), equations 12 and 16."""
    bar, after = schedule.alpha_bars[step].item(), schedule.alpha_bars[following].item()
    epsilon = (motion - math.sqrt(bar) * clean) / math.sqrt(1 - bar)
    variance = eta**2 * (1 - after) / (1 - bar) * (1 - bar / after)
    # Rounding may make the difference negative when nearly all noise is fresh.
    direction = math.sqrt(max(1 - after - variance, 0.0))
    return math.sqrt(after) * clean + direction * epsilon, math.sqrt(variance)


def seeded_noise(seed: int, shape: Sequence[int]) -> NoiseSource:
    """Source of standard normal draws of one shape, made on the CPU: a seed gives the same on every device."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return lambda: torch.randn(*shape, generator=generator)
