from dataclasses import dataclass, field
from fractions import Fraction

import pytest
import torch
from talker_goldens import assert_near
from test_motion import moving

from talking_head.lp_core.crop import CropOptions, crop_to_picture, cut
from talking_head.lp_core.dubbing import dub, dubbed, mouth_region, ping_pong
from talking_head.lp_core.extractor import Extraction
from talking_head.lp_core.keypoints import LIPS
from talking_head.lp_core.landmarks import Face
from talking_head.lp_core.mesh.face_model import face_model
from talking_head.lp_core.motion import MotionFrame
from talking_head.lp_core.portrait import Portrait

LIP_ROWS = list(LIPS)
OTHERS = [keypoint for keypoint in range(21) if keypoint not in LIPS]


def mesh(size=96, middle=48.0):
    """Landmarks (478, 3) of the mean face, in the middle of a picture."""
    points = face_model().mean.float()
    spread = points[:, 0].max() - points[:, 0].min()
    return (points - points.mean(0)) * (0.5 * size / spread) + torch.tensor([middle, middle, 0.0])


@dataclass
class Finder:
    """Sees a face in every picture that is not black."""

    landmarks: torch.Tensor

    def find(self, picture):
        return (Face(self.landmarks, 1.0),) if picture.any() else ()

    def find_in(self, _picture, _box):
        return Face(self.landmarks, 1.0)


@dataclass
class Painter:
    """A renderer that paints everything white, and notes what it was asked for."""

    name: str = "white"
    asked: list = field(default_factory=list)

    def portrait(self, picture, face, framing=None):
        crop = cut(picture, crop_to_picture(face.landmarks, framing or CropOptions()))
        return Portrait(picture, crop, face.landmarks, torch.zeros(21, 3), MotionFrame.neutral(), self, None)

    def draw(self, portrait, motion, _options):
        self.asked.append(motion)
        return torch.ones(len(motion), *portrait.picture.shape)


@pytest.fixture
def clip():
    frames = torch.rand(6, 96, 96, 3) * 0.9
    frames[2] = 0
    return frames, Extraction(moving(6, 30000 / 1001), neutral=1, faceless=(2,))


@pytest.mark.parametrize("frames", [4, 6, 17])
def test_a_dubbed_clip_lasts_as_long_as_the_voice(clip, frames):
    pictures, extraction = clip
    lips = moving(frames, 30000 / 1001)
    drawn = list(dub(pictures, extraction, lips, Painter(), Finder(mesh())))
    assert len(drawn) == frames
    motion = dubbed(extraction.motion, lips)
    assert motion.fps == Fraction(30000, 1001)
    places = ping_pong(6, frames)
    assert torch.equal(motion.rotation, extraction.motion.rotation[places])
    assert torch.equal(motion.expression[:, OTHERS], extraction.motion.expression[places][:, OTHERS])


def test_voices_of_another_rate_are_brought_to_the_clips(clip):
    assert len(dubbed(clip[1].motion, moving(25, 25))) == 30


def test_lips_are_replaced_not_added(clip):
    """The clip's own speech is gone from the lips, whatever it was."""
    _, extraction = clip
    lips = moving(6, 30000 / 1001)
    wanted = extraction.motion.rest.expression + lips.expression - lips.rest.expression
    # The published smoother is next to none.
    assert_near(dubbed(extraction.motion, lips).expression[:, LIP_ROWS], wanted[:, LIP_ROWS], 5e-3)


def test_outside_the_mouth_frames_are_the_source_bit_for_bit(clip):
    pictures, extraction = clip
    outside = mouth_region(mesh(), 96, 96) == 0
    drawn = list(dub(pictures, extraction, moving(6, 30000 / 1001), Painter(), Finder(mesh())))
    assert 0.5 < outside.float().mean() < 0.95
    for frame, before in zip(drawn, pictures, strict=True):
        assert torch.equal(frame[outside], before[outside])
    assert (drawn[0] - pictures[0]).abs().max() > 0.05


def test_frames_without_a_face_pass_through_and_are_told(clip):
    pictures, extraction = clip
    told = []
    drawn = list(
        dub(
            pictures, extraction, moving(6, 30000 / 1001), Painter(), Finder(mesh()),
            on_frame=lambda _frame, was_dubbed: told.append(was_dubbed),
        )
    )  # fmt: skip
    assert torch.equal(drawn[2], pictures[2])
    assert told == [True, True, False, True, True, True]


def test_only_lips_are_asked_of_the_renderer(clip):
    pictures, extraction = clip
    painter, lips = Painter(), moving(6, 30000 / 1001)
    list(dub(pictures, extraction, lips, painter, Finder(mesh())))
    asked = torch.cat([motion.expression for motion in painter.asked])
    assert not asked[:, OTHERS].any()
    change = dubbed(extraction.motion, lips).expression - extraction.motion.expression
    assert_near(asked[:2, LIP_ROWS], change[:2, LIP_ROWS], 1e-6)
    assert not torch.cat([motion.rotation for motion in painter.asked]).any()


def test_the_region_covers_lips_and_chin_and_spares_the_eyes():
    landmarks = mesh(200, 100.0)
    region = mouth_region(landmarks, 200, 200)
    at = lambda index: region[int(landmarks[index, 1]), int(landmarks[index, 0])].item()  # noqa: E731
    assert min(at(index) for index in (13, 14, 61, 291, 17, 0)) > 0.5
    assert at(152) > 0.3
    assert max(at(index) for index in (33, 133, 362, 263, 168, 10)) == 0
