"""Noise schedules: the share of clean motion at each diffusion step."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ScheduleName = Literal["cosine", "linear", "quadratic", "sigmoid", "ditto"]
SCHEDULE_NAMES = ("cosine", "linear", "quadratic", "sigmoid", "ditto")
COSINE_OFFSET = 0.008  # Nichol & Dhariwal (2021), section 3.2
FIRST_BETA, LAST_BETA = 1e-4, 0.02  # Ho et al. (2020), section 4
LARGEST_BETA = 0.999


@dataclass(frozen=True, eq=False)
class Schedule:
    """Constants of the forward process x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε for steps t = 1 … T.

    Attributes:
        betas: (T+1,) float64, β_t; entry 0 is 0.
        alpha_bars: (T+1,) float64, ᾱ_t = Π (1-β); entry 0 is 1: clean motion.
    """

    betas: Tensor
    alpha_bars: Tensor

    @classmethod
    def from_betas(cls, betas: Tensor) -> "Schedule":
        """The schedule with the given β_1 … β_T, shape (T,)."""
        padded = torch.cat((torch.zeros(1, dtype=torch.float64), betas.detach().cpu().double()))
        return cls(padded, torch.exp(torch.log1p(-padded).cumsum(0)))

    @classmethod
    def named(cls, name: ScheduleName, steps: int) -> "Schedule":
        """A schedule by its published name.

        Raises:
            ValueError: an unknown name, or fewer than one step.
        """
        if steps < 1:
            raise ValueError(f"A diffusion schedule needs at least one step; got {steps}.")
        if name not in SCHEDULE_NAMES:
            raise ValueError(f"Unknown diffusion schedule {name!r}; known are {', '.join(SCHEDULE_NAMES)}.")
        return cls.from_betas(_betas(name, steps))

    @property
    def steps(self) -> int:
        """T, the number of diffusion steps of training."""
        return len(self.betas) - 1

    def sigma(self, step: int, flexibility: float = 0.0) -> float:
        """Standard deviation of the noise that ancestral sampling adds at `step`.

        Flexibility 0 gives the posterior's √(β_t (1-ᾱ_{t-1}) / (1-ᾱ_t)), 1 gives √β_t.
        """
        beta = self.betas[step].item()
        posterior = math.sqrt(beta * (1 - self.alpha_bars[step - 1].item()) / (1 - self.alpha_bars[step].item()))
        return flexibility * math.sqrt(beta) + (1 - flexibility) * posterior


def _betas(name: ScheduleName, steps: int) -> Tensor:
    """β_1 … β_T in float64."""
    if name == "linear":
        return torch.linspace(FIRST_BETA, LAST_BETA, steps, dtype=torch.float64)
    if name == "quadratic":
        return torch.linspace(FIRST_BETA**0.5, LAST_BETA**0.5, steps, dtype=torch.float64) ** 2
    if name == "sigmoid":
        ramp = torch.linspace(-5, 5, steps, dtype=torch.float64).sigmoid()
        return ramp * (LAST_BETA - FIRST_BETA) + FIRST_BETA
    # DiffPoseTalk clips the cosine schedule's betas to at least 1e-4, Ditto does not.
    return _cosine_betas(steps, least=0.0 if name == "ditto" else FIRST_BETA)


def _cosine_betas(steps: int, least: float) -> Tensor:
    """β_1 … β_T of Nichol & Dhariwal (2021), equation 17, clipped to least … 0.999."""
    phase = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    left = torch.cos((phase + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2
    return (1 - left[1:] / left[:-1]).clamp(least, LARGEST_BETA)
