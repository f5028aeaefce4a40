"""Speech features of 16 kHz sound by HuBERT or wav2vec2, one vector per video frame.

The encoders give 50 frames a second, the denoisers take 25. Sources: Hsu et al. (2021), "HuBERT"; Baevski et al.
(2020), "wav2vec 2.0"; Sun et al. (2024), "DiffPoseTalk", section 3.2.
"""

import logging
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...lp_core.compute.compute import ON_CPU, Compute
from ...lp_core.compute.device import ModelPlacement, choose_dtype, place_permanently
from ...lp_core.compute.half_precision import keep_wrong_layers_single
from .settings import Halving, Level

SAMPLE_RATE = 16_000  # samples a second
FPS = 25  # video frames a second
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
UNIT = SAMPLES_PER_FRAME // 2  # samples per encoder frame
FIELD = 400  # samples, receptive field of the encoder's convolutions
WHOLE_SECONDS = 60  # longer sounds are encoded piecewise: attention's cost is quadratic in the length
CHUNK_FRAMES = 20 * FPS  # video frames of a piece
CONTEXT_FRAMES = 4 * FPS  # encoded on either side of a piece and discarded
CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)  # of every published encoder; no file records them
DIMENSIONS_PER_HEAD = 64  # likewise
WEIGHT_NORM_NAMES = (
    ("conv.weight_g", "conv.parametrizations.weight.original0"),
    ("conv.weight_v", "conv.parametrizations.weight.original1"),
)
WEIGHT_DIRECTIONS = WEIGHT_NORM_NAMES[1]

EncoderName = Literal["hubert", "wav2vec2"]

_log = logging.getLogger(__name__)


def pad_to_units(sound: Tensor) -> Tensor:
    """Sound (N, S) padded such that the encoder gives S / 320 frames, rounded down.

    The padding is 40 samples on either side when S is a multiple of 320: reflected twice, as in the training of the
    published networks. Check: 64000 samples become 64080, which give 200 frames.

    Raises:
        ValueError: the sound is too short to reflect.
    """
    samples = sound.shape[-1]
    units = samples // UNIT
    side = -(-(UNIT * units + FIELD - UNIT - samples) // 2)
    if side <= 0:
        return sound
    reflected, repeated = divmod(side, 2)
    if samples <= reflected:
        raise ValueError(f"The sound has {samples} samples; speech features need at least {reflected + 1}.")
    for _ in range(2):
        sound = F.pad(sound[:, None], (reflected, reflected), mode="reflect")[:, 0]
    return F.pad(sound[:, None], (repeated, repeated), mode="replicate")[:, 0]


def pair_mean(features: Tensor) -> Tensor:
    """Features (N, n, C) at 25 frames a second from (N, 2n, C) at 50: the mean of each pair.

    This equals linear interpolation by a factor of two (align_corners=False). An odd last frame is dropped.
    """
    even = features[:, : features.shape[1] // 2 * 2]
    return even.unflatten(1, (-1, 2)).mean(2)


def stretched(features: Tensor, frames: int) -> Tensor:
    """Features (N, frames, C) interpolated linearly from (N, m, C), with both ends fixed, as hazard-10 does."""
    return F.interpolate(features.mT, size=frames, mode="linear", align_corners=True).mT


def levelled(sound: Tensor) -> Tensor:
    """Sound (N, S) scaled to zero mean and unit (unbiased) deviation, as DiffPoseTalk normalises an utterance."""
    centred = sound - sound.mean(-1, keepdim=True)
    deviation = (centred.square().sum(-1, keepdim=True) / max(sound.shape[-1] - 1, 1)).sqrt()
    return centred / (deviation + 1e-5)


def levelled_window(sound: Tensor) -> Tensor:
    """Sound (N, S) scaled to zero mean and unit (biased) variance, as in Wav2Vec2's processor (hazard-10)."""
    variance = sound.var(-1, keepdim=True, unbiased=False)
    return (sound - sound.mean(-1, keepdim=True)) / torch.sqrt(variance + 1e-7)


def at_level(sound: Tensor, level: Level) -> Tensor:
    """Sound (N, S) normalised to a network's level."""
    if level == "as_is":
        return sound
    return levelled(sound) if level == "utterance" else levelled_window(sound)


def hearing_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of speech encoders, the only networks of the diffusion generator run in half precision.

    `auto` is fp16 on CUDA and fp32 elsewhere, also on CPUs that support bf16: there a seed gives bit-equal motion,
    which is worth more than the time saved.

    Raises:
        ValueError: as `choose_dtype`.
    """
    if precision == "auto" and device.type != "cuda":
        return torch.float32
    return choose_dtype(precision, device)


class SpeechEncoder:
    """A HuBERT or wav2vec2 encoder of 16 kHz sound.

    In half precision on a CPU, the layers that this CPU computes wrongly run in single precision.

    Args:
        network: an encoder of the transformers package.
        device: where it runs.
        placement: moves it there.
        dtype: of its weights and arithmetic; features are always float32.
    """

    def __init__(
        self,
        network: nn.Module,
        device: torch.device | str = "cpu",
        placement: ModelPlacement = place_permanently,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype or hearing_dtype("auto", self.device)
        self.network = network.eval().requires_grad_(False).to(self.dtype)
        if self.device.type == "cpu" and self.dtype != torch.float32:
            _mend_half_precision(self.network)
        self.ensure_loaded = placement(self.network, self.device)

    @torch.no_grad()
    def units(self, sound: Tensor) -> Tensor:
        """Last hidden state (N, S // 320, C) float32, 50 frames a second, of sound (N, S) encoded in one piece."""
        self.ensure_loaded(0)
        padded = pad_to_units(sound.float()).to(self.device, self.dtype)
        return self.handed_on(self.network(padded).last_hidden_state.float())

    def handed_on(self, units: Tensor) -> Tensor:
        """Units (N, T, C) as returned; subclasses override it to project them to a speaker."""
        return units

    def frames(self, sound: Tensor, halving: Halving = "pairs") -> Tensor:
        """Features (N, S // 640, C) float32, 25 frames a second, of sound (N, S) encoded in one piece.

        Raises:
            ValueError: the sound is shorter than one frame, 640 samples.
        """
        units = self._units_of_frames(sound)
        return pair_mean(units) if halving == "pairs" else stretched(units, units.shape[1] // 2)

    def utterance(self, sound: Tensor) -> Tensor:
        """Features as `frames` returns, of sound of any length."""
        return pair_mean(self.utterance_units(sound))

    def utterance_units(self, sound: Tensor) -> Tensor:
        """Units at twice the rate of `frames`; sound over a minute is encoded in overlapping pieces."""
        if sound.shape[-1] <= WHOLE_SECONDS * SAMPLE_RATE:
            return self._units_of_frames(sound)
        count = sound.shape[-1] // SAMPLES_PER_FRAME
        pieces = [self._piece(sound, start, count) for start in range(0, count, CHUNK_FRAMES)]
        return torch.cat(pieces, 1)

    def _units_of_frames(self, sound: Tensor) -> Tensor:
        whole = sound.shape[-1] // SAMPLES_PER_FRAME
        if not whole:
            raise ValueError(
                f"The sound has {sound.shape[-1]} samples; "
                f"speech features need at least {SAMPLES_PER_FRAME} (40 ms)."
            )
        # A remainder would stretch the other frames instead of adding one.
        return self.units(sound[:, : whole * SAMPLES_PER_FRAME])

    def _piece(self, sound: Tensor, start: int, count: int) -> Tensor:
        """Units of frames start … start + CHUNK_FRAMES of `count`, encoded with context on either side."""
        first, last = max(start - CONTEXT_FRAMES, 0), min(start + CHUNK_FRAMES + CONTEXT_FRAMES, count)
        units = self._units_of_frames(sound[:, first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME])
        return units[:, 2 * (start - first) : 2 * (start - first + CHUNK_FRAMES)]


def speech_encoder(
    tensors: Mapping[str, Tensor],
    name: EncoderName = "hubert",
    heads: int | None = None,
    compute: Compute = ON_CPU,
) -> SpeechEncoder:
    """A speech encoder from tensors under the names of transformers, with sizes from their shapes.

    Args:
        tensors: a checkpoint's own encoder, or a stock one (its leading "hubert." or "wav2vec2." is removed, and
            the parts for pre-training are left out).
        name: architecture; base-sized HuBERT and wav2vec2 compute the same from the same tensors.
        heads: attention heads; None is one per 64 dimensions.
        compute: device, placement and precision (see `hearing_dtype`).

    Raises:
        ValueError: the tensors are not of such an encoder.
    """
    from transformers import HubertConfig, HubertModel, Wav2Vec2Config, Wav2Vec2Model

    known = _encoder_tensors(tensors, name)
    sizes = _encoder_sizes(known, heads)
    # Fused attention, instead of the one that returns its weights.
    network = (
        HubertModel._from_config(HubertConfig(**sizes), attn_implementation="sdpa")
        if name == "hubert"
        else Wav2Vec2Model._from_config(Wav2Vec2Config(**sizes), attn_implementation="sdpa")
    )
    state = network.state_dict()
    problems = network.load_state_dict(
        {_weight_norm_key(key, state): value.float() for key, value in known.items()}, strict=False
    )
    # The embedding of masked frames is used in pre-training only, and some files lack it.
    missing = [key for key in problems.missing_keys if key != "masked_spec_embed"]
    if missing or problems.unexpected_keys:
        raise ValueError(f"The speech encoder lacks {missing[:4]} and has unknown {problems.unexpected_keys[:4]}.")
    dtype = hearing_dtype(compute.precision, compute.torch_device)
    return SpeechEncoder(network, compute.device, compute.placement, dtype)


def _mend_half_precision(network: nn.Module) -> None:
    """Run the layers that this CPU computes wrongly in half precision in single precision; log their names."""
    wrong = keep_wrong_layers_single(network)
    if wrong:
        _log.warning(
            "This CPU computes parts of the speech encoder wrongly in half precision; %s: in single precision.",
            ", ".join(wrong),
        )


def _encoder_tensors(tensors: Mapping[str, Tensor], name: EncoderName) -> dict[str, Tensor]:
    """The tensors of the encoder itself, without prefix."""
    plain = {key.removeprefix(f"{name}."): value for key, value in tensors.items()}
    parts = ("masked_spec_embed", "feature_extractor.", "feature_projection.", "encoder.")
    known = {key: value for key, value in plain.items() if key.startswith(parts)}
    if "feature_projection.projection.weight" not in known:
        found = ", ".join(sorted(tensors)[:4]) or "none"
        raise ValueError(
            f"These {len(tensors)} tensors ({found} …) are no HuBERT or wav2vec2 in transformers' names."
        )
    return known


def _encoder_sizes(tensors: Mapping[str, Tensor], heads: int | None) -> dict[str, Any]:
    """Keyword arguments of a transformers configuration."""
    convolutions = [tensors[f"feature_extractor.conv_layers.{i}.conv.weight"] for i in range(len(CONV_STRIDES))]
    hidden = tensors["feature_projection.projection.weight"].shape[0]
    position = next(value for key, value in tensors.items() if key.endswith(WEIGHT_DIRECTIONS))
    # A norm in the second convolution marks the large kind, which also has pre-norm layers.
    large = "feature_extractor.conv_layers.1.layer_norm.weight" in tensors
    return {
        "hidden_size": hidden,
        "num_hidden_layers": len({key.split(".")[2] for key in tensors if key.startswith("encoder.layers.")}),
        "num_attention_heads": heads or max(hidden // DIMENSIONS_PER_HEAD, 1),
        "intermediate_size": tensors["encoder.layers.0.feed_forward.intermediate_dense.bias"].shape[0],
        "conv_dim": tuple(weight.shape[0] for weight in convolutions),
        "conv_kernel": tuple(weight.shape[2] for weight in convolutions),
        "conv_stride": CONV_STRIDES,
        "conv_bias": "feature_extractor.conv_layers.0.conv.bias" in tensors,
        "num_conv_pos_embeddings": position.shape[2],
        "num_conv_pos_embedding_groups": hidden // position.shape[1],
        "feat_extract_norm": "layer" if large else "group",
        "do_stable_layer_norm": large,
    }


def _weight_norm_key(key: str, state: Mapping[str, Tensor]) -> str:
    """The positional convolution's key in this version of torch."""
    for old, new in WEIGHT_NORM_NAMES:
        for given, other in ((old, new), (new, old)):
            if key.endswith(given) and key not in state:
                return key.removesuffix(given) + other
    return key
