"""Manifold projection: speech features of any voice onto those of one speaker, or lips onto those of one person.

Each feature is replaced by its least-squares reconstruction from its K nearest neighbours in a bank (locally linear
embedding; Roweis and Saul 2000; Lu, Chai and Cao 2021, "Live Speech Portraits", section 3.2). The bank must come
from the same encoder and layer as the features.
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
RIDGE = 1e-6  # of the neighbours' mean variance: regularises equal neighbours
BANK_LIMIT = 20_000  # features
QUERIES_AT_ONCE = 256

# Names of speech encoders in banks.
SADTALKER_ENCODER = "sadtalker"  # the audio encoder in SadTalker's ExpNet, 25 features a second
HUBERT_ENCODER = "hubert"  # the diffusion generator's own, 50 features a second
MEL_ENCODER = "mel"  # the built-in normalised mel spectrum, 100 features a second
APC_ENCODER = "apc"  # Live Speech Portraits' APC, 120 features a second


@dataclass(frozen=True, eq=False)
class SpeechBank:
    """Features of one speaker.

    Attributes:
        features: (N, C) float32.
        encoder: name of their encoder, which must equal that of projected features.
    """

    features: Tensor
    encoder: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or not len(self.features):
            raise ValueError(f"A bank is (features, channels); got shape {tuple(self.features.shape)}.")
        if not torch.isfinite(self.features).all():
            raise ValueError("The bank holds NaN or infinite values; build it again.")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bank as safetensors, atomically."""
        save_tensors(path, {"features": self.features}, {"format": FORMAT, "encoder": self.encoder})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SpeechBank":
        """A bank written by `save`, or Live Speech Portraits' APC_feature_base.npy of a person.

        Raises:
            ValueError: the file is missing, damaged or not a bank.
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
    """Projection of an encoder's features towards a speaker.

    Attributes:
        bank: the speaker.
        strength: 0 keeps the features … 1 replaces them by projected ones.
        neighbours: entries of the bank that each feature is reconstructed from, 1 or more.
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
        """Features (…, C) of an encoder, projected towards the speaker.

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
    """A bank of at most `limit` of the features (N, C), no two of them equal or nearer than `distance`.

    Args:
        features: of minutes of the speaker's voice.
        encoder: name of their encoder.
        distance: minimum Euclidean distance between two entries.
        limit: maximum number of entries, chosen at random when there are more.
        seed: of the random choice.
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
    """Features (T, C) projected towards the bank: (1 - strength) · own + strength · projected.

    Args:
        features: of the same encoder as the bank's.
        bank: the speaker.
        strength: 0 keeps the features, 1 replaces them.
        neighbours: K; 1 takes the nearest entry.
        ridge: see RIDGE; 0 fails for equal neighbours.

    Raises:
        ValueError: the number of channels is not the bank's, or the strength is outside 0 … 1.
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
    """Motion with its lips projected onto those of a person's clip, each measured from its own rest frame."""
    lips = list(LIPS)
    delta = (motion.expression - motion.rest.expression)[:, lips].flatten(1)
    own = (person.expression - person.rest.expression)[:, lips].flatten(1)
    near = project(delta, build_bank(own, "lips"), strength).unflatten(1, (len(LIPS), 3))
    expression = motion.expression.clone()
    expression[:, lips] = motion.rest.expression[lips] + near
    return MotionSequence(expression, motion.rotation, motion.scale, motion.translation, motion.fps, motion.rest)


def nearest(features: Tensor, bank: Tensor, neighbours: int) -> Tensor:
    """Indices (T, K) of the nearest entries of a bank (N, C), nearest first; K ≤ N."""
    # In float64: in float32 the expansion of the square reorders near ties.
    distances = torch.cdist(features.double(), bank.double())
    return distances.topk(min(neighbours, len(bank)), largest=False).indices


def combination(features: Tensor, around: Tensor, ridge: float = RIDGE) -> Tensor:
    """Weights (T, K), summing to one, that best reconstruct features (T, C) from neighbours (T, K, C).

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
