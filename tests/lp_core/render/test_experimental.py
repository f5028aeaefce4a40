from dataclasses import replace

import pytest
import torch
from talker_goldens import assert_near
from test_dubbing import Painter, mesh
from test_motion import moving

from talking_head.lp_core.faces.crop import Crop
from talking_head.lp_core.faces.faces import Face
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.render.body_sway import body_region, sway_body
from talking_head.lp_core.render.candidates import (
    Looks,
    choose_candidates,
    nearest_candidates,
    render_from_candidates,
)


def looks(yaws, openings):
    yaw = torch.tensor(yaws, dtype=torch.float32)
    return Looks(torch.stack([0 * yaw, yaw, 0 * yaw], 1), torch.tensor(openings, dtype=torch.float32))


def test_candidates_are_the_extremes_of_the_mouth_and_the_thirds_of_the_poses():
    clip = looks([-9.0, -3.1, 3.2, 9.0, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.0, 0.9])
    assert choose_candidates(clip) == (4, 5, 1, 2)
    assert choose_candidates(looks([1.0, 1.0], [0.3, 0.3])) == (0,)


def test_candidates_change_only_for_a_clearly_nearer_one():
    candidates = looks([-5.0, 5.0], [0.2, 0.2])
    wanted = looks([-4.0, 0.4, -0.4, 0.8, 4.0, 0.8, -0.8, -3.0], [0.2] * 8)
    assert nearest_candidates(wanted, candidates, 2.0) == [0, 0, 0, 0, 1, 1, 1, 0]
    assert nearest_candidates(wanted, candidates, 0.0) == [0, 1, 0, 1, 1, 1, 0, 0]


def test_the_mouth_counts_beside_the_pose():
    candidates = looks([0.0, 0.0], [0.0, 0.6])
    assert nearest_candidates(looks([0.0, 0.0], [0.1, 0.5]), candidates) == [0, 1]


def test_every_frame_is_drawn_from_its_candidate():
    painters = [Painter(), Painter()]
    portraits = [painter.portrait(torch.rand(96, 96, 3), Face(mesh())) for painter in painters]
    own = moving(3)
    assert len(list(render_from_candidates(portraits, [0, 1, 0], own))) == 3
    assert torch.equal(torch.cat([asked.rotation for asked in painters[0].asked]), own.rotation[[0, 2]])
    assert torch.equal(painters[1].asked[0].rotation, own.rotation[1:2])
    with pytest.raises(ValueError, match="2 choices for 3 frames"):
        list(render_from_candidates(portraits, [0, 1], own))


@pytest.fixture
def swaying():
    frames = torch.rand(2, 200, 96, 3)
    still = MotionSequence.still(2, 25)
    place = torch.tensor([[0.0, 0.0, 0.0], [4 / 48, 0.0, 0.0]])  # four pixels to the right in a 96 crop
    crop = Crop(torch.zeros(96, 96, 3), torch.eye(2, 3))
    return frames, replace(still, translation=place, rest=MotionFrame.neutral()), crop, mesh()


def test_the_body_moves_by_half_of_the_heads_way(swaying):
    frames, own, crop, landmarks = swaying
    swayed = sway_body(frames, own, crop, landmarks)
    assert_near(swayed[0], frames[0], 1e-4)
    middle, bottom = int(landmarks[152, 0]), 195
    assert body_region(landmarks, 200, 96)[bottom, middle] > 0.999
    assert_near(swayed[1, bottom, middle + 2], frames[1, bottom, middle], 5e-3)


def test_all_above_the_shoulders_stays_bit_for_bit(swaying):
    frames, own, crop, landmarks = swaying
    above = body_region(landmarks, 200, 96) == 0
    assert above[: int(landmarks[152, 1])].all()
    assert torch.equal(sway_body(frames, own, crop, landmarks)[:, above], frames[:, above])
    assert sway_body(frames, own, crop, landmarks, share=0.0) is frames
