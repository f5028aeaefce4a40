import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from talking_head.lp_core.crop import (
    CROP_SIZE,
    CropOptions,
    apply_affine,
    blend_mask,
    crop_to_picture,
    cut,
    invert_affine,
    sample,
)
from talking_head.lp_core.mesh.face_model import face_model


def face_at(x: float, y: float, eye_distance: float, roll: float = 0.0) -> torch.Tensor:
    angle = math.radians(roll)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return face_model().mean[:, :2] * eye_distance @ turn + torch.tensor([x, y])


@given(st.floats(50, 500), st.floats(50, 500), st.floats(10, 300), st.floats(-60, 60))
def test_the_face_stands_upright_in_the_middle_of_its_crop(x, y, eye_distance, roll):
    points = face_at(x, y, eye_distance, roll)
    seen = apply_affine(invert_affine(crop_to_picture(points, CropOptions())), points)
    upright = apply_affine(invert_affine(crop_to_picture(face_at(0, 0, 100), CropOptions())), face_at(0, 0, 100))
    torch.testing.assert_close(seen, upright, atol=0.05, rtol=0)


def test_the_crop_can_stay_level():
    linear = crop_to_picture(face_at(100, 100, 50, 30), CropOptions(upright=False))[:, :2]
    assert not linear[0, 1]
    assert not linear[1, 0]


@pytest.mark.parametrize(("option", "axis"), [("shift_x", 0), ("shift_y", 1)])
def test_shifts_move_the_crop_by_their_share_of_the_side(option, axis):
    points = face_at(100, 100, 50)
    centre = torch.tensor([CROP_SIZE / 2, CROP_SIZE / 2])
    level, moved = (crop_to_picture(points, CropOptions(**{option: amount})) for amount in (0.0, 0.25))
    shift = apply_affine(moved, centre) - apply_affine(level, centre)
    assert shift[axis].item() == pytest.approx(0.25 * CROP_SIZE * level[0, 0].item(), rel=1e-4)


def test_an_identity_crop_is_the_picture():
    picture = torch.rand(CROP_SIZE, CROP_SIZE, 3)
    crop = cut(picture, torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    torch.testing.assert_close(crop.image, picture, atol=1e-5, rtol=0)


def test_a_shrinking_crop_averages():
    picture = torch.rand(2 * CROP_SIZE, 2 * CROP_SIZE, 3)
    crop = cut(picture, torch.tensor([[2.0, 0, 0.5], [0, 2, 0.5]]))
    blocks = picture.view(CROP_SIZE, 2, CROP_SIZE, 2, 3).mean((1, 3))
    torch.testing.assert_close(crop.image, blocks, atol=1e-5, rtol=0)


def test_sampling_reads_pixel_centres():
    image = torch.rand(1, 3, 5, 7)
    assert torch.allclose(sample(image, torch.tensor([[[[3.0, 2.0]]]]))[0, :, 0, 0], image[0, :, 2, 3], atol=1e-6)


def test_the_mask_is_one_inside_and_fades_to_the_border():
    mask = blend_mask()
    assert (mask[16:-16, 16:-16] == 1).all()
    assert not mask[0].any()
    assert mask[:17, 256].diff().min() > 0
    torch.testing.assert_close(mask, mask.T)


def test_absurd_framing_is_refused():
    with pytest.raises(ValueError, match="crop scale"):
        CropOptions(scale=0.2)
