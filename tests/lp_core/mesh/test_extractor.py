"""Motion read from clips made of Eileen Collins' portrait (NASA, public domain): what was put in comes out."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from talking_head.lp_core.faces.crop import apply_affine, invert_affine, sample
from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.faces import NoFaceError
from talking_head.lp_core.mesh.extractor import LandmarkExtractor, filled, motion_of, neutral_frame
from talking_head.lp_core.mesh.measures import MEASURES, measure
from talking_head.lp_core.motion.controls import from_expression
from talking_head.lp_core.motion.sequence import MotionSequence
from talking_head.lp_core.render.extractor import Extraction

MIDDLE = 225.0, 115.0  # of the face, pixels of the whole picture
SIDE = 240  # pixels of the clip
FACE = 120.0  # larger side of the landmarks' box there


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    from skimage.data import astronaut

    return torch.from_numpy(astronaut()).float() / 255


def shot(picture: torch.Tensor, degrees: float = 0, zoom: float = 1, right: float = 0, down: float = 0):
    """A frame (1, 240, 240, 3) with the face turned clockwise, resized and moved in pixels from the middle."""
    cosine, sine = zoom * math.cos(math.radians(degrees)), zoom * math.sin(math.radians(degrees))
    linear = torch.tensor([[cosine, -sine], [sine, cosine]])
    target = torch.tensor([[SIDE / 2 + right], [SIDE / 2 + down]])
    to_frame = torch.cat([linear, target - linear @ torch.tensor(MIDDLE)[:, None]], 1)
    y, x = torch.meshgrid(torch.arange(SIDE).float(), torch.arange(SIDE).float(), indexing="ij")
    places = apply_affine(invert_affine(to_frame), torch.stack([x, y], -1))
    return sample(picture.permute(2, 0, 1)[None], places[None], "border").permute(0, 2, 3, 1)


def extract(frames: list[torch.Tensor], **options):
    return LandmarkExtractor().extract(iter(frames), 25, **options)


@pytest.fixture(scope="module")
def still(astronaut):
    return extract([shot(astronaut)] * 6)


def test_a_still_clip_is_still_motion(still):
    motion = still.motion
    assert len(motion) == 6
    assert motion.fps == 25
    assert still.faceless == ()
    for values, rest in (
        (motion.rotation, motion.rest.rotation),
        (motion.scale, motion.rest.scale),
        (motion.translation, motion.rest.translation),
    ):
        assert (values - rest).abs().max() < 0.02 * max(1.0, float(rest.abs().max()))
    assert motion.expression.std(0).max() < 1e-3


def test_the_rest_frame_of_a_still_clip_shows_open_eyes(still):
    controls = from_expression(still.motion.expression - still.motion.rest.expression)
    assert controls.stack().abs().max() < 0.05


def test_a_tilt_comes_back_in_degrees(astronaut):
    angles = [0, 2, 4, 6, 8, 10, 10, 10]
    motion = extract([shot(astronaut, degrees=angle) for angle in angles], neutral=0).motion
    roll = motion.rotation[:, 2] - motion.rest.rotation[2]
    assert float(roll[-1] - roll[0]) == pytest.approx(10, abs=1.5)
    assert (roll.diff() > -0.5).all()


def test_a_zoom_comes_back_as_scale(astronaut):
    zooms = [1, 1.05, 1.1, 1.15, 1.2, 1.2, 1.2]
    motion = extract([shot(astronaut, zoom=zoom) for zoom in zooms], neutral=0).motion
    assert float(motion.scale[-1] / motion.scale[0]) == pytest.approx(1.2, abs=0.03)


def test_a_move_comes_back_in_units_of_half_the_crop(astronaut):
    frames = [shot(astronaut, right=step, down=-step / 2) for step in (0, 4, 8, 12, 16, 16, 16)]
    motion = extract(frames, neutral=0).motion
    move = motion.translation[-1] - motion.translation[0]
    assert float(move[1] / move[0]) == pytest.approx(-0.5, abs=0.1)
    # The driver's crop is 2.2 boxes of the framed face wide, which is about 0.85 of the mesh's box.
    assert float(move[0]) == pytest.approx(16 / (1.1 * 0.85 * FACE), rel=0.15)
    assert move[2] == 0


def test_frames_without_a_face_are_told_and_bridged(astronaut):
    blank = torch.full((1, SIDE, SIDE, 3), 0.5)
    frames = [blank, shot(astronaut), shot(astronaut), blank, shot(astronaut, right=8), shot(astronaut, right=8)]
    result = extract(frames)
    assert result.faceless == (0, 3)
    moved = result.motion.translation[:, 0] - result.motion.translation[1, 0]
    assert moved[0].abs() < 0.01
    assert 0 < moved[3] < moved[5]


@pytest.mark.parametrize(
    ("faceless", "shown"),
    [((), [0, 1, 2, 3, 4]), ((0, 3), [1, 1, 2, 2, 4]), ((0, 1, 4), [2, 2, 2, 3, 3]), ((1, 2, 3, 4), [0] * 5)],
)
def test_frames_without_a_face_can_hold_the_last_one(faceless, shown):
    still = MotionSequence.still(5, 25)
    motion = replace(still, translation=torch.arange(15.0).reshape(5, 3))
    held = Extraction(motion, 0, faceless).held()
    assert torch.equal(held.translation, motion.translation[shown])
    assert held.fps == motion.fps


def test_a_clip_without_a_face_is_an_error_that_shows_its_first_frame():
    frames = [torch.full((1, 64, 64, 3), 0.4)] * 2
    with pytest.raises(NoFaceError, match="any of the clip's 2 frames") as raised:
        extract(frames)
    assert torch.equal(raised.value.looked_at, frames[0][0])


def test_a_clip_without_frames_is_an_error():
    with pytest.raises(ValueError, match="no frames"):
        extract([])


def test_a_single_picture_is_measured_from_a_calm_face(astronaut):
    seen = extract([shot(astronaut, degrees=12)])
    assert seen.neutral is None
    turned = seen.motion.rotation[0] - seen.motion.rest.rotation
    assert turned[2].item() == pytest.approx(12, abs=4)
    grin = from_expression(seen.motion.expression - seen.motion.rest.expression)
    assert grin.jaw.item() > 0.05  # her teeth show
    assert grin.blink_left.item() < 0.3


def test_a_single_picture_named_neutral_moves_nothing(astronaut):
    seen = extract([shot(astronaut, degrees=12)], neutral=0)
    torch.testing.assert_close(seen.motion.rotation[0], seen.motion.rest.rotation)
    left = from_expression(seen.motion.expression - seen.motion.rest.expression).stack()
    torch.testing.assert_close(left, torch.zeros_like(left), atol=2e-3, rtol=0)


def test_a_neutral_frame_that_is_not_there_is_an_error(astronaut):
    with pytest.raises(ValueError, match="neutral frame 5 is outside"):
        extract([shot(astronaut)], neutral=5)


def test_frames_may_come_in_batches_of_any_size(astronaut):
    frames = [shot(astronaut, right=step) for step in (0, 3, 6)]
    counts = []
    together = LandmarkExtractor().extract([torch.cat(frames)], 25, on_frames=counts.append).motion
    apart = extract(frames).motion
    assert counts == [3]
    assert torch.equal(together.translation, apart.translation)
    assert torch.equal(together.expression, apart.expression)


def test_stopping_passes_through(astronaut):
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract([shot(astronaut)], on_frames=stop)


def moving_face(**changes: torch.Tensor) -> torch.Tensor:
    """Landmarks (T, 478, 3) in pixels of a mean face whose measures change by the given curves (T,)."""
    model = face_model()
    curves = torch.stack([changes.get(name, torch.zeros(40)) for name in MEASURES], -1)
    return (model.mean + torch.einsum("tm,mnc->tnc", curves, model.basis)) * 100 + 200


def test_landmarks_become_the_controls_that_moved_them():
    opening = torch.linspace(0, math.pi, 40).sin() * 0.2
    width = torch.linspace(0, 2 * math.pi, 40).sin() * 0.05
    motion, _ = motion_of(moving_face(gap=opening, width=width), Fraction(25))
    controls = from_expression(motion.expression - motion.rest.expression)
    assert torch.corrcoef(torch.stack([controls.jaw, opening]))[0, 1] > 0.99
    assert torch.corrcoef(torch.stack([controls.wide, width]))[0, 1] > 0.95


def test_a_blink_of_both_eyes_is_read_alike_and_hides_the_gaze():
    blink = torch.zeros(40)
    blink[18:22] = -0.11  # the mean face's eyes stand open by about as much
    glance = torch.zeros(40)
    glance[18:22] = 0.06
    motion, _ = motion_of(moving_face(eye_left=blink, eye_right=0.8 * blink, gaze_x=glance), Fraction(25))
    controls = from_expression(motion.expression - motion.rest.expression)
    assert controls.blink_left[20] > 0.5
    assert torch.allclose(controls.blink_left, controls.blink_right, atol=1e-4)
    assert controls.blink_left[:15].abs().max() < 0.05
    assert controls.pupil_x[18:22].abs().max() < 0.1


def test_a_wink_stays_a_wink():
    wink = torch.zeros(40)
    wink[18:22] = -0.12
    motion, _ = motion_of(moving_face(eye_left=wink), Fraction(25))
    controls = from_expression(motion.expression - motion.rest.expression)
    assert controls.blink_left[20] > controls.blink_right[20] + 0.4


def test_the_neutral_frame_has_the_mouth_closed_and_the_head_straight():
    landmarks = moving_face(gap=torch.linspace(0.3, 0, 40).clamp(min=0.02))
    degrees = torch.zeros(40, 3)
    degrees[:38, 1] = 15
    degrees[20:, 1] = 0
    degrees[39, 1] = 30
    chosen = neutral_frame(measure(landmarks / 100), degrees)
    assert 35 <= chosen <= 38


def test_gaps_are_filled_along_straight_lines():
    known = {1: 0.0, 4: 3.0}
    seen = [torch.full((478, 3), known[index]) if index in known else None for index in range(6)]
    assert filled(seen)[:, 0, 0].tolist() == [0, 0, 1, 2, 3, 3]
