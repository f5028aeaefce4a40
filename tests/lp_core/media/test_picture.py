import numpy as np
import pytest
import torch
from PIL import Image

from talking_head.lp_core.media.picture import GROUND, as_picture, limited, load_picture


def test_a_file_is_read_as_stored(tmp_path):
    pixels = np.random.randint(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    torch.testing.assert_close(load_picture(tmp_path / "picture.png"), torch.from_numpy(pixels) / 255)


def test_exif_orientation_is_honoured(tmp_path):
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    picture = load_picture(tmp_path / "turned.png")
    assert picture.shape == (80, 40, 3)
    assert picture[:40].min() == 1
    assert picture[40:].max() == 0


def test_deep_grey_pictures_keep_their_shades(tmp_path):
    deep = (np.arange(1024, dtype=np.uint16) * 64).reshape(32, 32)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    expected = torch.from_numpy(deep.astype(np.float32) / 65_535)[..., None].expand(-1, -1, 3)
    torch.testing.assert_close(load_picture(tmp_path / "deep.png"), expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_grey_and_transparent_pictures_become_colour(channels):
    pixels = torch.rand(40, 50, channels)
    picture = as_picture(pixels)
    assert picture.shape == (40, 50, 3)
    opacity = pixels[..., 3] if channels == 4 else 1
    torch.testing.assert_close(picture[..., 0], opacity * pixels[..., 0] + (1 - opacity) * GROUND)


def test_opacity_is_kept_where_it_is_wanted():
    pixels = torch.rand(40, 50, 4)
    pixels[:20, :, 3] = 0
    kept = as_picture(pixels, alpha=True)
    assert torch.equal(kept[20:], pixels[20:])
    assert torch.equal(kept[:20, :, 3], pixels[:20, :, 3])
    assert (kept[:20, :, :3] == GROUND).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.uint16])
def test_every_kind_of_number_gives_the_same_picture(kind):
    levels = torch.randint(0, 256, (40, 50, 3))
    scale = {torch.uint8: 1, torch.uint16: 257}.get(kind, 1 / 255)
    picture = as_picture((levels * scale).to(kind))
    torch.testing.assert_close(picture, levels / 255, atol=2**-8 if kind == torch.bfloat16 else 2**-11, rtol=0)


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.int16, torch.complex64])
def test_numbers_that_do_not_say_what_is_white_are_refused(kind):
    with pytest.raises(ValueError, match=r"floats in 0…1, or uint8 or uint16; got torch\."):
        as_picture(torch.ones(40, 50, 3).to(kind))


def test_the_given_tensor_is_not_the_result_s_memory_when_clamped():
    pixels = torch.full((40, 40, 3), 2.0)
    as_picture(pixels)
    assert pixels.max() == 2


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (torch.rand(8, 8, 3), "8×8"),
        (torch.rand(40, 12_000, 3), "12000×40"),
        (torch.full((40, 40, 3), float("nan")), "NaN"),
        (torch.rand(40, 40), "shape"),
        (torch.rand(40, 40, 2), "channels"),
    ],
)
def test_bad_pictures_are_refused(pixels, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_picture(pixels)


def test_what_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "voice.png"
    path.write_bytes(b"RIFF....WAVE")
    with pytest.raises(ValueError, match=r"voice\.png"):
        load_picture(path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        load_picture(tmp_path / "nothing.png")


def test_limiting_shrinks_the_long_side_and_averages():
    picture = torch.rand(200, 100, 3)
    small = limited(picture, 100)
    assert small.shape == (100, 50, 3)
    torch.testing.assert_close(small, picture.view(100, 2, 50, 2, 3).mean((1, 3)))
    assert limited(picture, 300) is picture
