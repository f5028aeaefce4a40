"""Checkpoints of the DiffPoseTalk family, loaded whole, and converted once to safetensors.

A converted file holds the tensors under this package's names, and as JSON in its metadata what they do not tell:
the kind of network, its layout (in which frames are numbered by `pe_mode`), and how it wants its speech.
`talking-head convert` writes one.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from ...lp_core.compute.device import Ready, stays
from ...lp_core.liveportrait.checkpoint import CheckpointError
from ...lp_core.media.files import appearing_whole
from ..container import Container, read_container
from ..ditto.network import Lmdm, LmdmLayout
from ..speech.settings import SpeechSettings
from .card import DENOISER_KINDS, KIND_NAMES, DiffusionCard, Kind
from .denoiser import Denoiser, DenoiserLayout, TokenLayout
from .published import (
    canonical,
    diffusion_card,
    encoder_tensors,
    lmdm_layout,
    noise_betas,
    published_kind,
    style_layout,
)
from .schedule import Schedule
from .style_encoder import StyleEncoder, StyleEncoderLayout
from .transformer import PositionMode

FORMAT = "talking-head diffusion 1"
PE_MODE = "pe_mode"  # what everybody calls how frames are numbered
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A denoiser ready to use.

    Attributes:
        card: where it comes from and what it expects.
        denoiser: the network, in evaluation mode.
        schedule: the noise schedule of its training.
        encoder: tensors of its own speech encoder in the names of transformers; empty when it has none.
        ready: brings the denoiser to its device.
    """

    card: DiffusionCard
    denoiser: Denoiser
    schedule: Schedule
    encoder: Mapping[str, Tensor]
    ready: Ready = stays


def load_diffusion(path: str | os.PathLike[str], pe_mode: PositionMode | None = None) -> DiffusionModel:
    """A denoiser of any supported project, with its schedule and speech encoder.

    Args:
        path: the checkpoint.
        pe_mode: overrides how frames are numbered ("legacy" or "sequential"), which no published file records;
            None takes the converted file's word, else legacy. Learned positions cannot be overridden.

    Raises:
        CheckpointError: a file of another kind, damaged, or holding what is not supported.
    """
    container = read_container(path)
    model = _converted_diffusion(container) if _is_converted(container) else _published_diffusion(container)
    if pe_mode is None:
        return model
    card = replace(model.card, layout=_renumbered(model.card.layout, pe_mode))
    return replace(
        model, card=card, denoiser=_filled(Denoiser(card.layout), model.denoiser.state_dict(), container)
    )


def load_style_encoder(path: str | os.PathLike[str]) -> StyleEncoder:
    """A style encoder, published or converted.

    Raises:
        CheckpointError: a file of another kind, or damaged.
    """
    container = read_container(path)
    if _is_converted(container):
        layout = StyleEncoderLayout(**_layout(_converted_card(container, "style_encoder")))
        return _filled(StyleEncoder(layout), container.tensors, container)
    _expect(container, published_kind(container), "style_encoder")
    tensors = canonical(container.tensors)
    return _filled(StyleEncoder(style_layout(container)), tensors, container)


def load_lmdm(path: str | os.PathLike[str]) -> Lmdm:
    """Ditto's motion network, published or converted.

    Raises:
        CheckpointError: a file of another kind, or damaged.
    """
    container = read_container(path)
    if _is_converted(container):
        layout = LmdmLayout(**_layout(_converted_card(container, "ditto")))
        return _filled(Lmdm(layout), container.tensors, container)
    _expect(container, published_kind(container), "ditto")
    tensors = canonical(container.tensors)
    return _filled(Lmdm(lmdm_layout(tensors)), tensors, container)


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """What a checkpoint holds.

    Raises:
        CheckpointError: not a supported checkpoint; says what was found.
    """
    container = read_container(path)
    return _read_card(container)["kind"] if _is_converted(container) else published_kind(container)


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], pe_mode: PositionMode | None = None
) -> None:
    """Write a checkpoint of any supported kind as safetensors with its settings, pe_mode among them.

    Args:
        source: the checkpoint.
        target: the .safetensors file to write, whole or not at all.
        pe_mode: see load_diffusion.

    Raises:
        CheckpointError: as load_diffusion; or a target of another kind of file.
    """
    if Path(target).suffix != ".safetensors":
        raise CheckpointError(f"A converted checkpoint is a .safetensors file; got {target}.")
    kind = kind_of(source)
    if kind in DENOISER_KINDS:
        save_diffusion(load_diffusion(source, pe_mode), target)
        return
    if pe_mode is not None:
        raise CheckpointError(f"{source} holds {KIND_NAMES[kind]}, whose pe_mode is fixed. Leave it empty.")
    network = load_style_encoder(source) if kind == "style_encoder" else load_lmdm(source)
    _write(target, {"kind": kind, "layout": dataclasses.asdict(network.layout)}, network.state_dict())


def save_diffusion(model: DiffusionModel, path: str | os.PathLike[str]) -> None:
    """Write a denoiser with its schedule, speech encoder and card."""
    tensors = {f"denoiser.{name}": tensor for name, tensor in model.denoiser.state_dict().items()}
    tensors |= {f"encoder.{name}": tensor for name, tensor in model.encoder.items()}
    tensors["schedule.betas"] = model.schedule.betas[1:]
    _write(path, dataclasses.asdict(model.card), tensors)


def _published_diffusion(container: Container) -> DiffusionModel:
    kind = published_kind(container)
    card = diffusion_card(container, _expect(container, kind, *DENOISER_KINDS))
    return DiffusionModel(
        card=card,
        denoiser=_filled(Denoiser(card.layout), canonical(container.tensors), container),
        schedule=Schedule.from_betas(noise_betas(container)),
        encoder=encoder_tensors(container),
    )


def _converted_diffusion(container: Container) -> DiffusionModel:
    fields = _converted_card(container, *DENOISER_KINDS)
    layout = _layout(fields)
    token = TokenLayout(**layout.pop("token"))
    card = DiffusionCard(
        kind=fields["kind"],
        layout=DenoiserLayout(**layout, token=token),
        target=fields["target"],
        speech=SpeechSettings(**fields["speech"]),
    )
    return DiffusionModel(
        card=card,
        denoiser=_filled(Denoiser(card.layout), _group(container, "denoiser."), container),
        schedule=Schedule.from_betas(container.tensors["schedule.betas"]),
        encoder=_group(container, "encoder."),
    )


def _renumbered(layout: DenoiserLayout, pe_mode: PositionMode) -> DenoiserLayout:
    if pe_mode != layout.position and "learnable" in (pe_mode, layout.position):
        raise CheckpointError(
            f"The pe_mode {pe_mode!r} does not fit: this network's positions are {layout.position}. Leave it empty."
        )
    return replace(layout, position=pe_mode)


def _is_converted(container: Container) -> bool:
    return container.metadata.get("format") == FORMAT


def _read_card(container: Container) -> dict[str, Any]:
    return json.loads(container.metadata["card"])


def _layout(card: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a layout as a converted file has them, where pe_mode is the name of `position`."""
    fields = dict(card["layout"])
    if PE_MODE in fields:
        fields["position"] = fields.pop(PE_MODE)
    return fields


def _written(card: Mapping[str, Any]) -> dict[str, Any]:
    """The same the other way round."""
    layout = dict(card["layout"])
    if "position" in layout:
        layout[PE_MODE] = layout.pop("position")
    return {**card, "layout": layout}


def _converted_card(container: Container, *kinds: Kind) -> dict[str, Any]:
    card = _read_card(container)
    _expect(container, card["kind"], *kinds)
    return card


KindExpected = TypeVar("KindExpected", bound=Kind)


def _expect(container: Container, found: Kind, *kinds: KindExpected) -> KindExpected:
    """The kind that was found, when it is one of those expected."""
    for kind in kinds:
        if kind == found:
            return kind
    expected = " or ".join(KIND_NAMES[kind] for kind in kinds)
    raise CheckpointError(f"{container.path} holds {KIND_NAMES[found]}; expected {expected}.")


def _group(container: Container, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in container.tensors.items() if key.startswith(prefix)}


def _filled(network: Network, tensors: Mapping[str, Tensor], container: Container) -> Network:
    """The network with the tensors in it, every one of them and no other, in evaluation mode."""
    try:
        network.load_state_dict({key: value.float() for key, value in tensors.items()}, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"The tensors in {container.path} do not fit its kind: {error}") from error
    return network.eval().requires_grad_(False)


def _write(path: str | os.PathLike[str], card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with appearing_whole(path) as part:
        save_file(contiguous, part, metadata={"format": FORMAT, "card": json.dumps(_written(card))})
