import logging
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from liveportrait_goldens import (
    REGIONS,
    clip_portraits,
    configurations,
    driver,
    driving_picture,
    full_networks,
    golden,
    keypoint_portrait,
    keypoint_renderer,
    small_networks,
    source_picture,
    source_portrait,
    source_view,
    whole_view,
    write_small_weights,
)
from slow_copy_stream import SlowCopyStream

from talking_head.lp_core.choice import _liveportrait, choose_renderer, extractor_for
from talking_head.lp_core.compute.device import cpu_has_bfloat16
from talking_head.lp_core.faces.crop import CropOptions, blend_mask, invert_affine, paste, sample
from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.faces import Face
from talking_head.lp_core.liveportrait.entries import HUMAN
from talking_head.lp_core.liveportrait.extractor import LivePortraitExtractor
from talking_head.lp_core.liveportrait.networks import load_networks, unusable_weights
from talking_head.lp_core.liveportrait.renderer import LivePortraitRenderer, WarpingDecoder
from talking_head.lp_core.mesh.extractor import LandmarkExtractor
from talking_head.lp_core.mesh.renderer import MeshRenderer
from talking_head.lp_core.motion.keypoints import place, rotation_matrix, transform
from talking_head.lp_core.motion.retarget import hold, measured_from, transfer, transfer_to_clip
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.motion.sliders import Sliders, slider_expression
from talking_head.lp_core.motion.smoothers import kalman
from talking_head.lp_core.once import log_once
from talking_head.lp_core.render.openings import Retargeter, open_eyes_to, open_lips_to
from talking_head.lp_core.render.portrait import RenderOptions
from talking_head.lp_core.render.render import clip_motion, render, render_clip, render_over, render_together

TIGHT = 2e-6  # from stored motion; the goldens' README
FROM_PIXELS = 3e-5
TEMPLATES = {"img": "img_tpl", "cro": "crop_tpl"}
FROM_OTHER_PIXELS = ("nocrop_rel_all", "norot_rel_all")
PICTURE = sorted(
    name for name in configurations("pipeline") if not name.startswith("v2v") and name not in FROM_OTHER_PIXELS
)
CLIP = sorted(name for name in configurations("pipeline") if name.startswith("v2v"))
SLIDER_NAMES = {
    "smile": "smile",
    "lip_variation_zero": "pout",
    "lip_variation_one": "purse",
    "lip_variation_two": "grin",
    "lip_variation_three": "lip_open",
    "wink": "wink",
    "eyebrow": "eyebrow",
    "mov_x": "move_x",
    "mov_y": "move_y",
    "eyeball_direction_x": "gaze_x",
    "eyeball_direction_y": "gaze_y",
}


def options_of(given: dict) -> RenderOptions:
    """Our options for the original's."""
    animal = given.get("animal", False)
    return RenderOptions(
        relative=given.get("flag_relative_motion", True) and not animal,
        regions=(REGIONS[given.get("animation_region", "all")],),
        keep_identity=not animal,
        anchored=animal or given.get("driving_option") != "pose-friendly",
        multiplier=given.get("driving_multiplier", 1.0),
        stitching=given.get("flag_stitching", True),
        close_mouth=given.get("flag_normalize_lip", False),
    )


def values(motion) -> tuple[torch.Tensor, ...]:
    return motion.expression, motion.rotation, motion.scale, motion.translation


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float):
    torch.testing.assert_close(actual, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", PICTURE)
def test_a_driven_picture_has_the_originals_keypoints(name):
    given, stored = configurations("pipeline")[name], golden("pipeline_motion")
    portrait = source_portrait("closed_lmk203" if "closed" in name else "src_lmk203")
    options = options_of(given)
    if not options.relative and not given.get("animal"):
        options = replace(options, anchored=False)  # the original forgets its option there
    prefix = TEMPLATES.get(name[:3], "drv_tpl")
    of_picture = prefix == "img_tpl" and options.relative
    motion = driving_picture(options.regions[0]) if of_picture else driver(prefix)
    own = transfer(motion, portrait.rest, options.relative, options.regions, options.keep_identity)
    eyes, lips = given.get("flag_eye_retargeting"), given.get("flag_lip_retargeting")
    if (eyes or lips) and options.relative:
        own = hold(own, ("all",))  # the original throws the driver's motion away
    if eyes:
        opening = stored[f"{prefix}.c_eyes"][:, 0]
        own = open_eyes_to(own, portrait, opening, opening, keep_own=True)
    if lips:
        own = open_lips_to(own, portrait, stored[f"{prefix}.c_lip"][:, 0], keep_own=True)
    assert_close(portrait.drawing.placed, stored[f"{name}.x_s"][:1], TIGHT)
    assert_close(keypoint_renderer().driving_keypoints(portrait, own, options), stored[f"{name}.x_d"], TIGHT)


@pytest.mark.parametrize("name", CLIP)
def test_a_driven_clip_has_the_originals_keypoints(name):
    """But for rotations, which the original smooths into matrices that are none; put those in, all is equal."""
    given, stored, portraits = configurations("pipeline")[name], golden("pipeline_motion"), clip_portraits()
    options = replace(options_of(given), anchored=False)
    if given.get("flag_source_video_eye_retargeting"):
        opening = float(portraits[0].drawing.eye_ratios.mean())
        options = replace(
            options, eye_opening=opening if opening >= 0.18 else 0.39
        )  # the original opens narrow eyes
    if "_img_" in name:
        motion = driving_picture("all") if options.relative else driver("img_tpl")
    else:
        motion = driver("drv_tpl")
    variance = given.get("driving_smooth_observation_variance", 3e-7)
    clip = clip_motion(portraits, 25)
    own = transfer_to_clip(motion, clip, options.relative, options.regions, variance)
    matrices = rotation_matrix(own.rotation)
    if len(motion) > 1 and {"all", "pose"} & set(options.regions):
        turned = rotation_matrix(motion.rotation.double())
        if options.relative:
            turned = motion.relative_rotation().double() @ rotation_matrix(clip.rotation.double())
        smooth = kalman(turned, observation=variance)
        assert (matrices @ matrices.mT - torch.eye(3)).abs().max() < 1e-6
        assert (matrices - smooth).norm(dim=(1, 2)).max() < 1.2 * nearest_distance(smooth)
        matrices = smooth.float()
    renderer = keypoint_renderer()
    for index, portrait in enumerate(portraits):
        source, frame = portrait.drawing.placed, own[index : index + 1]
        driving = place(
            portrait.keypoints, frame.expression, matrices[index : index + 1], frame.scale, frame.translation
        )
        moved = renderer.stitched(source, driving) + renderer._setting_right(portrait, options)
        assert_close(source, stored[f"{name}.x_s"][index : index + 1], TIGHT)
        assert_close(moved, stored[f"{name}.x_d"][index : index + 1], TIGHT)


def nearest_distance(matrices: torch.Tensor) -> float:
    """How far matrices are from being rotations: the largest distance to the nearest ones, by singular values."""
    return float((torch.linalg.svdvals(matrices) - 1).norm(dim=-1).max()) + 1e-6


@pytest.mark.parametrize("name", FROM_OTHER_PIXELS)
def test_other_crops_have_the_originals_keypoints_from_pixels(name):
    view = source_view(CropOptions(upright=False)) if name.startswith("norot") else whole_view()
    portrait = portrait_from(view)
    options = options_of(configurations("pipeline")[name])
    own = transfer(driver("drv_tpl"), portrait.rest)
    driving = keypoint_renderer().driving_keypoints(portrait, own, options)
    assert_close(portrait.drawing.placed, golden("pipeline_motion")[f"{name}.x_s"][:1], FROM_PIXELS)
    assert_close(driving, golden("pipeline_motion")[f"{name}.x_d"], FROM_PIXELS)


def portrait_from(view: torch.Tensor):
    keypoints, motion = keypoint_renderer().read_motion(view)
    return keypoint_portrait(keypoints[0], motion[0], golden("pipeline_motion")["src_lmk203"])


@pytest.fixture(scope="module")
def edited_portrait():
    return portrait_from(source_view(CropOptions(scale=2.5)))


@pytest.mark.parametrize("name", sorted(configurations("edit")))
def test_the_originals_editor_gives_the_same_keypoints(name, edited_portrait):
    given, stored, portrait = configurations("edit")[name], golden("edit"), edited_portrait
    renderer, rest = keypoint_renderer(), portrait.rest
    sliders = Sliders(**{SLIDER_NAMES[key]: value for key, value in given.items() if key in SLIDER_NAMES})
    turn = torch.tensor([given.get(f"input_head_{axis}_variation", 0.0) for axis in ("pitch", "yaw", "roll")])
    still = MotionSequence(*(value[None] for value in values(rest)), fps=Fraction(25), rest=rest)
    motion = replace(still, expression=still.expression + slider_expression(sliders))
    motion = replace(motion, rotation=motion.rotation + turn, scale=motion.scale * given.get("mov_z", 1.0))
    driving = transform(portrait.keypoints, *values(motion))
    driving[..., 2] += rest.translation[2]  # the original lets it through here and nowhere else
    if "input_eye_ratio" in given:
        wanted = torch.tensor([given["input_eye_ratio"]])
        driving = driving + renderer.eye_displacement(portrait, wanted, wanted)
    if "input_lip_ratio" in given:
        driving = driving + renderer.lip_displacement(portrait, torch.tensor([given["input_lip_ratio"]]))
    if given["stitch"]:
        driving = renderer.stitched(portrait.drawing.placed, driving)
    assert_close(portrait.drawing.placed, stored[f"{name}.x_s"], 2e-5)
    assert_close(driving, stored[f"{name}.x_d"], 2e-5)


@pytest.fixture(scope="module")
def full_frame() -> torch.Tensor:
    """One frame of the full-size networks: the source's crop through F, stored keypoints through W and G."""
    renderer = LivePortraitRenderer(full_networks())
    stored = golden("pipeline_frames")
    with torch.inference_mode():
        volume = renderer._appearance(golden("pipeline_motion")["src_crop256_u8"].permute(2, 0, 1)[None] / 255)
        return renderer._warping_decoder.paint(volume, stored["x_s"], stored["x_d"])


def test_a_frame_equals_the_originals_within_a_grey_level(full_frame):
    stored = golden("pipeline_frames")
    off = (full_frame[:, ::4, ::4].permute(0, 3, 1, 2) - stored["out_s4"]).abs()
    assert off.max() < 1e-4
    assert off.mean() < 5e-6
    off = ((full_frame * 255).floor()[:, ::2, ::2] - stored["out_u8_s2"]).abs()
    assert off.max() <= 1
    assert (off > 0).float().mean() < 2e-3


@pytest.fixture
def quick_bfloat16(monkeypatch):
    """On CPUs without it, bfloat16 convolutions as those with it do them: single sums of rounded numbers."""
    if cpu_has_bfloat16():
        return

    def summed_in_single(convolve):
        def convolved(x, weight, bias=None, *how, **named):
            whole = convolve(x.float(), weight.float(), None if bias is None else bias.float(), *how, **named)
            return whole.to(x.dtype)

        return convolved

    for name in ("conv2d", "conv3d"):
        monkeypatch.setattr(F, name, summed_in_single(getattr(F, name)))


@pytest.mark.usefixtures("quick_bfloat16")
def test_a_frame_in_lower_precision_is_the_originals_within_half_a_grey_level_on_average():
    stored, networks = golden("pipeline_frames"), full_networks()
    warping_decoder = WarpingDecoder(
        deepcopy(networks.warping), deepcopy(networks.decoder), torch.device("cpu"), torch.bfloat16
    )
    with torch.inference_mode():
        volume = networks.appearance(golden("pipeline_motion")["src_crop256_u8"].permute(2, 0, 1)[None] / 255)
        frame = warping_decoder.paint(volume, stored["x_s"], stored["x_d"])
    off = 255 * (frame[:, ::4, ::4].permute(0, 3, 1, 2) - stored["out_s4"]).abs()
    assert 0.01 < off.mean() <= 0.5  # exactly equal would be float32 under another name


def test_a_pasted_frame_equals_the_originals(full_frame):
    """Within what its three roundings to bytes take and give; done with them it is equal within a grey level."""
    stored, to_picture = golden("pipeline_frames")["pasteback_u8_s2"], golden("pipeline_motion")["src_M_c2o"][:2]
    picture = source_picture()[None]
    off = ((paste(full_frame, to_picture, picture) * 255).floor()[:, ::2, ::2] - stored).abs()
    assert off.max() <= 2
    assert off.mean() < 0.1
    y, x = torch.meshgrid(torch.arange(340.0), torch.arange(300.0), indexing="ij")
    positions = torch.stack([x, y], -1) @ invert_affine(to_picture)[:, :2].T + invert_affine(to_picture)[:, 2]
    mask = (blend_mask() * 255).floor()[None, None]
    weight = sample(mask, positions[None], "zeros").round()[0, 0, ..., None] / 255
    crop = (full_frame * 255).floor().permute(0, 3, 1, 2)
    shown = sample(crop, positions[None], "zeros").round().permute(0, 2, 3, 1)
    in_steps = (torch.lerp(picture * 255, shown, weight) + 1e-3).floor()
    off = (in_steps[:, ::2, ::2] - stored).abs()
    assert off.max() <= 1
    assert (off > 0).float().mean() < 2e-3


def test_the_source_crop_is_the_originals_from_pixels():
    expected = golden("pipeline_motion")["src_crop256_u8"]
    actual = source_view(CropOptions())[0].permute(1, 2, 0) * 255
    assert_close(actual, expected.float(), 1.01)
    assert (actual.round() != expected).float().mean() < 1e-2


# What follows uses small networks: their pictures mean nothing, but everything around them is real.


def face_in(picture: torch.Tensor, x: float = 0.5, y: float = 0.5, size: float = 0.25) -> Face:
    """The mean face somewhere in a picture, as shares of its sides."""
    height, width = picture.shape[:2]
    points = face_model().mean * size * width
    return Face(points + torch.tensor([x * width, y * height, 0.0]))


def moving(frames: int) -> MotionSequence:
    motion = MotionSequence(
        expression=torch.randn(frames, 21, 3) * 0.01,
        rotation=torch.randn(frames, 3) * 5,
        scale=1 + torch.rand(frames, 1) * 0.05,
        translation=torch.randn(frames, 3) * 0.02,
        fps=Fraction(25),
        rest=MotionFrame.neutral(),
    )
    return measured_from(motion, 0)


@pytest.fixture(scope="module")
def renderer() -> LivePortraitRenderer:
    return LivePortraitRenderer(small_networks())


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    coarse = torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(3))
    return F.interpolate(coarse, size=(120, 100), mode="bilinear")[0].permute(1, 2, 0)


@pytest.fixture(scope="module")
def portrait(renderer, picture):
    return renderer.portrait(picture, face_in(picture))


def drawn(portrait, motion, **options) -> torch.Tensor:
    return torch.cat(list(render(portrait, motion, RenderOptions(**options))))


def test_frames_do_not_depend_on_the_batch(portrait):
    motion = moving(5)
    one, all_at_once = drawn(portrait, motion, batch_size=1), drawn(portrait, motion, batch_size=5)
    assert one.shape == (5, 120, 100, 3)
    assert_close(one, all_at_once, 1e-5)
    assert one.diff(dim=0).abs().mean() > 1e-3


def test_frames_alone_are_crops_in_range(portrait):
    frames = drawn(portrait, moving(2), paste_back=False)
    assert frames.shape == (2, 512, 512, 3)
    assert 0 <= frames.min() <= frames.max() <= 1
    assert frames.std() > 0.01


def test_pasting_changes_nothing_outside_the_crop_or_the_mask(portrait, picture):
    mask = torch.zeros(120, 100)
    mask[40:80, 30:70] = 1
    frame = drawn(portrait, moving(1), mask=mask)[0]
    assert torch.equal(frame[mask == 0], picture[mask == 0])
    assert not torch.equal(frame[mask == 1], picture[mask == 1])


def test_features_are_made_once(renderer, picture, monkeypatch):
    calls = []
    forward = type(renderer._appearance).forward
    monkeypatch.setattr(
        type(renderer._appearance), "forward", lambda self, image: calls.append(1) or forward(self, image)
    )
    prepared = renderer.portrait(picture, face_in(picture))
    drawn(prepared, moving(3), batch_size=1)
    drawn(prepared, moving(1))
    assert calls == [1]


def test_at_rest_without_stitching_nothing_moves(renderer, portrait):
    still = MotionSequence.still(2, 25)
    own = transfer(still, portrait.rest)
    driving = renderer.driving_keypoints(portrait, own, RenderOptions(stitching=False))
    assert_close(driving, portrait.drawing.placed.expand(2, -1, -1), 1e-6)


def test_anchoring_is_nothing_when_relative(renderer, portrait):
    own = transfer(moving(3), portrait.rest)
    plain, anchored = (
        renderer.driving_keypoints(portrait, own, RenderOptions(anchored=on)) for on in (False, True)
    )
    assert_close(anchored, plain, 1e-5)


def test_multiplier_zero_stays_at_rest(renderer, portrait):
    own = transfer(moving(3), portrait.rest)
    driving = renderer.driving_keypoints(portrait, own, RenderOptions(multiplier=0.0))
    assert_close(driving, portrait.drawing.placed.expand(3, -1, -1), 1e-6)


def test_one_eye_opens_alone(renderer, portrait):
    own = portrait.drawing.eye_ratios
    same, lower = own[:1], torch.zeros(1)
    both = renderer.eye_displacement(portrait, lower, lower)
    left = renderer.eye_displacement(portrait, lower, same)
    none = renderer.eye_displacement(portrait, same, same)
    assert torch.equal(left[:, [11, 13]], both[:, [11, 13]])
    assert torch.equal(left[:, [15, 16]], none[:, [15, 16]])
    assert isinstance(renderer, Retargeter)


def test_retargeting_keeps_the_driving_motion_elsewhere(renderer, portrait):
    motion = moving(4)
    opened = open_lips_to(motion, portrait, 0.3)
    before, after = (transfer(one, portrait.rest) for one in (motion, opened))
    delta = renderer.lip_displacement(portrait, torch.full((4,), 0.3))
    moved = [transform(portrait.keypoints, *values(one)) for one in (before, after)]
    elsewhere = [index for index in range(21) if index not in (6, 12, 14, 17, 19, 20)]
    assert_close((moved[1] - moved[0])[:, elsewhere], delta[:, elsewhere], 1e-6)
    assert torch.equal(after.rotation, before.rotation)


class Poisoned(torch.nn.Module):
    """A decoder that overflows in half precision, as on cards whose convolutions do."""

    def __init__(self, decoder: torch.nn.Module, always: bool = False):
        super().__init__()
        self.decoder, self.always, self.calls = decoder, always, []
        self.prepare = decoder.prepare

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        self.calls.append(features.dtype)
        pictures = self.decoder(features)
        return pictures * float("nan") if self.always or features.dtype != torch.float32 else pictures


def warping_decoder(dtype: torch.dtype, always: bool = False) -> tuple[WarpingDecoder, Poisoned]:
    networks = small_networks()
    decoder = Poisoned(networks.decoder, always)
    return WarpingDecoder(networks.warping, decoder, torch.device("cpu"), dtype), decoder


def test_overflow_in_half_precision_is_drawn_again_in_single(portrait, caplog):
    placed, volume = portrait.drawing.placed, portrait.drawing.volume
    half, decoder = warping_decoder(torch.float16)
    single, _ = warping_decoder(torch.float32)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        again = half.paint(volume, placed, placed)
        half.paint(volume, placed, placed)
        expected = single.paint(volume, placed, placed)
    assert decoder.calls == [torch.float16, torch.float32, torch.float32]
    assert len(caplog.records) == 1
    assert (again - expected).abs().mean() < 0.02  # the weights keep the rounding of half precision


def test_batches_that_were_started_before_an_overflow_was_known_are_drawn_again_too(portrait, caplog):
    placed, volume = portrait.drawing.placed, portrait.drawing.volume
    half, decoder = warping_decoder(torch.float16)
    half._copy_stream = copy_stream = SlowCopyStream()
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        started = [half.start(volume, placed, placed) for _ in range(2)]
        assert copy_stream.log == ["copy", "copy"]  # nothing was waited for
        frames = [one() for one in started]
    assert decoder.calls == [torch.float16] * 2 + [torch.float32] * 2
    assert len(caplog.records) == 1
    assert torch.equal(*frames)
    assert torch.isfinite(frames[0]).all()


def test_on_a_gpu_the_next_batch_is_started_before_the_last_is_waited_for(renderer, portrait, monkeypatch):
    log, start, motion, pairs = [], type(renderer).start, moving(6), RenderOptions(batch_size=2)
    plain = list(render(portrait, motion, pairs))

    def watched(self, *given):
        log.append("start")
        finished = start(self, *given)
        return lambda: log.append("wait") or finished()

    monkeypatch.setattr(type(renderer), "start", watched)
    list(render(portrait, motion, pairs))
    assert log == ["start", "wait"] * 3
    log.clear()
    monkeypatch.setattr(type(renderer), "batches_ahead", 1)
    frames = list(render(portrait, motion, pairs))
    assert log == ["start", "start", "wait", "start", "wait", "wait"]
    assert all(torch.equal(one, other) for one, other in zip(frames, plain, strict=True))


def test_overflow_in_single_precision_is_an_error(portrait):
    poisoned, _ = warping_decoder(torch.float32, always=True)
    with torch.inference_mode(), pytest.raises(ValueError, match="NaN"):
        poisoned.paint(portrait.drawing.volume, portrait.drawing.placed, portrait.drawing.placed)


def test_half_precision_is_close_to_single(portrait):
    own = transfer(moving(2), portrait.rest)
    halved = LivePortraitRenderer(small_networks(), dtype=torch.bfloat16)
    options = RenderOptions(paste_back=False)
    exact = portrait.renderer.draw(portrait, own, options)
    assert (halved.draw(portrait, own, options) - exact).abs().mean() < 0.02


def test_faces_of_one_picture_move_together(renderer, picture):
    wide = torch.cat([picture, picture.flip(1)], 1)
    left, right = (renderer.portrait(wide, face_in(wide, x, size=0.06)) for x in (0.25, 0.75))
    motions = moving(3), moving(2)
    together = torch.cat(list(render_together([left, right], motions, RenderOptions(batch_size=2))))
    alone = drawn(left, motions[0])
    assert together.shape == (3, 120, 200, 3)
    assert_close(together[:, :, :90], alone[:, :, :90], 1e-5)
    assert (together[:, :, 110:] - wide[None, :, 110:]).abs().max() > 1e-3
    one_by_one = torch.cat(list(render_over(right, motions[1], alone, RenderOptions(batch_size=2))))
    assert_close(one_by_one, together, 1e-5)
    with pytest.raises(ValueError, match="same picture"):
        next(render_over(right, motions[1], alone[:, :50]))


@pytest.mark.parametrize("motions", [0, 1])
def test_every_portrait_needs_its_motion(portrait, motions):
    with pytest.raises(ValueError, match="motion"):
        next(render_together([portrait, portrait], [moving(2)] * motions))


def test_a_clip_drives_a_clip(renderer, picture):
    def portraits():
        return (renderer.portrait(picture.roll(index, 1), face_in(picture)) for index in range(4))

    own = transfer_to_clip(moving(6), clip_motion(portraits(), 25))
    frames = list(render_clip(portraits(), own))
    assert len(frames) == 4
    assert all(frame.shape == (1, 120, 100, 3) for frame in frames)


@pytest.mark.parametrize("make", [MeshRenderer, lambda: LivePortraitRenderer(small_networks())])
def test_both_renderers_run_the_same_work(make, picture):
    prepared = make().portrait(picture, face_in(picture))
    motion = open_eyes_to(open_lips_to(moving(3), prepared, 0.2), prepared, 0.1, 0.3)
    for relative in (True, False):
        for regions in (("all",), ("lips", "eyes"), ("pose",)):
            frames = drawn(prepared, motion, relative=relative, regions=regions)
            assert frames.shape == (3, 120, 100, 3)
            assert torch.isfinite(frames).all()


@pytest.mark.parametrize("where", [(0.0, 0.0), (1.0, 0.9), (0.5, 0.5)])
def test_a_face_at_the_border_is_drawn(renderer, picture, where):
    prepared = renderer.portrait(picture, face_in(picture, *where))
    assert torch.isfinite(drawn(prepared, moving(1))).all()


def test_a_crop_with_nothing_of_the_picture_is_pasted_nowhere(picture):
    far = torch.tensor([[1.0, 0, 1e4], [0, 1, 1e4]])
    pasted = paste(torch.ones(1, 512, 512, 3), far, picture[None])
    assert torch.equal(pasted[0], picture)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"regions": ("ears",)}, "regions"),
        ({"regions": ()}, "regions"),
        ({"multiplier": -1.0}, "multiplier"),
        ({"multiplier": float("nan")}, "multiplier"),
        ({"eye_opening": 2.0}, "eye opening"),
        ({"mask": torch.zeros(2, 2, 2)}, "mask"),
        ({"batch_size": 0}, "batch size"),
    ],
)
def test_bad_options_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        RenderOptions(**bad)


def test_a_mask_of_another_size_is_refused(portrait):
    with pytest.raises(ValueError, match="paste mask"):
        drawn(portrait, moving(1), mask=torch.ones(5, 5))


# Finding and loading weights.


@pytest.fixture
def folder(tmp_path):
    """A models folder with small networks in published form."""
    return write_small_weights(tmp_path)


@pytest.fixture(autouse=True)
def _nothing_kept():
    _liveportrait.cache_clear()
    log_once.cache_clear()


def test_auto_takes_liveportrait_when_its_weights_are_there(folder, caplog):
    with caplog.at_level(logging.INFO):
        chosen = [choose_renderer("auto", folders=[folder]) for _ in range(2)]
    assert chosen[0].name == "liveportrait"
    assert chosen[0] is chosen[1]
    assert [record.message for record in caplog.records] == ["Renderer: liveportrait; all its weights are there."]


def test_animals_have_weights_of_their_own(folder):
    with pytest.raises(FileNotFoundError, match="animal"):
        choose_renderer("liveportrait", folders=[folder], animals=True)
    assert choose_renderer("liveportrait", folders=[write_small_weights(folder, animals=True)], animals=True)


def test_motion_is_read_in_the_renderers_own_terms(folder):
    assert isinstance(extractor_for(choose_renderer("mesh")), LandmarkExtractor)
    assert isinstance(extractor_for(choose_renderer("liveportrait", folders=[folder])), LivePortraitExtractor)


def test_auto_takes_mesh_and_says_why_once(folder, caplog):
    (folder / HUMAN[1].places[0]).unlink()
    with caplog.at_level(logging.INFO):
        assert [choose_renderer("auto", folders=[folder]).name for _ in range(2)] == ["mesh", "mesh"]
    (record,) = caplog.records
    assert "liveportrait/motion_extractor is missing" in record.message


def test_missing_and_damaged_weights_are_named(folder):
    (folder / HUMAN[0].places[0]).unlink()
    cut_short = folder / HUMAN[2].places[0]
    cut_short.write_bytes(cut_short.read_bytes()[:-10])
    told = unusable_weights([folder])
    assert "appearance_feature_extractor is missing" in told
    assert "warping_module is damaged" in told
    with pytest.raises(FileNotFoundError, match="mesh"):
        load_networks([folder])
    with pytest.raises(FileNotFoundError, match="warping_module"):
        choose_renderer("liveportrait", folders=[folder])


def test_unknown_renderers_are_refused():
    with pytest.raises(ValueError, match="auto, mesh, liveportrait"):
        choose_renderer("sketch")
