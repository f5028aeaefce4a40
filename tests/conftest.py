"""The pack under its import name, seeds, and small inputs that many tests share."""

import importlib.util
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent


def load_pack(name: str, root: Path = ROOT):
    """Import the pack's root under `name`, as ComfyUI's loader does with a path for a name."""
    init = root / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(root)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


load_pack("talking_head")
settings.register_profile("shared machine", deadline=None, derandomize=True)
settings.load_profile("shared machine")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_weights_of_the_users_own(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("TALKING_HEAD_MODELS", str(tmp_path_factory.getbasetemp() / "no_models"))


@pytest.fixture
def any_cpu_has_bfloat16(monkeypatch):
    """CPUs without it emulate it, which small networks can bear."""
    monkeypatch.setattr("talking_head.lp_core.compute.device.cpu_has_bfloat16", lambda: True)
