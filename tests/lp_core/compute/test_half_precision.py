"""Which layers agree in half and in single precision, and what becomes of those that do not."""

import pytest
import torch
from torch import nn

from talking_head.lp_core.compute.half_precision import (
    agrees_with_single,
    computed_in_single,
    keep_wrong_layers_single,
)


class Off(nn.Linear):
    """A layer whose outputs are too large by a share of them in half precision."""

    share = 0.0

    def forward(self, features):
        given = super().forward(features)
        return given * (1 + self.share) if given.dtype == torch.bfloat16 else given


def off_by(share: float) -> Off:
    layer = Off(32, 16).bfloat16()
    layer.share = share
    return layer


@pytest.mark.parametrize(("share", "agrees"), [(0.0, True), (0.02, False), (0.24, False), (float("nan"), False)])
def test_layers_agree_to_the_rounding_of_their_format(share, agrees):
    assert agrees_with_single(off_by(share)) is agrees


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(20, 30, bias=False),
        nn.Conv1d(8, 12, 5, stride=2, padding=2, dilation=2, groups=4),
        nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 4, padding=2, groups=2), dim=2),
    ],
    ids=["linear", "convolution", "weight norm"],
)
def test_single_arithmetic_is_the_layers_own(layer):
    features = torch.randn(3, 20) if isinstance(layer, nn.Linear) else torch.randn(2, 8, 40)
    torch.testing.assert_close(computed_in_single(layer, features), layer(features), atol=1e-5, rtol=0)


def test_only_wrong_layers_are_computed_in_single():
    network = nn.Sequential(off_by(0.0), nn.ReLU(), nn.Linear(16, 32).bfloat16(), Off(32, 17).bfloat16())
    network[3].share = 0.5
    features = torch.randn(4, 32).bfloat16()
    entering = network[:3](features)
    assert keep_wrong_layers_single(network) == ("3",)
    assert torch.equal(network[:3](features), entering)
    given = network(features)
    assert given.dtype == network[3].weight.dtype == torch.bfloat16
    assert torch.equal(given, computed_in_single(network[3], entering).bfloat16())
