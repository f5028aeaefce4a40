"""A speaker's manifold: features of any voice brought near those of one speaker, or lips near those of one person.

Each feature is replaced by the combination of its K nearest neighbours in a bank that comes nearest to it (locally
linear embedding; Roweis and Saul 2000; Lu, Chai and Cao 2021, "Live Speech Portraits", section 3.2). The bank must
come from the same encoder and layer as the features.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...lp_core.media.tensor_files import save_tensors
from ...lp_core.motion.keypoints import LIPS
from ...lp_core.motion.sequence import MotionSequence

FORMAT = "talking-head speech bank 1"
NEIGHBOURS = 10
RIDGE = 1e-6  # of the mean variance among the neighbours: solvable where the bank repeats itself
BANK_LIMIT = 20_000  # features
QUERIES_AT_ONCE = 256

# What speech encoders are called in banks.
SADTALKER_ENCODER = "sadtalker"  # the audio encoder in SadTalker's ExpNet, 25 features a second
HUBERT_ENCODER = "hubert"  # the diffusion generator's own, 50 features a second
MEL_ENCODER = "mel"  # the built-in normalised mel spectrum, 100 features a second
APC_ENCODER = "apc"  # Live Speech Portraits' APC, 120 features a second


@dataclass(frozen=True, eq=False)
class SpeechBank:
    """What one speaker sounds, or looks, like.

    Attributes:
        features: (N, C) float32.
        encoder: what made them, as text that must be equal to the text of what is projected.
    """

    features: Tensor
    encoder: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not len(self.features):
            raise ValueError(f"A bank is (features, channels); got shape {tuple(self.features.shape)}.")
        if not torch.isfinite(self.features).all():
            raise ValueError("The bank holds NaN or infinite values; build it again.")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bank as safetensors, whole or not at all."""
        save_tensors(path, {"features": self.features}, {"format": FORMAT, "encoder": self.encoder})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SpeechBank":
        """A bank that `save` wrote, or Live Speech Portraits' APC_feature_base.npy of a person.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        from safetensors import SafetensorError, safe_open

        if Path(path).suffix == ".npy":
            return cls(_numpy_features(path), APC_ENCODER)
        try:
            with safe_open(Path(path), framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ValueError(f"{path} is no speech bank of this pack; build one from the speaker's voice.")
                return cls(file.get_tensor("features").float(), metadata.get("encoder", ""))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"Cannot read the speech bank {path}: {error}.") from error


@dataclass(frozen=True, eq=False)
class Projection:
    """How near a voice is brought to a speaker, between any encoder and what it drives.

    Attributes:
        bank: the speaker.
        strength: 0 leaves the voice as it is … 1 says it wholly in the speaker's sounds.
        neighbours: entries of the bank that each feature is put together from, 1 or more.
    """

    bank: SpeechBank
    strength: float = 1.0
    neighbours: int = NEIGHBOURS

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"The speaker's strength is {self.strength}; give 0 … 1.")
        if self.neighbours < 1:
            raise ValueError(f"The neighbours are {self.neighbours}; give 1 or more, 10 is usual.")

    def of(self, features: Tensor, encoder: str) -> Tensor:
        """Features (…, C) of an encoder brought to the speaker.

        Raises:
            ValueError: the bank was built with another encoder.
        """
        if self.strength == 0:
            return features
        if encoder != self.bank.encoder:
            raise ValueError(
                f"The speech bank was built with the encoder {self.bank.encoder!r}, but this motion hears the "
                f"voice through {encoder!r}; build the bank with that one."
            )
        flat = features.reshape(-1, features.shape[-1]).cpu()
        return project(flat, self.bank, self.strength, self.neighbours).view(features.shape).to(features.device)


def build_bank(
    features: Tensor, encoder: str, distance: float = 0.0, limit: int = BANK_LIMIT, seed: int = 0
) -> SpeechBank:
    """A bank of at most `limit` features (N, C), no two of them nearer than `distance` or equal to each other.

    Args:
        features: of the speaker's voice; minutes of it.
        encoder: what made them.
        distance: least Euclidean distance between two entries.
        limit: entries at most; chosen at random when there are more.
        seed: of that choice.
    """
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    kept = torch.empty_like(features[: min(limit, len(features))])
    count = 0
    for feature in features[order]:
        if count == len(kept):
            break
        if not count or (kept[:count] - feature).norm(dim=-1).min() > distance:
            kept[count] = feature
            count += 1
    return SpeechBank(kept[:count].clone(), encoder)


def project(
    features: Tensor,
    bank: SpeechBank,
    strength: float = 1.0,
    neighbours: int = NEIGHBOURS,
    ridge: float = RIDGE,
) -> Tensor:
    """Features (T, C) brought towards the bank: (1 - strength) · own + strength · projected.

    Args:
        features: of the same encoder as the bank's.
        bank: the speaker.
        strength: 0 keeps the features, 1 replaces them.
        neighbours: K; 1 takes the nearest entry as it is.
        ridge: see RIDGE; 0 fails where neighbours are equal.

    Raises:
        ValueError: another number of channels than the bank's, or a strength outside 0 … 1.
    """
    if features.shape[-1] != bank.features.shape[-1]:
        raise ValueError(
            f"The features have {features.shape[-1]} channels and the bank ({bank.encoder}) "
            f"{bank.features.shape[-1]}; build the bank with the same encoder."
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"The strength is {strength}; give 0 … 1.")
    parts = features.split(QUERIES_AT_ONCE)
    projected = torch.cat([_projected(part, bank.features, neighbours, ridge) for part in parts])
    return torch.lerp(features, projected, strength)


def project_lips(motion: MotionSequence, person: MotionSequence, strength: float = 1.0) -> MotionSequence:
    """Motion whose lips take shapes that a person's own clip has: both measured from their rest frames."""
    lips = list(LIPS)
    delta = (motion.expression - motion.rest.expression)[:, lips].flatten(1)
    own = (person.expression - person.rest.expression)[:, lips].flatten(1)
    near = project(delta, build_bank(own, "lips"), strength).unflatten(1, (len(LIPS), 3))
    expression = motion.expression.clone()
    expression[:, lips] = motion.rest.expression[lips] + near
    return MotionSequence(expression, motion.rotation, motion.scale, motion.translation, motion.fps, motion.rest)


def nearest(features: Tensor, bank: Tensor, neighbours: int) -> Tensor:
    """Indices (T, K) of the nearest entries of a bank (N, C), nearest first; K is N at most."""
    # In float64: in float32 the expansion of the square swaps near ties.
    distances = torch.cdist(features.double(), bank.double())
    return distances.topk(min(neighbours, len(bank)), largest=False).indices


def combination(features: Tensor, around: Tensor, ridge: float = RIDGE) -> Tensor:
    """Weights (T, K) of sum one with which neighbours (T, K, C) come nearest to features (T, C).

    w_2..K solve (AᵀA + ridge · tr(AᵀA) / (K - 1)) w = Aᵀ(h - f_1) with A = [f_k - f_1]; w_1 = 1 - Σ w. They may be
    negative.
    """
    first = around[:, :1].double()
    sides = around[:, 1:].double() - first
    gram = sides @ sides.mT
    count = gram.shape[-1]
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1) / max(count, 1)
    damped = gram + (ridge * trace + torch.finfo(torch.float32).tiny)[:, None, None] * torch.eye(count)
    others = torch.linalg.solve(damped, (sides @ (features.double()[:, None] - first).mT))[..., 0]
    return torch.cat([1 - others.sum(-1, keepdim=True), others], -1)


def _numpy_features(path: str | os.PathLike[str]) -> Tensor:
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False).astype(np.float32))
    except (OSError, ValueError) as error:
        raise ValueError(f"Cannot read the speech bank {path}: {error}.") from error


def _projected(features: Tensor, bank: Tensor, neighbours: int, ridge: float) -> Tensor:
    around = bank[nearest(features, bank, neighbours)]
    if around.shape[1] == 1:
        return around[:, 0]
    weights = combination(features, around, ridge)
    return (weights[:, None] @ around.double())[:, 0].to(features)
