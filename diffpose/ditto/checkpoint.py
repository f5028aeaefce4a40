"""Loading of Ditto's motion network from its checkpoint, published or converted."""

import os
from collections.abc import Mapping

from torch import Tensor

from ..container import read_container
from ..diffusion.checkpoints import converted_card, expect_kind, filled, is_converted, layout_fields
from ..diffusion.published import (
    canonical,
    layer_count,
    published_kind,
)
from .network import Lmdm, LmdmLayout


def lmdm_layout(named: Mapping[str, Tensor]) -> LmdmLayout:
    """Sizes of a published LMDM from its tensors under canonical names."""
    return LmdmLayout(
        motion_dims=named["head.weight"].shape[0],
        condition_dims=named["condition_map.weight"].shape[1],
        frames=named["null_condition"].shape[1],
        width=named["head.weight"].shape[1],
        hidden=named["layers.0.feed_forward.0.weight"].shape[0],
        layers=layer_count(named, "layers."),
        condition_layers=layer_count(named, "condition_layers."),
    )


def load_lmdm(path: str | os.PathLike[str]) -> Lmdm:
    """Ditto's motion network from a published or converted file.

    Raises:
        CheckpointError: the file is of another kind or damaged.
    """
    container = read_container(path)
    if is_converted(container):
        layout = LmdmLayout(**layout_fields(converted_card(container, "ditto")))
        return filled(Lmdm(layout), container.tensors, container)
    expect_kind(container, published_kind(container), "ditto")
    tensors = canonical(container.tensors)
    return filled(Lmdm(lmdm_layout(tensors)), tensors, container)
