import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from diffpose_goldens import golden

from talking_head.diffpose.diffusion.template import load_joyvasa_space
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError

SIZES = {"scale": 1, "t": 3, "pitch": 1, "yaw": 1, "roll": 1}


def template():
    names = ["mean_exp", "std_exp", *(f"{bound}_{name}" for bound in ("min", "max") for name in SIZES)]
    return {name: golden("joyvasa", f"tmpl.{name}").numpy() for name in names}


def written(tmp_path, content, protocol=4):
    path = tmp_path / "motion_template.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_templates_are_read_at_every_protocol(protocol, tmp_path):
    content = template() | {"mean_lip": np.float32(0.1)}
    space = load_joyvasa_space(written(tmp_path, content, protocol))
    assert torch.equal(space.expression_mean, golden("joyvasa", "tmpl.mean_exp"))
    assert space.pose_high.shape == (7,)


def test_templates_written_by_older_numpy_are_read(tmp_path):
    path = written(tmp_path, template(), protocol=2)
    path.write_bytes(path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert torch.equal(load_joyvasa_space(path).expression_mean, golden("joyvasa", "tmpl.mean_exp"))


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize("content", [Evil(), {"mean_exp": Evil()}, {"mean_exp": np.array([Evil()], dtype=object)}])
def test_nothing_in_a_template_is_run(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="damaged or holds more than arrays"):
        load_joyvasa_space(written(tmp_path, content))
    assert not Path("evil-was-here").exists()


@pytest.mark.parametrize("content", [{}, [1, 2], {"mean_exp": np.zeros(63, np.float32)}])
def test_other_pickles_are_told_from_a_template(content, tmp_path):
    with pytest.raises(CheckpointError, match="is not JoyVASA's: The motion template lacks"):
        load_joyvasa_space(written(tmp_path, content))


def test_damaged_and_missing_templates_are_named(tmp_path):
    path = tmp_path / "motion_template.pkl"
    with pytest.raises(CheckpointError, match="does not exist"):
        load_joyvasa_space(path)
    path.write_bytes(pickle.dumps(template())[:200])
    with pytest.raises(CheckpointError, match="is not read"):
        load_joyvasa_space(path)
