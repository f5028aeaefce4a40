import pytest
import torch
from liveportrait_goldens import golden

from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.layouts import LAYOUTS, eye_ratios, layout_of, lip_ratio, mouth_width


def test_ratios_are_the_originals():
    stored = golden("math")
    eyes = torch.stack([eye_ratios(points) for points in stored["lmk203"]])
    lips = torch.stack([lip_ratio(points) for points in stored["lmk203"]])
    torch.testing.assert_close(eyes, stored["eye_ratio"], atol=1e-6, rtol=0)
    torch.testing.assert_close(lips, stored["lip_ratio"][:, 0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", LAYOUTS)
def test_every_layouts_points_exist_and_are_told_by_their_number(count):
    layout = layout_of(torch.zeros(count, 2))
    assert layout is LAYOUTS[count]
    assert all(0 <= index < count for part in (layout.left_eye, layout.right_eye, layout.mouth) for index in part)
    assert all(0 <= index < count for index in layout.framed or ())


@pytest.mark.parametrize("count", [0, 70, 468])
def test_other_numbers_of_points_are_refused(count):
    with pytest.raises(ValueError, match=f"{count} landmarks"):
        layout_of(torch.zeros(count, 2))


def test_the_mean_face_has_plausible_openings():
    """The mesh's numbering and LivePortrait's mean the same openings."""
    face = face_model().mean
    assert ((eye_ratios(face) > 0.15) & (eye_ratios(face) < 0.5)).all()
    assert 0 <= lip_ratio(face) < 0.2


def test_ratios_do_not_depend_on_place_and_size():
    face = face_model().mean[:, :2]
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]])
    other = face @ turn * 37 + 5
    torch.testing.assert_close(eye_ratios(other), eye_ratios(face), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mouth_width(other), 37 * mouth_width(face))


def test_openings_need_a_layout_that_shows_them():
    with pytest.raises(ValueError, match="478 or 203"):
        lip_ratio(torch.zeros(68, 2))
