"""The mesh renderer on the public-domain astronaut: what must hold whatever the picture looks like."""

from dataclasses import replace

import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file
from skimage import data

from talking_head.lp_core.faces.crop import CROP_SIZE, apply_affine, sample
from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.faces import Face
from talking_head.lp_core.faces.mesh_points import (
    KEYPOINT_LANDMARKS,
    LEFT_EYE,
    LOWER_LIP_ROWS,
    RIGHT_EYE,
    UPPER_LIP_ROWS,
)
from talking_head.lp_core.mesh.drawing import GRID, in_square
from talking_head.lp_core.mesh.lips import find_lip_line
from talking_head.lp_core.mesh.measures import measure
from talking_head.lp_core.mesh.renderer import MeshRenderer, head_motion
from talking_head.lp_core.mesh.rig import HIGHEST, LEARNED, SHAPES, HeadMotion, soft_limit
from talking_head.lp_core.mesh.sheet import Grid, invert, thin_plate, thin_plate_kernel
from talking_head.lp_core.motion.controls import NAMES, Controls, from_expression, to_expression
from talking_head.lp_core.motion.keypoints import transform
from talking_head.lp_core.motion.retarget import relative_to
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.render.portrait import Portrait, RenderOptions
from talking_head.lp_core.render.render import render

GOLDEN = ROOT / "tests" / "golden" / "mesh" / "astronaut_landmarks.safetensors"
EXACT = 1e-4  # brightness: float32 rounding of sample positions
ONE_STEP = 1 / 255


@pytest.fixture(scope="module")
def picture():
    return torch.from_numpy(data.astronaut()).float() / 255


@pytest.fixture(scope="module")
def landmarks():
    return load_file(GOLDEN)["landmarks"]


@pytest.fixture(scope="module")
def astronaut(picture, landmarks) -> Portrait:
    return MeshRenderer().portrait(picture, Face(landmarks))


def motion(frames=1, rotation=(0.0, 0.0, 0.0), shift=(0.0, 0.0), **controls) -> MotionSequence:
    """Motion from rest: each control and angle a number or one per frame."""
    moved = {name: torch.as_tensor(value, dtype=torch.float32).expand(frames) for name, value in controls.items()}
    still = MotionSequence.still(frames, 25)
    return replace(
        still,
        expression=to_expression(Controls.still(frames, **moved)),
        rotation=torch.tensor(rotation).expand(frames, 3).clone(),
        translation=torch.tensor([*shift, 0.0]).expand(frames, 3).clone(),
    )


def draw(portrait: Portrait, driven: MotionSequence, **options) -> torch.Tensor:
    return portrait.renderer.draw(portrait, relative_to(driven, portrait.rest), RenderOptions(**options))


def lively(frames=5) -> MotionSequence:
    """Motion in which everything moves, differently in each frame."""
    seeded = torch.Generator().manual_seed(1)
    amounts = torch.rand(frames, len(NAMES), generator=seeded) * 0.08
    return replace(
        MotionSequence.still(frames, 25),
        expression=to_expression(Controls.unstack(amounts)),
        rotation=torch.randn(frames, 3, generator=seeded) * 4,
        translation=torch.randn(frames, 3, generator=seeded) * 0.02,
        scale=1 + torch.randn(frames, 1, generator=seeded) * 0.02,
    )


def test_zero_motion_is_the_picture(astronaut, picture):
    frames = draw(astronaut, motion(2))
    assert (frames - picture).abs().max() < EXACT


def test_zero_motion_is_the_crop_without_paste_back(astronaut):
    frames = draw(astronaut, motion(1), paste_back=False)
    assert frames.shape == (1, CROP_SIZE, CROP_SIZE, 3)
    assert (frames[0] - astronaut.crop.image).abs().max() < EXACT


def test_eyes_at_rest_are_the_picture_while_the_mouth_moves(astronaut, picture):
    frame = draw(astronaut, motion(jaw=0.1))[0]
    for eye in (LEFT_EYE, RIGHT_EYE):
        x, y = astronaut.landmarks[eye.iris[0], :2].round().int().tolist()
        difference = (frame - picture)[y - 3 : y + 4, x - 3 : x + 4].abs().max()
        assert difference < 4 * ONE_STEP


def test_outside_of_the_head_nothing_moves(astronaut, picture):
    frames = draw(astronaut, lively())
    corners = torch.tensor([[0.0, 0.0], [511.0, 0.0], [0.0, 511.0], [511.0, 511.0]])
    places = apply_affine(astronaut.drawing.to_picture, corners)
    left, top = places.amin(0).floor().int().tolist()
    right, bottom = places.amax(0).ceil().int().tolist()
    outside = torch.ones(picture.shape[:2], dtype=torch.bool)
    outside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = False
    assert outside.float().mean() > 0.3
    assert torch.equal(frames[:, outside], picture[outside].expand(len(frames), -1, -1))


def test_the_borders_of_a_crop_by_itself_stand_still(astronaut):
    frames = draw(astronaut, lively(), paste_back=False)
    difference = (frames - astronaut.crop.image).abs()
    inner = difference[:, 100:-100, 100:-100].amax()
    for border in (difference[:, 0], difference[:, -1], difference[:, :, 0], difference[:, :, -1]):
        assert border.amax() < 2 * ONE_STEP < inner


def test_a_mask_says_where_anything_may_change(astronaut, picture):
    mask = torch.zeros(picture.shape[:2])
    mask[120:] = 1.0
    frames = draw(astronaut, lively(2), mask=mask)
    assert torch.equal(frames[:, :120], picture[:120].expand(2, -1, -1, -1))
    assert (frames[:, 120:] - picture[120:]).abs().max() > 0.1


def test_frames_are_finite_and_in_range(astronaut):
    wild = replace(lively(8), expression=torch.randn(8, 21, 3) * 0.3, rotation=torch.randn(8, 3) * 60)
    frames = draw(astronaut, wild)
    assert torch.isfinite(frames).all()
    assert frames.min() >= 0
    assert frames.max() <= 1


def test_a_batch_is_its_frames_one_by_one(astronaut):
    driven = lively()
    together = draw(astronaut, driven)
    for index, frame in enumerate(together):
        alone = draw(astronaut, driven[index : index + 1])[0]
        assert (alone - frame).abs().max() < 1e-3, f"frame {index}"


def test_rendering_in_batches_is_rendering_at_once(astronaut):
    driven = lively()
    small = torch.cat(list(render(astronaut, driven, RenderOptions(batch_size=2))))
    assert (small - draw(astronaut, driven)).abs().max() < 1e-3


def test_inputs_are_left_alone(picture, landmarks):
    own, points = picture.clone(), landmarks.clone()
    portrait = MeshRenderer().portrait(own, Face(points))
    driven = relative_to(lively(), portrait.rest)
    before = [getattr(driven, name).clone() for name in MotionFrame.SHAPES]
    portrait.renderer.draw(portrait, driven, RenderOptions())
    assert torch.equal(own, picture)
    assert torch.equal(points, landmarks)
    assert all(
        torch.equal(getattr(driven, name), kept) for name, kept in zip(MotionFrame.SHAPES, before, strict=True)
    )


def mirrored_motion(driven: MotionSequence) -> MotionSequence:
    """What the mirror image does: left and right controls exchanged, yaw, roll and sideways motion reversed."""
    controls = from_expression(driven.expression)
    swapped = replace(
        controls,
        blink_left=controls.blink_right,
        blink_right=controls.blink_left,
        brow_left=controls.brow_right,
        brow_right=controls.brow_left,
        mouth_x=-controls.mouth_x,
        pupil_x=-controls.pupil_x,
    )
    return replace(
        driven,
        expression=to_expression(swapped),
        rotation=driven.rotation * torch.tensor([1.0, -1.0, -1.0]),
        translation=driven.translation * torch.tensor([-1.0, 1.0, 1.0]),
    )


def test_a_mirrored_picture_gives_mirrored_frames(picture, landmarks, astronaut):
    points = landmarks[face_model().mirror].clone()
    points[:, 0] = picture.shape[1] - 1 - points[:, 0]
    mirrored = MeshRenderer().portrait(picture.flip(1), Face(points))
    driven = lively()
    difference = (draw(mirrored, mirrored_motion(driven)).flip(2) - draw(astronaut, driven)).abs()
    assert difference.mean() < 5e-4
    assert (difference > 8 * ONE_STEP).float().mean() < 1e-3


@pytest.mark.parametrize("index", [0, 1], ids=["left", "right"])
def test_a_blink_covers_the_iris(picture, landmarks, index):
    """An iris painted green is seen with the eye open and not at all with it shut."""
    iris = landmarks[list((LEFT_EYE, RIGHT_EYE)[index].iris), :2]
    y, x = torch.meshgrid(torch.arange(512.0), torch.arange(512.0), indexing="ij")
    disc = (torch.stack([x, y], -1) - iris[0]).norm(dim=-1) < 0.8 * (iris[1:] - iris[0]).norm(dim=1).mean()
    painted = torch.where(disc[..., None], torch.tensor([0.0, 1.0, 0.0]), picture)
    portrait = MeshRenderer().portrait(painted, Face(landmarks))
    side = ("blink_left", "blink_right")[index]
    opened, half, closed = draw(portrait, motion(3, **{side: [0.0, 0.5, 1.0]}))
    green = [(frame[..., 1] - frame[..., 0] > 0.3).sum().item() for frame in (opened, half, closed)]
    assert green[0] > 20
    assert 0 < green[1] < green[0]
    assert green[2] == 0


def test_a_wink_leaves_the_other_eye_open(astronaut, picture, landmarks):
    winked = draw(astronaut, motion(blink_left=1.0))[0]
    x, y = landmarks[RIGHT_EYE.iris[0], :2].round().int().tolist()
    assert (winked - picture)[y - 6 : y + 7, x - 8 : x + 9].abs().max() < EXACT


def test_the_iris_follows_the_gaze(astronaut, picture, landmarks):
    looking = draw(astronaut, motion(2, pupil_x=[-0.6, 0.6]))
    x, y = landmarks[LEFT_EYE.iris[0], :2].round().int().tolist()
    dark = 1 - torch.cat([picture[None], looking])[:, y - 2 : y + 3, x - 7 : x + 8].mean(-1)
    place = (dark.square().sum(1) * torch.arange(-7, 8)).sum(1) / dark.square().sum((1, 2))
    assert place[1] < place[0] < place[2]


def placed(portrait: Portrait, **controls) -> torch.Tensor:
    """Where the rig puts the landmarks (T, 468, 3) in the face's frame."""
    drawing = portrait.drawing
    frames = len(next(iter(controls.values())))
    asked = Controls.still(frames, **{name: torch.tensor(value) for name, value in controls.items()})
    still = HeadMotion(torch.eye(3).expand(frames, 3, 3), torch.ones(frames), torch.zeros(frames, 2))
    return drawing.pose.to_face(drawing.rig.turned(still, drawing.room.amounts(asked)))


def lip_opening(portrait: Portrait, **controls) -> torch.Tensor:
    points = placed(portrait, **controls)
    return points[:, LOWER_LIP_ROWS[-1][5], 1] - points[:, UPPER_LIP_ROWS[-1][5], 1]


def test_the_jaw_opens_the_lips_by_what_it_says(astronaut):
    asked = torch.linspace(0, 0.16, 9)
    opened = lip_opening(astronaut, jaw=asked.tolist())
    assert (opened.diff() > 0).all()
    torch.testing.assert_close(opened - opened[0], asked, atol=0.02, rtol=0)


def test_press_and_a_raised_jaw_close_an_open_mouth(astronaut):
    gap = astronaut.drawing.mouth.lips.gap
    assert gap > 0.1
    pressed = lip_opening(astronaut, press=[0.0, 0.5, 1.0])
    raised = lip_opening(astronaut, jaw=[0.0, -gap / 2, -gap])
    for closing in (pressed, raised):
        assert (closing.diff() < 0).all()
        assert closing[-1].abs() < 0.02


def test_pressed_lips_that_are_but_parted_meet(picture, landmarks):
    """With landmarks that say the lips are parted a little, pressing moves the lips by what parts them."""
    points = landmarks.clone()
    unit = (points[33] - points[263]).norm()
    upper, lower = list(UPPER_LIP_ROWS[-1][1:-1]), list(LOWER_LIP_ROWS[-1][1:-1])
    points[lower] = points[upper]
    points[lower, 1] += 0.03 * unit
    portrait = MeshRenderer().portrait(picture, Face(points))
    assert portrait.drawing.mouth.lips.gap == 0
    apart = lip_opening(portrait, press=[0.0, 1.0])
    assert apart[0] > 0.025
    assert apart[1].abs() < 0.005


def test_painted_mouth_grows_with_the_jaw(astronaut, picture, landmarks):
    frames = draw(astronaut, motion(4, jaw=[0.0, 0.05, 0.10, 0.15]))
    x, y = landmarks[LOWER_LIP_ROWS[-1][5], :2].round().int().tolist()
    changed = ((frames - picture)[:, y - 4 : y + 16, x - 14 : x + 15].abs().amax(-1) > 0.1).sum((1, 2))
    assert (changed.diff() > 0).all()


@pytest.mark.parametrize("teeth", [False, True])
def test_teeth_over_the_line_of_parted_lips_are_seen(teeth):
    """Skin, lips that grow darker towards a dark line, and teeth under a dark upper edge or none."""
    mouth = torch.zeros(478, 3)
    along = torch.linspace(100, 156, 11)
    mouth[list(UPPER_LIP_ROWS[-1]), 0] = mouth[list(LOWER_LIP_ROWS[-1]), 0] = along
    mouth[list(UPPER_LIP_ROWS[-1]), 1] = mouth[list(LOWER_LIP_ROWS[-1]), 1] = 128.0
    down = torch.arange(256.0)
    light = 0.6 - 0.4 * torch.exp(-(((down - 128) / 4) ** 2))
    if teeth:
        light[122:126] = 0.55
        light[119:122] = 0.25
    image = light[None, None, :, None].expand(1, 3, 256, 256)
    assert find_lip_line(image, mouth, 0.02).shows_teeth is teeth


def test_a_rolling_head_carries_its_mouth_unchanged(astronaut, picture):
    frame = draw(astronaut, motion(rotation=(0.0, 0.0, 3.0)))[0]
    head = head_motion(
        astronaut.drawing, astronaut.rest, relative_to(motion(rotation=(0.0, 0.0, 3.0)), astronaut.rest)
    )
    to_picture, lips = (
        astronaut.drawing.to_picture,
        [index for row in UPPER_LIP_ROWS + LOWER_LIP_ROWS for index in row],
    )
    before = apply_affine(to_picture, astronaut.drawing.rig.points[lips, :2])
    after = apply_affine(to_picture, astronaut.drawing.rig.turned(head)[0, lips, :2])
    design = torch.cat([after, torch.ones(len(after), 1)], 1)
    back = torch.linalg.lstsq(design, before).solution.T  # (2, 3): from the frame to the photograph
    left, top, right, bottom = (int(value) for value in (*after.amin(0), *after.amax(0)))
    down, across = torch.meshgrid(torch.arange(top, bottom), torch.arange(left, right), indexing="ij")
    turned = sample(
        picture.permute(2, 0, 1)[None], apply_affine(back, torch.stack([across, down], -1).float())[None]
    )
    assert (frame[top:bottom, left:right] - turned[0].permute(1, 2, 0)).abs().max() < 8 * ONE_STEP
    assert (before - after).norm(dim=1).mean() > 0.8  # pixels: it did move


def test_the_rest_frame_places_the_keypoints_on_the_landmarks(astronaut):
    rest = astronaut.rest
    placed = transform(
        astronaut.keypoints,
        torch.zeros(1, 21, 3),
        rest.rotation[None],
        rest.scale[None],
        rest.translation[None],
    )[0, :, :2]
    points = in_square(astronaut.landmarks, astronaut.crop.to_picture)[list(KEYPOINT_LANDMARKS), :2]
    torch.testing.assert_close(placed, (points - 255.5) / 256, atol=1e-4, rtol=0)
    assert 0.9 < rest.scale.item() < 1.7


def test_the_face_follows_translation_and_scale(astronaut):
    """Rendered shift of the nose against the one asked for, measured by cross-correlation of a patch."""
    shifted = draw(astronaut, motion(shift=(0.05, 0.0)))[0]
    picture, (x, y) = astronaut.picture, astronaut.landmarks[4, :2].round().int().tolist()
    patch = picture[y - 12 : y + 12, x - 12 : x + 12]
    errors = [(shifted[y - 12 : y + 12, x - 12 + k : x + 12 + k] - patch).abs().mean() for k in range(14)]
    pixels = 0.05 * 256 * float(torch.linalg.det(astronaut.crop.to_picture[:, :2]).sqrt())
    assert abs(int(torch.stack(errors).argmin()) - pixels) <= 1


def test_a_face_at_the_picture_border_draws(picture, landmarks):
    x, y = landmarks[1, :2].round().int().tolist()
    cut = picture[y - 40 : y + 80, x - 20 : x + 120].contiguous()
    points = landmarks - torch.tensor([x - 20.0, y - 40.0, 0.0])
    portrait = MeshRenderer().portrait(cut, Face(points))
    assert (draw(portrait, motion(1))[0] - cut).abs().max() < EXACT
    assert torch.isfinite(draw(portrait, lively())).all()


def test_thin_plate_reproduces_affine_maps_and_its_points():
    points = torch.rand(30, 2) * 500
    values = points @ torch.tensor([[0.2, 1.0], [-0.7, 0.1]]) + 3
    places = torch.rand(50, 2) * 500
    kernel = thin_plate_kernel(places, points)
    affine = thin_plate(points, values, torch.arange(30), kernel, 1e-4)
    torch.testing.assert_close(
        affine.float(), places @ torch.tensor([[0.2, 1.0], [-0.7, 0.1]]) + 3, atol=1e-2, rtol=0
    )
    wavy = torch.sin(points / 40)
    through = thin_plate(points, wavy, torch.arange(30), thin_plate_kernel(points, points), 0.0)
    torch.testing.assert_close(through.float(), wavy, atol=1e-4, rtol=0)


def test_thin_plate_matches_scipy():
    from scipy.interpolate import RBFInterpolator

    points, values, places = torch.rand(40, 2) * 100, torch.randn(40, 1), torch.rand(60, 2) * 100
    ours = thin_plate(points, values, torch.arange(40), thin_plate_kernel(places, points), 0.0)
    theirs = RBFInterpolator(points.numpy(), values.numpy(), kernel="thin_plate_spline")(places.numpy())
    torch.testing.assert_close(ours, torch.from_numpy(theirs), atol=1e-6, rtol=0)


def test_inversion_undoes_a_smooth_field():
    grid = Grid(512, 96)
    places = grid.places("cpu")
    bump = 20 * torch.exp(-(((places - 256) / 120) ** 2).sum(-1))
    field = torch.stack([bump, -0.5 * bump])[None]
    source = invert(grid, field, places)[0]
    arrived = source + grid.read(field, source[None])[0].permute(1, 2, 0)
    assert (arrived - places).norm(dim=-1).max() < 0.05


def test_soft_limit_keeps_small_values_and_bounds_large_ones():
    values = torch.linspace(-3, 3, 301)
    held = soft_limit(values, 0.3)
    assert torch.equal(held[values.abs() <= 0.2], values[values.abs() <= 0.2])
    assert held.abs().max() <= 0.3
    assert (held.diff() >= 0).all()


def test_every_shape_moves_something(astronaut):
    reach = astronaut.drawing.rig.shapes.norm(dim=-1).amax(1)
    assert len(reach) == len(SHAPES)
    assert (reach > 0).all()


@pytest.mark.parametrize("name", LEARNED)
def test_no_shape_folds_the_picture(astronaut, name):
    drawing, furthest = astronaut.drawing, torch.zeros(1, len(SHAPES))
    furthest[0, SHAPES.index(name)] = HIGHEST[name]
    still = HeadMotion(torch.eye(3)[None], torch.ones(1), torch.zeros(1, 2))
    for sheet in (drawing.upper, drawing.lower):
        across, down = (sheet.displacement(furthest, still).diff(dim=axis) / GRID.step for axis in (-1, -2))
        across, down = across[..., :-1, :], down[..., :-1]
        stretch = (1 + across[:, 0]) * (1 + down[:, 1]) - across[:, 1] * down[:, 0]
        assert stretch.min() > 0.05


def test_creases_darken_where_skin_folds_and_nowhere_else(astronaut):
    drawing = astronaut.drawing
    beside_mouth, forehead = drawing.rig.points[[206, 426], :2], drawing.rig.points[[151], :2]
    smiling = torch.zeros(1, len(SHAPES))
    smiling[0, SHAPES.index("smile")] = HIGHEST["smile"]
    depths = drawing.shading.depths(smiling)
    assert (drawing.shading.change(depths, beside_mouth[None, None]) < -0.05).all()
    assert not drawing.shading.change(depths, forehead[None, None]).any()
    assert not drawing.shading.depths(-smiling).any()


def test_a_raised_brow_takes_the_forehead_along_and_leaves_the_mouth(astronaut):
    shapes = dict(zip(SHAPES, astronaut.drawing.rig.shapes, strict=True))
    raised = (shapes["brow_left"] + shapes["brow_right"])[:, :2].norm(dim=1)
    brow, forehead, mouth = raised[[105, 334]], raised[[104, 333]], raised[list(UPPER_LIP_ROWS[0])]
    assert (forehead > 0.4 * brow).all()
    assert not mouth.any()


def test_measures_of_the_rig_are_the_controls_asked_for(astronaut):
    """The opening, the width and the brows measured on the placed landmarks change by what was asked."""
    points = placed(astronaut, jaw=[0.0, 0.1], brow_left=[0.0, 0.05], brow_right=[0.0, 0.05])
    full = torch.cat([points, torch.zeros(2, 10, 3)], 1)
    change = (measure(full)[1] - measure(full)[0])[:12]
    assert abs(change[0] - 0.1) < 0.02
    assert abs(change[11] + 0.05) < 0.02


def test_the_coarse_grid_covers_the_working_square():
    places = GRID.places("cpu")
    assert places[0, 0].tolist() == pytest.approx([GRID.step / 2 - 0.5] * 2)
    assert places[-1, -1].tolist() == pytest.approx([511.5 - GRID.step / 2] * 2)
