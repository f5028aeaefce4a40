"""The choice of device, precision and batch."""

import pytest
import torch

from talking_head.lp_core.compute import device as choices
from talking_head.lp_core.compute.device import LARGEST_BATCH, batch_for, choose_device, choose_dtype, fitting_batch

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("capable", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_what_the_device_is_fast_in(monkeypatch, capable, expected):
    monkeypatch.setattr(choices, "cpu_has_bfloat16", lambda: capable)
    assert choose_dtype("auto", CPU) is expected
    assert choose_dtype("auto", GPU) is torch.float16
    assert choose_dtype("auto", torch.device("mps")) is torch.float32


def test_a_named_precision_is_kept_or_refused_in_a_sentence(monkeypatch):
    assert choose_dtype("fp32", GPU) is torch.float32
    monkeypatch.setattr(choices, "cpu_has_bfloat16", lambda: True)
    assert choose_dtype("bf16", CPU) is torch.bfloat16
    monkeypatch.setattr(choices, "cpu_has_bfloat16", lambda: False)
    assert choose_dtype("bf16", GPU) is torch.bfloat16
    with pytest.raises(ValueError, match="This CPU cannot compute in bf16"):
        choose_dtype("bf16", CPU)
    with pytest.raises(ValueError, match="slower in fp16"):
        choose_dtype("fp16", CPU)
    with pytest.raises(ValueError, match="choose from auto, fp32"):
        choose_dtype("int8", CPU)


def test_the_batch_grows_with_free_memory_within_its_bounds():
    sizes = [batch_for(free << 20, torch.float16, 64) for free in (0, 500, 1_000, 2_000, 80_000)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    assert sizes[-1] == LARGEST_BATCH
    assert batch_for(2_000 << 20, torch.float32, 64) < batch_for(2_000 << 20, torch.float16, 64)
    assert batch_for(80_000 << 20, torch.float16, 3) == 3
    assert fitting_batch(CPU, torch.float32, 8) == 8


def test_an_unusable_device_is_told_in_a_sentence():
    with pytest.raises(ValueError, match="give cpu, cuda or mps"):
        choose_device("abacus")
