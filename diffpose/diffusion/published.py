"""Published networks of four projects: identified by their keys, sized by their tensors, renamed to our names."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ...lp_core.liveportrait.checkpoint import CheckpointError
from ..container import CONFIG_NAME, Arguments, Container
from ..speech.encoder import DIMENSIONS_PER_HEAD
from ..speech.settings import Level, SpeechSettings
from .card import DenoiserKind, DiffusionCard, Kind
from .denoiser import DenoiserLayout, TokenLayout
from .schedule import Schedule
from .style_encoder import StyleEncoderLayout

DEFAULT_HEADS = 8
SUPPORTED = (
    "JoyVASA's motion generator (.pt), DiffPoseTalk's denoisers and style encoders (.pt), hazard-10's "
    f"DiffLiveHead (with its {CONFIG_NAME} beside it), Ditto's LMDM (.pth), and files that this pack converted "
    "(.safetensors)"
)
ENCODER_PREFIX = "audio_encoder."
# Key parts of the published files and their names here; applied in this order.
RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\bself_attn\b", "self_attention"),
        (r"\bmultihead_attn\b", "cross_attention"),
        (r"\bin_proj_(weight|bias)\b", r"in_proj.\1"),
        (r"\blinear1\b", "feed_forward.0"),
        (r"\blinear2\b", "feed_forward.2"),
        (r"^denoising_net\.", ""),
        (r"^transformer\.layers\b", "layers"),
        (r"^(start_audio|start_motion|null_audio|null_style)_feat$", r"\1"),
        (r"^audio_feature_map\b", "audio_map"),
        (r"^PE$", "position"),
        (r"^diff_step_map\b", "time_map"),
        (r"^feature_proj\b", "frame_map"),
        (r"^motion_dec\b", "head"),
        (r"^shape_proj\b", "token_maps.shape"),
        (r"^mouth_open_ratio_proj\b", "token_maps.mouth_open_ratio"),
        (r"^mean_exp_proj\b", "token_maps.mean_expression"),
        (r"^motion_proj\b", "motion_map"),
        (r"^null_cond_embed$", "null_condition"),
        (r"^null_cond_hidden$", "null_pooled"),
        (r"^time_mlp\.1\b", "time_map.0"),
        (r"^to_time_cond\.0\b", "time_vector"),
        (r"^to_time_tokens\.0\b", "time_tokens"),
        (r"^norm_cond\b", "memory_norm"),
        (r"^input_projection\b", "input_map"),
        (r"^cond_encoder\b", "condition_layers"),
        (r"^cond_projection\b", "condition_map"),
        (r"^non_attn_cond_projection\b", "pooled_map"),
        (r"^seqTransDecoder\.stack\b", "layers"),
        (r"\bfilm1\.block\.1\b", "film.0.project"),
        (r"\bfilm2\.block\.1\b", "film.1.project"),
        (r"\bfilm3\.block\.1\b", "film.2.project"),
        (r"^final_layer\b", "head"),
    )
)
# Tables and masks, which are computed here instead.
COMPUTED = re.compile(r"(\.pe|alignment_mask|\.freqs)$|^diffusion_sched\.")
LEVELS: dict[DenoiserKind, Level] = {"joyvasa": "as_is", "diffposetalk": "utterance", "difflivehead": "window"}
KIND_SIGNS: tuple[tuple[str, Kind], ...] = (
    ("denoising_net.person_proj.weight", "diffposetalk"),
    ("denoising_net.shape_proj.weight", "difflivehead"),
    ("denoising_net.mouth_open_ratio_proj.weight", "difflivehead"),
    ("denoising_net.mean_exp_proj.weight", "difflivehead"),
    ("denoising_net.feature_proj.weight", "joyvasa"),
    ("motion_proj.weight", "style_encoder"),
    ("seqTransDecoder.stack.0.self_attn.in_proj_weight", "ditto"),
)


def published_kind(container: Container) -> Kind:
    """The kind of network that a published checkpoint holds.

    Raises:
        CheckpointError: an unknown network; the message names what was found and what is supported.
    """
    for key, kind in KIND_SIGNS:
        if key in container.tensors:
            return kind
    found = ", ".join(sorted(container.tensors)[:5]) or "none"
    raise CheckpointError(
        f"{container.path} is no supported checkpoint: it holds {len(container.tensors)} tensors ({found} …). "
        f"Supported are {SUPPORTED}."
    )


def diffusion_card(container: Container, kind: DenoiserKind) -> DiffusionCard:
    """The card of a published denoiser."""
    return DiffusionCard(
        kind=kind,
        layout=_denoiser_layout(container, canonical(container.tensors), kind),
        target="noise" if container.arguments.get("target") == "noise" else "sample",
        speech=_speech(container.arguments, kind, encoder_tensors(container)),
    )


def encoder_tensors(container: Container) -> dict[str, Tensor]:
    """The speech encoder's tensors in a checkpoint, under the names of transformers; empty when there is none."""
    prefix = ENCODER_PREFIX
    return {key.removeprefix(prefix): value for key, value in container.tensors.items() if key.startswith(prefix)}


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a published network under the names of this package, without tables and masks.

    DiffPoseTalk's one projection of [shape ; style] becomes two, the second without a bias: the sum is the same.
    """
    named = {}
    for key, tensor in tensors.items():
        if key.startswith(ENCODER_PREFIX) or COMPUTED.search(key):
            continue
        for pattern, name in RENAMED:
            key = pattern.sub(name, key)
        named[key] = tensor
    if "person_proj.weight" in named:
        named |= _split_person(named)
    return {key: tensor for key, tensor in named.items() if not key.startswith("person_proj.")}


def _split_person(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weight, bias = named["person_proj.weight"], named["person_proj.bias"]
    style = _style_dims(named)
    shape = weight.shape[1] - style
    parts = {"token_maps.shape.weight": weight[:, :shape].contiguous(), "token_maps.shape.bias": bias}
    if style:
        parts["token_maps.style.weight"] = weight[:, shape:].contiguous()
        parts["token_maps.style.bias"] = torch.zeros_like(bias)
    return parts


def _style_dims(named: Mapping[str, Tensor]) -> int:
    return named["null_style"].shape[-1] if "null_style" in named else 0


def _denoiser_layout(container: Container, named: Mapping[str, Tensor], kind: DenoiserKind) -> DenoiserLayout:
    """The layout: sizes from the tensors, the rest from the training settings."""
    arguments = container.arguments
    if arguments.get("use_repeat_token"):
        raise CheckpointError("This DiffLiveHead was trained with a repeat token, which is not supported.")
    dims = named["head.2.weight"].shape[0]
    context = _context_frames(named, arguments)
    return DenoiserLayout(
        motion_dims=dims,
        audio_dims=named["audio_map.weight"].shape[1],
        width=named["frame_map.weight"].shape[0],
        layers=layer_count(named, "layers."),
        new_frames=_new_frames(container, named, context),
        context_frames=context,
        position="learnable" if "position" in named else "legacy",
        time_on="frames" if kind == "joyvasa" else "token",
        token=_token_layout(named),
        indicator=named["frame_map.weight"].shape[1] > dims,
        mask_width=_mask_width(container, kind),
        start_tokens="start_motion" in named,
        heads=_heads(arguments, kind),
        feed_forward=named["layers.0.feed_forward.0.weight"].shape[0] // named["frame_map.weight"].shape[0],
    )


def _context_frames(named: Mapping[str, Tensor], arguments: Arguments) -> int:
    if "start_motion" in named:
        return named["start_motion"].shape[1]
    return _integer(arguments, "n_prev_motions", 10)


def _new_frames(container: Container, named: Mapping[str, Tensor], context: int) -> int:
    mask = container.tensors.get("denoising_net.alignment_mask")
    if mask is not None:
        return mask.shape[1] - context
    if "position" in named:
        return named["position"].shape[1] - 1 - context
    return _integer(container.arguments, "n_motions", 100)


def _mask_width(container: Container, kind: DenoiserKind) -> int:
    mask = container.tensors.get("denoising_net.alignment_mask")
    if mask is not None:
        # The last frame sees itself and width - 1 frames before it.
        return int((~mask[-1].bool()).sum())
    if kind != "diffposetalk":
        return 1
    arguments = container.arguments
    return _integer(arguments, "align_mask_width", int(bool(arguments.get("use_alignment_mask"))))


def _token_layout(named: Mapping[str, Tensor]) -> TokenLayout:
    sizes = {
        name: named[key].shape[1] for name in vars(TokenLayout()) if (key := f"token_maps.{name}.weight") in named
    }
    return TokenLayout(**sizes)


def _heads(arguments: Arguments, kind: DenoiserKind) -> int:
    """Attention heads; always eight for JoyVASA, which ignores the number in its own settings."""
    if kind == "joyvasa":
        return DEFAULT_HEADS
    name = "num_attention_heads" if kind == "difflivehead" else "n_heads"
    return _integer(arguments, name, DEFAULT_HEADS)


def _speech(arguments: Arguments, kind: DenoiserKind, encoder: Mapping[str, Tensor]) -> SpeechSettings:
    wave = "wav2vec2" if kind == "difflivehead" or "wav2vec2" in str(arguments.get("audio_model")) else "hubert"
    return SpeechSettings(
        encoder=wave,
        heads=_encoder_heads(encoder) if encoder else 0,
        level=LEVELS[kind],
        scope="utterance" if kind == "diffposetalk" else "window",
        padding="replicate" if arguments.get("pad_mode") == "replicate" else "zero",
        halving="ends" if kind == "difflivehead" else "pairs",
    )


def _encoder_heads(encoder: Mapping[str, Tensor]) -> int:
    """Attention heads of a HuBERT or wav2vec2; all published ones have 64 dimensions per head."""
    return max(encoder["feature_projection.projection.bias"].shape[0] // DIMENSIONS_PER_HEAD, 1)


def noise_betas(container: Container) -> Tensor:
    """β_1 … β_T (T,): the saved ones, else those of the schedule named in the settings."""
    saved = container.tensors.get("diffusion_sched.betas")
    if saved is not None:
        return saved[1:]
    name = str(container.arguments.get("diff_schedule") or "cosine")
    return Schedule.named(name, _integer(container.arguments, "n_diff_steps", 500)).betas[1:]  # type: ignore[arg-type]


def style_layout(container: Container) -> StyleEncoderLayout:
    """Sizes of a published style encoder."""
    tensors = container.tensors
    return StyleEncoderLayout(
        motion_dims=tensors["motion_proj.weight"].shape[1],
        width=tensors["motion_proj.weight"].shape[0],
        layers=layer_count(tensors, "transformer.layers."),
        frames=_integer(container.arguments, "n_motions", 100),
        heads=_integer(container.arguments, "n_heads", 4),
        feed_forward=tensors["transformer.layers.0.linear1.weight"].shape[0]
        // tensors["motion_proj.weight"].shape[0],
    )


def layer_count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Number of numbered modules under a prefix such as "layers."."""
    return len({key.removeprefix(prefix).partition(".")[0] for key in tensors if key.startswith(prefix)})


def _integer(arguments: Arguments, name: str, default: int) -> int:
    value = arguments.get(name)
    return value if isinstance(value, int) else default
