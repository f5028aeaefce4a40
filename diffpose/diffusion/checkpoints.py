"""Loading of DiffPoseTalk-family checkpoints, and their conversion to safetensors.

A converted file holds the tensors under this package's names, and as JSON in its metadata the kind of network, its
layout (with `pe_mode`, the numbering of frames), and the preprocessing of its speech.
`talking-head convert` writes one.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import Tensor, nn

from ...lp_core.compute.device import EnsureLoaded, already_loaded
from ...lp_core.liveportrait.checkpoint import CheckpointError
from ...lp_core.media.tensor_files import save_tensors
from ..container import Container, read_container
from ..speech.settings import SpeechSettings
from ..transformer import PositionMode
from .card import DENOISER_KINDS, KIND_NAMES, DiffusionCard, Kind
from .denoiser import Denoiser, DenoiserLayout, TokenLayout
from .published import canonical, diffusion_card, encoder_tensors, noise_betas, published_kind, style_layout
from .schedule import Schedule
from .style_encoder import StyleEncoder, StyleEncoderLayout

FORMAT = "talking-head diffusion 1"
PE_MODE = "pe_mode"  # the usual name for the numbering of frames
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A loaded denoiser with its schedule and speech encoder.

    Attributes:
        card: its origin, layout and expected inputs.
        denoiser: the network, in evaluation mode.
        schedule: the noise schedule of its training.
        encoder: tensors of its own speech encoder under the names of transformers; empty when it has none.
        ensure_loaded: moves the denoiser to its device.
    """

    card: DiffusionCard
    denoiser: Denoiser
    schedule: Schedule
    encoder: Mapping[str, Tensor]
    ensure_loaded: EnsureLoaded = already_loaded


def load_diffusion(path: str | os.PathLike[str], pe_mode: PositionMode | None = None) -> DiffusionModel:
    """A denoiser of any supported project, with its schedule and speech encoder.

    Args:
        path: the checkpoint.
        pe_mode: overrides the numbering of frames ("legacy" or "sequential"), which no published file records;
            None takes a converted file's entry, else legacy. Learned positions cannot be overridden.

    Raises:
        CheckpointError: the file is of another kind, damaged or not supported.
    """
    container = read_container(path)
    model = _converted_diffusion(container) if is_converted(container) else _published_diffusion(container)
    if pe_mode is None:
        return model
    card = replace(model.card, layout=_renumbered(model.card.layout, pe_mode))
    return replace(model, card=card, denoiser=filled(Denoiser(card.layout), model.denoiser.state_dict(), container))


def load_style_encoder(path: str | os.PathLike[str]) -> StyleEncoder:
    """A style encoder from a published or converted file.

    Raises:
        CheckpointError: the file is of another kind or damaged.
    """
    container = read_container(path)
    if is_converted(container):
        layout = StyleEncoderLayout(**layout_fields(converted_card(container, "style_encoder")))
        return filled(StyleEncoder(layout), container.tensors, container)
    expect_kind(container, published_kind(container), "style_encoder")
    tensors = canonical(container.tensors)
    return filled(StyleEncoder(style_layout(container)), tensors, container)


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """The kind of network that a checkpoint holds.

    Raises:
        CheckpointError: not a supported checkpoint; the message names what was found.
    """
    container = read_container(path)
    return _read_card(container)["kind"] if is_converted(container) else published_kind(container)


def save_diffusion(model: DiffusionModel, path: str | os.PathLike[str]) -> None:
    """Write a denoiser with its schedule, speech encoder and card."""
    tensors = {f"denoiser.{name}": tensor for name, tensor in model.denoiser.state_dict().items()}
    tensors |= {f"encoder.{name}": tensor for name, tensor in model.encoder.items()}
    tensors["schedule.betas"] = model.schedule.betas[1:]
    write_checkpoint(path, dataclasses.asdict(model.card), tensors)


def _published_diffusion(container: Container) -> DiffusionModel:
    kind = published_kind(container)
    card = diffusion_card(container, expect_kind(container, kind, *DENOISER_KINDS))
    return DiffusionModel(
        card=card,
        denoiser=filled(Denoiser(card.layout), canonical(container.tensors), container),
        schedule=Schedule.from_betas(noise_betas(container)),
        encoder=encoder_tensors(container),
    )


def _converted_diffusion(container: Container) -> DiffusionModel:
    fields = converted_card(container, *DENOISER_KINDS)
    layout = layout_fields(fields)
    token = TokenLayout(**layout.pop("token"))
    card = DiffusionCard(
        kind=fields["kind"],
        layout=DenoiserLayout(**layout, token=token),
        target=fields["target"],
        speech=SpeechSettings(**fields["speech"]),
    )
    return DiffusionModel(
        card=card,
        denoiser=filled(Denoiser(card.layout), _group(container, "denoiser."), container),
        schedule=Schedule.from_betas(container.tensors["schedule.betas"]),
        encoder=_group(container, "encoder."),
    )


def _renumbered(layout: DenoiserLayout, pe_mode: PositionMode) -> DenoiserLayout:
    if pe_mode != layout.position and "learnable" in (pe_mode, layout.position):
        raise CheckpointError(
            f"The pe_mode {pe_mode!r} does not fit: this network's positions are {layout.position}. Leave it empty."
        )
    return replace(layout, position=pe_mode)


def is_converted(container: Container) -> bool:
    """Whether `write_checkpoint` wrote the file."""
    return container.metadata.get("format") == FORMAT


def _read_card(container: Container) -> dict[str, Any]:
    return json.loads(container.metadata["card"])


def layout_fields(card: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a layout from a converted file's card, where `position` is called pe_mode."""
    fields = dict(card["layout"])
    if PE_MODE in fields:
        fields["position"] = fields.pop(PE_MODE)
    return fields


def _written(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card as a converted file has it: the inverse of `layout_fields`."""
    layout = dict(card["layout"])
    if "position" in layout:
        layout[PE_MODE] = layout.pop("position")
    return {**card, "layout": layout}


def converted_card(container: Container, *kinds: Kind) -> dict[str, Any]:
    """The card of a converted file, which must be of one of the kinds."""
    card = _read_card(container)
    expect_kind(container, card["kind"], *kinds)
    return card


KindExpected = TypeVar("KindExpected", bound=Kind)


def expect_kind(container: Container, found: Kind, *kinds: KindExpected) -> KindExpected:
    """The kind that was found; raises CheckpointError unless it is one of those expected."""
    for kind in kinds:
        if kind == found:
            return kind
    expected = " or ".join(KIND_NAMES[kind] for kind in kinds)
    raise CheckpointError(f"{container.path} holds {KIND_NAMES[found]}; expected {expected}.")


def _group(container: Container, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in container.tensors.items() if key.startswith(prefix)}


def filled(network: Network, tensors: Mapping[str, Tensor], container: Container) -> Network:
    """The network with all tensors loaded strictly, in evaluation mode."""
    try:
        network.load_state_dict({key: value.float() for key, value in tensors.items()}, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"The tensors in {container.path} do not fit its kind: {error}") from error
    return network.eval().requires_grad_(False)


def write_checkpoint(path: str | os.PathLike[str], card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors and their card as safetensors, atomically."""
    save_tensors(path, tensors, {"format": FORMAT, "card": json.dumps(_written(card))})
