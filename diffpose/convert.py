"""Conversion of published checkpoints of any supported family to safetensors."""

import dataclasses
import os
from pathlib import Path

from ..lp_core.liveportrait.checkpoint import CheckpointError
from .diffusion.card import DENOISER_KINDS, KIND_NAMES
from .diffusion.checkpoints import kind_of, load_diffusion, load_style_encoder, save_diffusion, write_checkpoint
from .ditto.checkpoint import load_lmdm
from .transformer import PositionMode


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], pe_mode: PositionMode | None = None
) -> None:
    """Write a checkpoint of any supported kind as safetensors with its settings, pe_mode among them.

    Args:
        source: the checkpoint.
        target: the .safetensors file to write, atomically.
        pe_mode: see load_diffusion.

    Raises:
        CheckpointError: as load_diffusion; or the target is not a .safetensors file.
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
    write_checkpoint(target, {"kind": kind, "layout": dataclasses.asdict(network.layout)}, network.state_dict())
