import itertools
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from liveportrait_goldens import small_networks
from torch import Tensor

from talking_head.lp_core.faces.crop import cut, steady_crop
from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.faces import NoFaceError
from talking_head.lp_core.liveportrait import extractor as driving
from talking_head.lp_core.liveportrait.extractor import LivePortraitExtractor, _Square
from talking_head.lp_core.liveportrait.renderer import LivePortraitRenderer, network_view
from talking_head.lp_core.motion.keypoints import neutral_expression, transform
from talking_head.lp_core.motion.sequence import MotionFrame


@pytest.fixture(scope="module")
def renderer() -> LivePortraitRenderer:
    return LivePortraitRenderer(small_networks())


def clip(frames: int, height: int = 120, width: int = 100) -> Tensor:
    coarse = torch.rand(frames, 3, 12, 10, generator=torch.Generator().manual_seed(5))
    return F.interpolate(coarse, size=(height, width), mode="bilinear").permute(0, 2, 3, 1)


def face_at(x: float, y: float = 60.0, size: float = 20.0) -> Tensor:
    return face_model().mean * size + torch.tensor([x, y, 0.0])


@pytest.fixture
def tracked(monkeypatch):
    """Make the tracker see what a test says, frame by frame."""

    def sees(landmarks: list[Tensor | None]):
        monkeypatch.setattr(
            driving, "track", lambda frames, _finder: (seen for _, seen in zip(frames, landmarks, strict=False))
        )

    return sees


def assert_motion(actual, expected: list[MotionFrame], tolerance: float = 1e-5):
    for name in MotionFrame.SHAPES:
        values = torch.stack([getattr(frame, name) for frame in expected])
        torch.testing.assert_close(getattr(actual, name), values, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("sizes", [[7], [1, 4, 2], [0, 7]])
def test_whole_frames_are_read_as_they_are_in_any_batches(renderer, sizes):
    frames = clip(7, 256, 256)
    extraction = LivePortraitExtractor(renderer, whole_frames=True).extract(iter(frames.split(sizes)), 25)
    assert extraction.faceless == ()
    assert extraction.motion.fps == Fraction(25)
    assert_motion(extraction.motion, renderer.read_motion(frames.permute(0, 3, 1, 2))[1])
    at_rest = extraction.motion.relative_rotation()[extraction.neutral]
    torch.testing.assert_close(at_rest, torch.eye(3), atol=1e-5, rtol=0)


def test_whole_frames_that_are_not_square_get_black_bars(renderer):
    frames = clip(2, 256, 128)
    barred = F.pad(frames, (0, 0, 64, 64))
    extractor = LivePortraitExtractor(renderer, whole_frames=True)
    expected = renderer.read_motion(barred.permute(0, 3, 1, 2))[1]
    assert_motion(extractor.extract([frames], 25).motion, expected)


def test_a_face_that_stays_is_read_in_the_clips_one_square(renderer, tracked):
    landmarks = face_at(50.0)
    tracked([landmarks] * 3)
    frames = clip(3)
    extraction = LivePortraitExtractor(renderer).extract([frames], 30)
    to_picture = steady_crop([landmarks])
    crops = torch.stack([cut(frame, to_picture, outside="zeros").image for frame in frames])
    assert_motion(extraction.motion, renderer.read_motion(network_view(crops))[1], 1e-4)


def test_one_square_tells_what_another_saw():
    """Keypoints lie on the same pixels whichever square they are told in."""
    small, large = _Square(40.0, 50.0, 80.0), _Square(70.0, 45.0, 130.0)
    seen = MotionFrame(torch.randn(21, 3) * 0.01, torch.randn(3) * 9, torch.tensor([1.4]), torch.randn(3) * 0.1)
    told, keypoints = small.frame_in(large, seen), torch.randn(21, 3) * 0.3

    def pixels(square: _Square, frame: MotionFrame) -> Tensor:
        values = (frame.expression, frame.rotation, frame.scale, frame.translation)
        placed = transform(keypoints, *(value[None] for value in values))[0, :, :2]
        return placed * square.side / 2 + torch.tensor([square.x, square.y])

    torch.testing.assert_close(pixels(large, told), pixels(small, seen), atol=1e-3, rtol=0)


def test_the_square_stays_until_the_face_leaves_it(renderer, tracked, monkeypatch):
    places = [50.0, 52.0, 51.0, 75.0, 76.0]
    tracked([face_at(x) for x in places])
    cuts = []
    monkeypatch.setattr(
        driving, "cut", lambda picture, where, **given: cuts.append(where) or cut(picture, where, **given)
    )
    LivePortraitExtractor(renderer).extract([clip(5)], 25)
    kept = [torch.equal(*pair) for pair in itertools.pairwise(cuts)]
    assert kept == [True, True, False, True]


def test_frames_without_a_face_are_interpolated_and_told(renderer, tracked):
    landmarks = face_at(50.0)
    tracked([None, landmarks, None, landmarks, None])
    extraction = LivePortraitExtractor(renderer).extract([clip(5)], 25)
    motion = extraction.motion
    assert extraction.faceless == (0, 2, 4)
    assert torch.equal(motion.expression[0], motion.expression[1])
    assert torch.equal(motion.expression[4], motion.expression[3])
    between = (motion.expression[1] + motion.expression[3]) / 2
    torch.testing.assert_close(motion.expression[2], between)


def test_the_neutral_frame_may_be_named(renderer):
    extractor = LivePortraitExtractor(renderer, whole_frames=True)
    extraction = extractor.extract([clip(3, 64, 64)], 25, neutral=2)
    assert extraction.neutral == 2
    assert torch.equal(extraction.motion.rest.expression, extraction.motion.expression[2])
    with pytest.raises(ValueError, match="neutral frame 3"):
        extractor.extract([clip(3, 64, 64)], 25, neutral=3)


def test_one_frame_is_a_clip(renderer):
    extraction = LivePortraitExtractor(renderer, whole_frames=True).extract([clip(1, 16, 16)], 25)
    assert len(extraction.motion) == 1


def test_a_single_picture_is_measured_from_a_calm_face_unless_it_is_named(renderer):
    extractor = LivePortraitExtractor(renderer, whole_frames=True)
    picture = [clip(1, 64, 64)]
    extraction = extractor.extract(picture, 25)
    assert extraction.neutral is None
    assert not extraction.motion.rest.rotation.any()
    assert torch.equal(extraction.motion.rest.expression, neutral_expression())
    named = extractor.extract(picture, 25, neutral=0)
    assert torch.equal(named.motion.rest.expression, named.motion.expression[0])


def test_progress_is_told_and_can_stop(renderer):
    told: list[int] = []
    extractor = LivePortraitExtractor(renderer, whole_frames=True)
    extractor.extract(clip(5, 32, 32).split(2), 25, on_frames=told.append)
    assert told == [2, 2, 1]

    def stop(_count: int):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extractor.extract(clip(5, 32, 32).split(2), 25, on_frames=stop)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([torch.zeros(0, 32, 32, 3)], "no frames"),
        ([torch.zeros(2, 32, 32, 4)], r"\(B, H, W, 3\)"),
        ([torch.full((1, 32, 32, 3), float("nan"))], "NaN"),
    ],
)
def test_bad_clips_are_refused(renderer, frames, message):
    with pytest.raises(ValueError, match=message):
        LivePortraitExtractor(renderer, whole_frames=True).extract(frames, 25)


def test_a_clip_without_any_face_is_refused_with_its_first_frame(renderer, tracked):
    tracked([None, None])
    frames = clip(2)
    with pytest.raises(NoFaceError, match="2 frames") as raised:
        LivePortraitExtractor(renderer).extract([frames], 25)
    assert torch.equal(raised.value.looked_at, frames[0])
