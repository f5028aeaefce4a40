"""OpenCV and torch give the same pixels, and pictures are made without OpenCV."""

import sys
from types import ModuleType

import pytest
import torch

from talking_head.lp_core.compute import opencv as module
from talking_head.lp_core.compute.opencv import eight_bits, opencv, shrunk
from talking_head.lp_core.media.picture import limited

SIZES = [
    (720, 1280, 405, 720),
    (100, 100, 50, 50),
    (97, 61, 33, 60),
    (64, 48, 63, 47),
    (40, 40, 40, 40),
    (33, 50, 1, 1),
]


@pytest.fixture(autouse=True)
def _afresh():
    opencv.cache_clear()
    yield
    opencv.cache_clear()


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(module, "opencv", lambda: None)


@pytest.mark.parametrize("broken", [None, ModuleType("cv2")], ids=["missing", "empty"])
def test_without_opencv_torch_does_the_work(broken, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", broken)
    assert opencv() is None
    assert eight_bits(torch.tensor([[0.0, 0.5, 1.0]])).tolist() == [[0, 128, 255]]
    assert limited(torch.rand(64, 128, 3), 64).shape == (32, 64, 3)


def test_a_library_that_is_missing_in_the_system_is_no_error(monkeypatch):
    def refuse(name: str) -> ModuleType:
        raise OSError(f"libGL.so.1 is needed by {name}")

    monkeypatch.setattr(module.importlib, "import_module", refuse)
    assert opencv() is None


@pytest.mark.parametrize("shape", [(4, 9, 7, 3), (5, 6, 3), (11,), (0, 4, 4, 3)])
def test_eight_bits_are_exactly_those_of_torch(shape):
    pytest.importorskip("cv2")
    frames = 1.4 * torch.rand(shape) - 0.2
    if frames.numel() > 10:
        frames.view(-1)[:10] = (torch.arange(10) + 0.5) / 255  # ties
    expected = frames.mul(255).round().clamp(0, 255).to(torch.uint8)
    assert torch.equal(eight_bits(frames), expected)
    assert torch.equal(
        eight_bits(frames.mT if frames.ndim > 1 else frames), expected.mT if frames.ndim > 1 else expected
    )


@pytest.mark.parametrize("size", SIZES)
def test_shrinking_is_within_a_grey_level_of_opencv(size, monkeypatch):
    pytest.importorskip("cv2")
    height, width, *wanted = size
    picture = torch.rand(height, width, 3)
    by_opencv = shrunk(picture, *wanted)
    monkeypatch.setattr(module, "opencv", lambda: None)
    assert (by_opencv - shrunk(picture, *wanted)).abs().max() < 0.5 / 255


@pytest.mark.parametrize("size", SIZES)
def test_shrinking_keeps_the_mean_and_a_plain_picture(size, without):
    height, width, *wanted = size
    picture = torch.rand(height, width, 3)
    torch.testing.assert_close(shrunk(picture, *wanted).mean((0, 1)), picture.mean((0, 1)), atol=1e-5, rtol=0)
    plain = torch.full((height, width, 3), 0.3)
    torch.testing.assert_close(shrunk(plain, *wanted), torch.full((*wanted, 3), 0.3))
