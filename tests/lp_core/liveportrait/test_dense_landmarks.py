import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from liveportrait_goldens import golden, small_networks

from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.faces import Face, face_in_box
from talking_head.lp_core.faces.layouts import eye_ratios, lip_ratio
from talking_head.lp_core.liveportrait.dense_landmarks import DenseLandmarks
from talking_head.lp_core.liveportrait.networks import load_landmarks
from talking_head.lp_core.liveportrait.renderer import LivePortraitRenderer


class Answers:
    """A session that finds the given points, told in its view's sides."""

    def __init__(self, points: np.ndarray):
        self.points, self.seen = points, []

    def get_inputs(self):
        return [SimpleNamespace(name="input")]

    def run(self, output_names, input_feed):
        assert output_names is None
        self.seen.append(input_feed["input"])
        return [None, None, self.points.reshape(1, -1)]


def test_points_come_back_to_the_picture_by_the_originals_crop():
    stored = golden("crop")
    points = torch.rand(203, 2)
    session = Answers(points.numpy())
    found = DenseLandmarks(session).find(stored["image_u8"].float() / 255, stored["lmk_203"])
    to_picture = stored["lmk224_M_c2o_203"][:2]
    expected = points * 224 @ to_picture[:, :2].T + to_picture[:, 2]
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
    (view,) = session.seen
    assert view.shape == (1, 3, 224, 224)
    assert view.dtype == np.float32


def test_they_tell_how_far_eyes_and_lips_stand_open():
    picture = torch.rand(90, 90, 3)
    points = golden("math")["lmk203"][0]
    session = Answers((points / 300).numpy())
    face = Face(face_model().mean * 20 + 45.0)
    portrait = LivePortraitRenderer(small_networks(), landmarks=DenseLandmarks(session)).portrait(picture, face)
    torch.testing.assert_close(portrait.drawing.eye_ratios, eye_ratios(points), atol=1e-4, rtol=0)
    torch.testing.assert_close(portrait.drawing.lip_ratio, lip_ratio(points), atol=1e-4, rtol=0)


def test_without_the_file_there_are_none(tmp_path):
    assert load_landmarks([tmp_path]) is None


def test_without_onnxruntime_the_file_is_not_used_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "landmark.onnx").write_bytes(b"onnx")
    with caplog.at_level(logging.INFO):
        assert load_landmarks([tmp_path]) is None
    assert "onnxruntime is not installed" in caplog.text


@pytest.mark.parametrize("box", [(10.0, 20.0, 70.0, 60.0), (0.0, 0.0, 5.0, 50.0)])
def test_a_face_laid_into_a_box_fills_it(box):
    left, top, right, bottom = face_in_box(box).box
    assert (left + right) / 2 == pytest.approx((box[0] + box[2]) / 2, abs=1e-3)
    assert (top + bottom) / 2 == pytest.approx((box[1] + box[3]) / 2, abs=1e-3)
    share = max((right - left) / (box[2] - box[0]), (bottom - top) / (box[3] - box[1]))
    assert share == pytest.approx(1.0, abs=1e-3)


def test_an_animal_is_drawn_from_a_box():
    picture = torch.rand(90, 90, 3)
    portrait = LivePortraitRenderer(small_networks()).portrait(picture, face_in_box((20.0, 20.0, 70.0, 70.0)))
    assert portrait.crop.image.shape == (512, 512, 3)
