"""Pictures of every kind that people have, read to the colours that other programs show."""

import struct
import sys
import zlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from colour_profiles import ADOBE_RGB, DISPLAY_P3, SWAPPED, grey_profile, in_srgb, rgb_profile
from PIL import Image, PngImagePlugin, features

from talking_head.lp_core.media.picture import GROUND, load_picture
from talking_head.lp_core.media.picture_files import FORMATS, animated_frames, is_animated, stored_picture

SIDE = 64
RAMP = np.linspace(0, 1, SIDE)
COLOURS = [(220, 60, 40), (40, 180, 90), (128, 128, 128), (250, 250, 250), (20, 30, 200), (0, 0, 0)]


def stripes(colours=COLOURS) -> np.ndarray:
    """Colours (SIDE, SIDE, 3) in rows of equal height."""
    rows = np.array(colours, np.uint8)[np.arange(SIDE) * len(colours) // SIDE]
    return np.repeat(rows[:, None], SIDE, 1)


def ramp(white: float, kind) -> np.ndarray:
    """Greys (SIDE, SIDE) from 0 at the left to white at the right."""
    exact = RAMP * white
    return np.tile((exact if np.dtype(kind).kind == "f" else np.rint(exact)).astype(kind), (SIDE, 1))


def levels(picture: torch.Tensor) -> np.ndarray:
    """The 256 levels of a picture in 0…1."""
    return np.round(picture.numpy() * 255)


# ------------------------------------------------------------------ colour profiles


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB, SWAPPED], ids=["Display P3", "Adobe RGB", "swapped"])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_colour_profiles_are_honoured(tmp_path, primaries, suffix):
    path = tmp_path / f"picture.{suffix}"
    lossless = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(stripes()).save(path, icc_profile=rgb_profile(primaries), **lossless)
    expected = in_srgb(stripes() / 255, primaries) * 255
    inner = np.arange(SIDE) % 8 == 5  # JPEG blurs over the edges between colours
    assert np.abs(levels(load_picture(path)) - expected)[inner].max() <= (4 if suffix == "jpg" else 2)


def test_a_profile_leaves_opacity_and_palettes_as_they_are(tmp_path):
    pixels = np.dstack([stripes(), np.tile(np.arange(SIDE, dtype=np.uint8) * 4, (SIDE, 1))])
    Image.fromarray(pixels).save(tmp_path / "clear.png", icc_profile=rgb_profile(DISPLAY_P3))
    picture = levels(load_picture(tmp_path / "clear.png", alpha=True))
    assert np.array_equal(picture[..., 3], pixels[..., 3])
    Image.fromarray(stripes()).quantize(8).save(tmp_path / "palette.png", icc_profile=rgb_profile(DISPLAY_P3))
    expected = in_srgb(stripes() / 255, DISPLAY_P3) * 255
    assert np.abs(levels(load_picture(tmp_path / "palette.png")) - expected).max() <= 2
    assert np.abs(picture[:, 1:, :3] - expected[:, 1:]).max() <= 2


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65_535)])
def test_profiles_of_greys_are_honoured(tmp_path, kind, white):
    stored = ramp(white, kind)
    Image.fromarray(stored).save(tmp_path / "grey.png", icc_profile=grey_profile(1.0))
    expected = in_srgb(np.repeat(stored[..., None] / white, 3, -1), exponent=1.0) * 255
    # sRGB is steep near black, and what lies between 256 levels is interpolated
    assert np.abs(load_picture(tmp_path / "grey.png").numpy() * 255 - expected)[:, 4:].max() <= 1.5


def test_lab_pictures_are_shown_in_colour(tmp_path):
    Image.merge("LAB", [Image.new("L", (SIDE, SIDE), level) for level in (138, 81 + 128 - 1, 70 + 128 - 1)]).save(
        tmp_path / "lab.tif"
    )
    red, green, blue = levels(load_picture(tmp_path / "lab.tif"))[0, 0]
    assert red > 240
    assert max(green, blue) < 60


@pytest.mark.parametrize("profile", [b"no profile at all", rgb_profile(SWAPPED)[:150], grey_profile(1.8)])
def test_a_profile_that_cannot_be_used_is_left_out(tmp_path, caplog, profile):
    Image.fromarray(stripes()).save(tmp_path / "picture.png", icc_profile=profile)
    assert np.array_equal(levels(load_picture(tmp_path / "picture.png")), stripes())
    assert "profile" in caplog.text


# ------------------------------------------------------------------ kinds of pixels


@pytest.mark.parametrize(
    ("kind", "white", "suffix"),
    [
        (np.uint16, 65_535, "png"),
        (np.uint16, 65_535, "tif"),
        (np.int32, 255, "tif"),
        (np.int32, 65_520, "tif"),
        (np.int32, 2**31 - 1, "tif"),
        (np.float32, 1, "tif"),
        (np.float32, 255, "tif"),
        (np.float32, 65_535, "tif"),
        (np.float32, 1e9, "tif"),
    ],
)
def test_greys_of_every_depth_are_a_ramp(tmp_path, kind, white, suffix):
    Image.fromarray(ramp(white, kind)).save(tmp_path / f"grey.{suffix}")
    expected = np.repeat(np.tile(RAMP, (SIDE, 1))[..., None], 3, -1)
    assert np.abs(load_picture(tmp_path / f"grey.{suffix}").numpy() - expected).max() < 0.6 / 255


def tiff(greys: np.ndarray, bits: int, meaning: int) -> bytes:
    """An uncompressed TIFF; `meaning` is its SampleFormat: 1 unsigned, 2 signed."""
    height, width = greys.shape
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8 + 2 + 9 * 12 + 4, 278: height}
    entries |= {279: greys.nbytes, 339: meaning}
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4) + greys.tobytes()


@pytest.mark.parametrize(
    ("kind", "white", "bits", "meaning"),
    [("<u4", 2**32 - 1, 32, 1), ("<i4", 2**31 - 1, 32, 2), ("<i2", 32_767, 16, 2), ("<u2", 65_535, 16, 1)],
)
def test_integers_are_read_as_their_tiff_says(tmp_path, kind, white, bits, meaning):
    (tmp_path / "grey.tif").write_bytes(tiff(ramp(white, kind), bits, meaning))
    assert np.abs(load_picture(tmp_path / "grey.tif")[0, :, 0].numpy() - RAMP).max() < 0.6 / 255


def test_highlights_beyond_white_do_not_darken_a_floating_point_picture(tmp_path):
    bright = ramp(1, np.float32)
    bright[0, 0] = 1.7
    Image.fromarray(bright).save(tmp_path / "bright.tif")
    picture = load_picture(tmp_path / "bright.tif")
    assert picture[0, 0, 0] == 1
    assert np.abs(picture[1, :, 0].numpy() - RAMP).max() < 1e-6


def test_cmyk_and_single_bits_become_colours(tmp_path):
    ink = np.zeros((SIDE, SIDE, 4), np.uint8)
    ink[..., 1:3] = 255
    Image.fromarray(ink, "CMYK").save(tmp_path / "ink.jpg", quality=100)
    assert np.abs(levels(load_picture(tmp_path / "ink.jpg")) - (255, 0, 0)).max() <= 2
    halves = np.tile(np.arange(SIDE) >= SIDE // 2, (SIDE, 1))
    Image.fromarray(halves).save(tmp_path / "halves.png")
    assert np.array_equal(load_picture(tmp_path / "halves.png")[..., 1].numpy(), halves)


def test_not_a_number_is_refused(tmp_path):
    Image.fromarray(np.full((SIDE, SIDE), np.nan, np.float32)).save(tmp_path / "grey.tif")
    with pytest.raises(ValueError, match=r"grey\.tif.*NaN"):
        load_picture(tmp_path / "grey.tif")


# ------------------------------------------------------------------ transparency


def disc() -> np.ndarray:
    across = np.arange(SIDE) - SIDE / 2 + 0.5
    return across[:, None] ** 2 + across**2 < (SIDE / 3) ** 2


def cut_out(folder, kind: str):
    """A file with a disc of one colour on transparent ground over other colours, and that colour."""
    path, colour = folder / f"{kind}.png", (200, 150, 120)
    shown = np.where(disc()[..., None], colour, np.random.randint(0, 256, (SIDE, SIDE, 3))).astype(np.uint8)
    options = {}
    if kind == "RGBA":
        image = Image.fromarray(np.dstack([shown, disc() * np.uint8(255)]))
    elif kind == "LA":
        image, colour = Image.fromarray(np.dstack([shown[..., 0], disc() * np.uint8(255)])), (200, 200, 200)
    elif kind == "P":
        image = Image.fromarray(disc().astype(np.uint8))
        image.putpalette([0, 0, 0, *colour])
        options = {"transparency": 0}
    elif kind == "RGB":
        image = Image.fromarray(np.where(disc()[..., None], colour, (1, 2, 3)).astype(np.uint8))
        options = {"transparency": (1, 2, 3)}
    else:
        image = Image.fromarray(np.where(disc(), 200 * 257, 777).astype(np.uint16))
        options, colour = {"transparency": 777}, (200, 200, 200)
    image.save(path, **options)
    return path, colour


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB", "I;16"])
def test_hidden_colours_never_show(tmp_path, kind):
    path, colour = cut_out(tmp_path, kind)
    picture = load_picture(path)
    assert (picture[~disc()] == GROUND).all()
    assert np.array_equal(levels(picture[disc()]), np.tile(colour, (disc().sum(), 1)))
    kept = load_picture(path, alpha=True)
    assert np.array_equal(kept[..., 3].numpy(), disc())
    assert (kept[..., :3][~disc()] == GROUND).all()


def test_half_transparent_pixels_lie_over_the_ground(tmp_path):
    Image.new("RGBA", (SIDE, SIDE), (0, 100, 200, 51)).save(tmp_path / "veil.webp", lossless=True)
    mixed = 0.2 * np.array([0, 100, 200]) / 255 + 0.8 * GROUND
    assert np.abs(load_picture(tmp_path / "veil.webp").numpy() - mixed).max() < 1e-6
    assert load_picture(tmp_path / "veil.webp", alpha=True)[0, 0, 3] == pytest.approx(0.2)


# ------------------------------------------------------------------ orientation


TURNS = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_orientation_is_honoured(tmp_path, orientation, suffix):
    pixels = np.random.randint(0, 256, (40, 50, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"turned.{suffix}", exif=exif, **lossless)
    assert np.array_equal(levels(load_picture(tmp_path / f"turned.{suffix}")), TURNS[orientation](pixels))


def test_deep_greys_are_turned_too(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp(65_535, np.uint16)).save(tmp_path / "turned.png", exif=exif)
    assert np.abs(load_picture(tmp_path / "turned.png")[:, 0, 0].numpy() - RAMP).max() < 1e-4


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what is damaged
@pytest.mark.parametrize(
    "exif", [b"nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01"]
)
def test_damaged_exif_data_refuse_no_picture(tmp_path, exif):
    Image.fromarray(stripes()).save(tmp_path / "picture.png", exif=exif)
    assert np.array_equal(levels(load_picture(tmp_path / "picture.png")), stripes())


# ------------------------------------------------------------------ what is not opened


def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch):
    path = tmp_path / "drawing.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n")
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(ValueError, match=r"Cannot read .*drawing\.png"):
        load_picture(path)
    assert not {"EPS", "WMF", "HDF5", "GRIB", "BUFR", "MPEG"} & set(FORMATS)


def test_sizes_are_judged_before_decoding(tmp_path, monkeypatch):
    """A file of 100 bytes that claims 12000×7000 pixels is refused by its header."""
    path = tmp_path / "huge.png"
    header = b"IHDR" + struct.pack(">IIBBBBB", 12_000, 7_000, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + crc + b"\0\0\0\0IDAT\x35\xaf\x06\x1e")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    with pytest.raises(ValueError, match=r"12000×7000 pixels.*8192"):
        load_picture(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of what is damaged
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_damaged_files_get_a_sentence(tmp_path, suffix):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"damaged.{suffix}"
    Image.fromarray(stripes()).save(whole)
    content = whole.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(content[: generator.integers(4, len(content) + 1)])
        for place in generator.integers(0, len(damaged), 3):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            load_picture(path)
        except ValueError:
            refused += 1
    assert refused


def test_heic_names_the_package_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ValueError, match=r"phone\.heic is a HEIC picture.*pip install pillow-heif"):
        load_picture(path)


def test_heic_is_read_where_its_package_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    halves = np.zeros((SIDE, SIDE, 3), np.uint8)
    halves[:, SIDE // 2 :, 0] = 200
    pillow_heif.from_bytes("RGB", (SIDE, SIDE), halves.tobytes()).save(tmp_path / "phone.heic", quality=90)
    assert np.abs(levels(load_picture(tmp_path / "phone.heic")) - halves)[:, ::16].max() < 12


# ------------------------------------------------------------------ animations


def pages(count: int, mode: str = "RGB"):
    """Images each of which has its own grey level."""
    return [
        Image.fromarray(np.full((40, 48, 3), 20 * index + 10, np.uint8)).convert(mode) for index in range(count)
    ]


ANIMATED = {
    "webp": {"lossless": True, "save_all": True},
    "gif": {"save_all": True},
    "png": {"save_all": True},
    "avif": {"save_all": True, "quality": 95},
}


@pytest.mark.parametrize("suffix", ANIMATED)
def test_animated_pictures_give_every_frame_and_how_long_it_is_shown(tmp_path, suffix):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    path, milliseconds = tmp_path / f"moving.{suffix}", [40, 40, 120, 40, 80]
    first, *others = pages(5)
    first.save(path, append_images=others, duration=milliseconds, **ANIMATED[suffix])
    assert is_animated(path)
    frames = list(animated_frames(path))
    assert [frame.duration for frame in frames] == [Fraction(value, 1000) for value in milliseconds]
    for index, frame in enumerate(frames):
        assert frame.pixels.shape == (40, 48, 4)
        assert frame.pixels.dtype == torch.uint8
        assert (frame.pixels[..., :3].int() - (20 * index + 10)).abs().max() <= 2
        assert (frame.pixels[..., 3] == 255).all()


def test_frames_of_an_animation_lie_over_those_before(tmp_path):
    """Only what changes is stored in a GIF; each frame is whole all the same."""
    still = np.tile(np.arange(48, dtype=np.uint8) * 5, (40, 1))
    images = []
    for index in range(4):
        changed = still.copy()
        changed[10:14, 8 * index : 8 * index + 4] = 255
        images.append(Image.fromarray(changed))
    images[0].save(tmp_path / "moving.gif", save_all=True, append_images=images[1:], duration=50)
    for frame, image in zip(animated_frames(tmp_path / "moving.gif"), images, strict=True):
        assert np.array_equal(frame.pixels[..., 0].numpy(), np.asarray(image))


def test_transparent_animations_keep_their_opacity(tmp_path):
    images = [Image.new("RGBA", (40, 48), (200, 0, 0, 255 * (index % 2))) for index in range(4)]
    images[0].save(tmp_path / "moving.webp", save_all=True, append_images=images[1:], duration=40, lossless=True)
    shown = [int(frame.pixels[0, 0, 3]) for frame in animated_frames(tmp_path / "moving.webp")]
    assert shown == [0, 255, 0, 255]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_frames_that_are_too_short_last_as_long_as_in_browsers(tmp_path, suffix):
    first, *others = pages(3)
    first.save(tmp_path / f"fast.{suffix}", append_images=others, duration=10, **ANIMATED[suffix])
    assert {frame.duration for frame in animated_frames(tmp_path / f"fast.{suffix}")} == {Fraction(1, 10)}


def test_the_still_before_an_animated_png_is_no_frame_of_it(tmp_path):
    still, *others = pages(4)
    still.save(tmp_path / "moving.png", save_all=True, append_images=others, duration=40, default_image=True)
    assert [int(frame.pixels[0, 0, 0]) for frame in animated_frames(tmp_path / "moving.png")] == [30, 50, 70]


def test_stills_and_other_files_are_not_animated(tmp_path):
    Image.fromarray(stripes()).save(tmp_path / "still.webp")
    assert not is_animated(tmp_path / "still.webp")
    assert len(list(animated_frames(tmp_path / "still.webp"))) == 1
    (tmp_path / "voice.wav").write_bytes(b"RIFF....WAVE")
    assert not is_animated(tmp_path / "voice.wav")
    assert not is_animated(tmp_path / "nothing.gif")


def test_an_animation_is_a_picture_too(tmp_path):
    first, *others = pages(3)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=others)
    assert levels(stored_picture(tmp_path / "moving.gif"))[0, 0].tolist() == [10, 10, 10, 255]


def test_long_texts_refuse_no_memory(tmp_path):
    """A text that unpacks to more than it should is refused by a sentence."""
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "a" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.fromarray(stripes()).save(tmp_path / "bomb.png", pnginfo=info)
    with pytest.raises(ValueError, match=r"Cannot read .*bomb\.png"):
        load_picture(tmp_path / "bomb.png")
