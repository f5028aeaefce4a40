import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from liveportrait_goldens import golden

from talking_head.lp_core.faces.crop import (
    CROP_SIZE,
    CropOptions,
    apply_affine,
    blend_mask,
    crop_to_picture,
    cut,
    invert_affine,
    paste,
    sample,
    steady_crop,
)
from talking_head.lp_core.faces.face_model import face_model


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


# LivePortrait's numbers.

COUNTS = (203, 106, 101, 68, 9, 5)


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("src", CropOptions(), 512),
        ("norot", CropOptions(upright=False), 512),
        ("lmk224", CropOptions(scale=1.5, shift_y=-0.1), 224),
    ],
)
def test_every_layout_is_framed_as_by_the_original(count, name, options, size):
    stored = golden("crop")
    to_picture = crop_to_picture(stored[f"lmk_{count}"], options, size)
    close(to_picture, stored[f"{name}_M_c2o_{count}"][:2], 1e-3)
    close(invert_affine(to_picture), stored[f"{name}_M_o2c_{count}"][:2], 2e-3)


@pytest.mark.parametrize("count", COUNTS)
def test_the_horizontal_shift_is_honoured(count):
    stored = golden("crop")
    to_picture = crop_to_picture(stored[f"lmk_{count}"], CropOptions(shift_x=0.2))
    close(invert_affine(to_picture), stored[f"vxhonoured_M_o2c_{count}"], 2e-3)


@pytest.mark.parametrize("count", COUNTS)
def test_driving_boxes_are_the_originals(count):
    stored = golden("crop")
    to_picture = steady_crop([stored[f"lmk_{count}"]])
    corners = apply_affine(to_picture, torch.tensor([[0.0, 0], [512, 0], [512, 512], [0, 512]]))
    close(corners, stored[f"drv_bbox_{count}"], 1e-3)


def test_a_driving_clip_has_one_box():
    stored = golden("crop")
    to_picture = steady_crop(list(stored["drv_lmk"]))
    corners = apply_affine(to_picture, torch.tensor([[0.0, 0], [512, 512]]))
    close(corners.flatten().double(), stored["drv_global_bbox"], 1e-3)
    close(apply_affine(invert_affine(to_picture), stored["drv_lmk"][0]), stored["drv_lmk_crop0"], 2e-3)


@pytest.mark.parametrize(
    ("name", "to_picture"),
    [("src_crop256_203", lambda stored: stored["src_M_c2o_203"][:2]), ("drv_crop256", None)],
)
def test_crops_are_the_originals(name, to_picture):
    stored = golden("crop")
    matrix = to_picture(stored) if to_picture else steady_crop(list(stored["drv_lmk"]))
    image = cut(stored["image_u8"].float() / 255, matrix, outside="zeros").image
    small = image.view(256, 2, 256, 2, 3).mean((1, 3)) * 255
    off = (small.round()[::2, ::2] - stored[f"{name}_s2"]).abs()
    assert off.max() <= 1
    assert off.mean() <= 0.2


def test_the_mask_lies_where_the_original_lays_it():
    stored = golden("crop")
    y, x = torch.meshgrid(torch.arange(360.0), torch.arange(420.0), indexing="ij")
    positions = apply_affine(invert_affine(stored["src_M_c2o_203"][:2]), torch.stack([x, y], -1))
    mask = sample(blend_mask()[None, None], positions[None], "zeros")[0, 0, ::2, ::2] * 255
    assert (mask - stored["paste_mask_u8_s2"]).abs().max() <= 2


def test_pasted_crops_are_the_originals():
    stored = golden("crop")
    frame = stored["paste_gen256_u8"].repeat_interleave(2, 0).repeat_interleave(2, 1).float() / 255
    pasted = paste(frame[None], stored["src_M_c2o_203"][:2], stored["image_u8"][None].float() / 255)[0] * 255
    off = (pasted.floor()[::2, ::2] - stored["paste_out_u8_s2"]).abs()
    assert off.max() <= 2
    assert off.mean() <= 0.2


def test_pasting_writes_to_none_of_its_inputs_and_takes_several_backgrounds():
    frames, background, mask = torch.rand(2, 512, 512, 3), torch.rand(2, 60, 50, 3), torch.rand(60, 50)
    copies = [value.clone() for value in (frames, background, mask)]
    to_picture = torch.tensor([[0.1, 0.02, 3.0], [-0.02, 0.1, 5.0]])
    pasted = paste(frames, to_picture, background, mask)
    assert all(torch.equal(*pair) for pair in zip(copies, (frames, background, mask), strict=True))
    alone = [paste(frames[i : i + 1], to_picture, background[i : i + 1], mask) for i in range(2)]
    close(pasted, torch.cat(alone), 1e-6)
    nothing = paste(frames, to_picture, background, torch.zeros(60, 50))
    assert torch.equal(nothing, background)


def test_beyond_the_picture_is_its_edge_or_black():
    white = torch.ones(64, 64, 3)
    far = torch.tensor([[1.0, 0, -100], [0, 1, -100]])
    assert cut(white, far).image.min() == 1
    assert cut(white, far, outside="zeros").image[0, 0].max() == 0
