"""What other packs put on IMAGE, AUDIO, MASK and VIDEO wires, and what becomes of it."""

import logging
from collections.abc import Mapping
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch
from test_nodes import pack_module

wires = pack_module("nodes.wires")
GROUND = pack_module("lp_core.media.picture").GROUND

LEVELS = torch.randint(0, 256, (3, 40, 48, 3), generator=torch.Generator().manual_seed(0))
KINDS = {
    torch.float32: (1 / 255, 1e-6),
    torch.float64: (1 / 255, 1e-6),
    torch.float16: (1 / 255, 2**-11),
    torch.bfloat16: (1 / 255, 2**-8),
    torch.uint8: (1, 1e-6),
    torch.uint16: (257, 1e-6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_every_kind_show_the_same(kind):
    scale, tolerance = KINDS[kind]
    images = (LEVELS * scale).to(kind)
    for seen in (wires.frames_of(images), wires.frames_of(wires.stack_of(images))):
        assert seen.dtype == torch.float32
        torch.testing.assert_close(seen, LEVELS / 255, atol=tolerance, rtol=0)
    torch.testing.assert_close(wires.picture_of(images), LEVELS[0] / 255, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.int16, torch.int8, torch.complex64])
@pytest.mark.parametrize("taken", [wires.stack_of, wires.frames_of, wires.picture_of])
def test_images_that_do_not_say_what_is_white_are_refused(kind, taken):
    with pytest.raises(ValueError, match=rf"uint8 or uint16; got {kind}"):
        taken(torch.ones(1, 40, 48, 3).to(kind))


def test_one_picture_without_a_batch_is_a_batch_of_one():
    one = LEVELS[0] / 255
    assert torch.equal(wires.stack_of(one), one[None])
    assert torch.equal(wires.frames_of(one), one[None])
    assert torch.equal(wires.picture_of(one), one)
    grey = one[..., :1]
    assert torch.equal(wires.frames_of(grey)[0], grey.expand(-1, -1, 3))


def test_hidden_colours_of_an_image_never_show():
    images = torch.rand(2, 40, 48, 4)
    images[..., 3] = 0
    images[:, :20, :, 3] = 1
    frames = wires.frames_of(images)
    assert torch.equal(frames[:, :20], images[:, :20, :, :3])
    assert (frames[:, 20:] == GROUND).all()
    kept = wires.frames_of(images, alpha=True)
    assert torch.equal(kept[..., 3], images[..., 3])
    assert (kept[:, 20:, :, :3] == GROUND).all()


def test_nothing_is_written_to_what_came_in():
    images = torch.full((2, 40, 48, 4), 2.0)
    wires.frames_of(images)
    wires.picture_of(images)
    assert (images == 2).all()


def test_masks_of_every_kind_mark_the_same():
    mask = torch.zeros(1, 40, 48)
    mask[:, 10:20] = 1
    expected = wires.mask_of(mask, LEVELS[0] / 255)
    for other in (mask.bool(), (mask * 255).to(torch.uint8), mask[0], mask.half()):
        assert torch.equal(wires.mask_of(other, LEVELS[0] / 255), expected)


# ------------------------------------------------------------------ sound


class LazySound(Mapping):
    """A sound that is read when somebody asks for it, as other packs' video loaders give one."""

    def __init__(self, reads):
        self._reads = reads

    def __getitem__(self, key):
        return self._reads()[key]

    def __iter__(self):
        return iter(self._reads())

    def __len__(self):
        return len(self._reads())


class BareLazySound:
    """The same, by a pack that does not derive it from Mapping."""

    def __init__(self, reads):
        self._reads = reads

    def __getitem__(self, key):
        return self._reads()[key]


def fails():
    raise Exception("failed to extract audio from clip.mp4: no such stream")


SILENT = {
    "nothing": {},
    "no samples": {"waveform": torch.zeros(1, 2, 0), "sample_rate": 44_100},
    "no batch": {"waveform": torch.zeros(0, 2, 100), "sample_rate": 44_100},
    "no waveform": {"waveform": None, "sample_rate": 44_100},
    "no rate": {"waveform": torch.zeros(1, 1, 0)},
    "lazy and failing": LazySound(fails),
    "lazy and empty": LazySound(lambda: {"waveform": torch.zeros(1, 2, 0), "sample_rate": 44_100}),
    "bare and failing": BareLazySound(fails),
}


@pytest.mark.parametrize("sound", SILENT.values(), ids=SILENT)
def test_an_optional_sound_that_is_none_is_left_out_with_a_line_in_the_log(sound, caplog):
    with caplog.at_level(logging.WARNING):
        assert wires.optional_audio(sound) is None
    assert "without sound" in caplog.text
    with pytest.raises(ValueError, match="no sound on the audio input"):
        wires.audio_of(sound)


def test_an_input_that_is_not_connected_is_no_line_in_the_log(caplog):
    assert wires.optional_audio(None) is None
    assert not caplog.text


@pytest.mark.parametrize("wrapped", [LazySound, BareLazySound])
def test_lazy_sounds_are_read(wrapped):
    waveform = torch.rand(1, 2, 100)
    heard = wires.optional_audio(wrapped(lambda: {"waveform": waveform, "sample_rate": 44_100}))
    assert heard.sample_rate == 44_100
    assert torch.equal(heard.waveform, waveform[0])


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (torch.int16, lambda x: (x * 2**15).round()),
        (torch.int32, lambda x: (x.double() * 2**31).round()),
        (torch.uint8, lambda x: (x * 128).round() + 128),
        (torch.float16, lambda x: x),
        (torch.bfloat16, lambda x: x),
        (torch.float64, lambda x: x),
    ],
)
def test_sounds_of_every_kind_are_as_loud(kind, stored):
    wave = torch.linspace(-0.9, 0.9, 101)[None, None]
    heard = wires.audio_of({"waveform": stored(wave).to(kind), "sample_rate": 16_000}).waveform
    assert heard.dtype == torch.float32
    coarse = {torch.uint8: 1 / 128, torch.bfloat16: 2**-8}
    torch.testing.assert_close(heard, wave[0], atol=coarse.get(kind, 2**-11), rtol=0)


@pytest.mark.parametrize("kind", [torch.int64, torch.int8, torch.bool])
def test_sounds_that_do_not_say_how_loud_they_are_are_refused(kind):
    for taken in (wires.audio_of, wires.optional_audio):
        with pytest.raises(ValueError, match=rf"int16, int32 or uint8; got {kind}"):
            taken({"waveform": torch.ones(1, 1, 100).to(kind), "sample_rate": 16_000})


@pytest.mark.parametrize("sound", [None, *SILENT.values()], ids=["none", *SILENT])
def test_a_silent_video_is_a_video(sound):
    parts = SimpleNamespace(images=LEVELS / 255, audio=sound, frame_rate=Fraction(25))
    frames, heard, rate = wires.video_parts(SimpleNamespace(get_components=lambda: parts))
    assert torch.equal(frames, LEVELS / 255)
    assert heard is None
    assert rate == 25
