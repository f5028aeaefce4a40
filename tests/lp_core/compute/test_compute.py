"""One value for where, how precisely and how fast networks compute."""

import pytest
import torch
from torch import nn

from talking_head.lp_core.compute.compute import Compute


def test_the_device_is_resolved_when_the_value_is_made():
    assert Compute().torch_device.type in ("cpu", "cuda", "mps")
    assert Compute("cpu") == Compute(torch.device("cpu"))
    assert hash(Compute("cpu")) == hash(Compute(torch.device("cpu")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"device": "abacus"}, "abacus"),
        ({"precision": "int8"}, "expected one of auto, fp32"),
        ({"acceleration": "hope"}, "expected one of none, compile"),
    ],
)
def test_what_no_machine_has_is_refused_at_once(given, message):
    with pytest.raises(ValueError, match=message):
        Compute(**{"device": "cpu"} | given)


def test_a_precision_that_a_cpu_is_bad_at_is_refused_where_it_is_used():
    """The mesh renderer computes in fp32 whatever the precision."""
    with pytest.raises(ValueError, match="fp16"):
        _ = Compute("cpu", "fp16").dtype
    assert Compute("cpu", "fp32").dtype == torch.float32


def test_networks_are_handed_to_the_placement_with_the_device():
    handed = []

    def placement(networks, device):
        handed.append((networks, device))
        return lambda _working_bytes: None

    network = nn.Linear(1, 1)
    Compute("cpu", placement=placement).placed(network)
    assert handed == [(network, torch.device("cpu"))]
