from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import pytest
import torch
from talker_goldens import assert_near
from test_motion import moving

from talking_head.lp_core.faces.crop import CropOptions, crop_to_picture, cut
from talking_head.lp_core.faces.face_model import face_model
from talking_head.lp_core.faces.landmarks import Face
from talking_head.lp_core.media.video import VideoOptions, read_video, write_video
from talking_head.lp_core.motion.keypoints import LIPS
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.render import dubbing
from talking_head.lp_core.render.dubbing import dub, dubbed, mouth_region, ping_pong, play
from talking_head.lp_core.render.portrait import Portrait

LIP_ROWS = list(LIPS)
OTHERS = [keypoint for keypoint in range(21) if keypoint not in LIPS]


def mesh(size=96, middle=48.0):
    """Landmarks (478, 3) of the mean face, in the middle of a picture."""
    points = face_model().mean.float()
    spread = points[:, 0].max() - points[:, 0].min()
    return (points - points.mean(0)) * (0.5 * size / spread) + torch.tensor([middle, middle, 0.0])


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


class Clip(NamedTuple):
    frames: torch.Tensor
    faces: list
    motion: MotionSequence


def played(clip, frames):
    """The clip with its frames in the order in which they are shown."""
    return clip._replace(frames=clip.frames[ping_pong(len(clip.frames), frames)])


@pytest.fixture
def clip():
    frames = torch.rand(6, 96, 96, 3) * 0.9
    return Clip(frames, [None if index == 2 else Face(mesh()) for index in range(6)], moving(6, 30000 / 1001))


@pytest.mark.parametrize("frames", [4, 6, 17])
def test_a_dubbed_clip_lasts_as_long_as_the_voice(clip, frames):
    lips = moving(frames, 30000 / 1001)
    drawn = list(dub(*played(clip, frames), lips, Painter()))
    assert len(drawn) == frames
    motion = dubbed(clip.motion, lips)
    assert motion.fps == Fraction(30000, 1001)
    places = ping_pong(6, frames)
    assert torch.equal(motion.rotation, clip.motion.rotation[places])
    assert torch.equal(motion.expression[:, OTHERS], clip.motion.expression[places][:, OTHERS])


def test_voices_of_another_rate_are_brought_to_the_clips(clip):
    assert len(dubbed(clip.motion, moving(25, 25))) == 30


def test_lips_are_replaced_not_added(clip):
    """The clip's own speech is gone from the lips, whatever it was."""
    lips = moving(6, 30000 / 1001)
    wanted = clip.motion.rest.expression + lips.expression - lips.rest.expression
    # The published smoother is next to none.
    assert_near(dubbed(clip.motion, lips).expression[:, LIP_ROWS], wanted[:, LIP_ROWS], 5e-3)


def test_outside_the_mouth_frames_are_the_source_bit_for_bit(clip):
    outside = mouth_region(mesh(), 96, 96) == 0
    drawn = list(dub(*clip, moving(6, 30000 / 1001), Painter()))
    assert 0.5 < outside.float().mean() < 0.95
    for frame, before in zip(drawn, clip.frames, strict=True):
        assert torch.equal(frame[outside], before[outside])
    assert (drawn[0] - clip.frames[0]).abs().max() > 0.05


def test_frames_without_a_face_pass_through_and_are_told(clip):
    told = []
    drawn = list(
        dub(
            *clip, moving(6, 30000 / 1001), Painter(),
            on_frame=lambda _frame, was_dubbed: told.append(was_dubbed),
        )
    )  # fmt: skip
    assert torch.equal(drawn[2], clip.frames[2])
    assert told == [True, True, False, True, True, True]


def test_only_lips_are_asked_of_the_renderer(clip):
    painter, lips = Painter(), moving(6, 30000 / 1001)
    list(dub(*clip, lips, painter))
    asked = torch.cat([motion.expression for motion in painter.asked])
    assert not asked[:, OTHERS].any()
    change = dubbed(clip.motion, lips).expression - clip.motion.expression
    assert_near(asked[:2, LIP_ROWS], change[:2, LIP_ROWS], 1e-6)
    assert not torch.cat([motion.rotation for motion in painter.asked]).any()


def test_the_region_covers_lips_and_chin_and_spares_the_eyes():
    landmarks = mesh(200, 100.0)
    region = mouth_region(landmarks, 200, 200)
    at = lambda index: region[int(landmarks[index, 1]), int(landmarks[index, 0])].item()  # noqa: E731
    assert min(at(index) for index in (13, 14, 61, 291, 17, 0)) > 0.5
    assert at(152) > 0.3
    assert max(at(index) for index in (33, 133, 362, 263, 168, 10)) == 0


def test_a_clip_is_one_face_and_one_motion_a_frame(clip):
    with pytest.raises(ValueError, match="got 5 for 6"):
        next(dub(clip.frames, clip.faces[1:], clip.motion, moving(2), Painter()))


@pytest.mark.parametrize("frames", [3, 7, 16])
def test_a_file_plays_back_and_forth_without_being_held(clip, frames, tmp_path, monkeypatch):
    """Backwards in blocks of two; every frame is told by its shade."""
    monkeypatch.setattr(dubbing, "BACKWARD_BLOCK", 2)
    shades = torch.linspace(0.1, 0.9, 5)
    write_video(
        tmp_path / "clip.mp4", shades[:, None, None, None].expand(5, 32, 32, 3), 25, None, VideoOptions(crf=1)
    )
    shown = torch.stack([frame.mean() for frame in play(read_video(tmp_path / "clip.mp4"), 5, frames)])
    assert_near(shown, shades[ping_pong(5, frames)], 0.01)
