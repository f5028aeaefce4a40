"""LivePortraitTalker's seven ways of merging lips, pose, eyes and pupils into keypoints, of the pack's parts."""

from dataclasses import replace

import pytest
import torch
from talker_goldens import assert_near, golden, weight

from talking_head.diffpose.pose_sources import reference_pose
from talking_head.diffpose.talker.driver import lip_motion
from talking_head.diffpose.talker.synthetic_pose import Sway, SyntheticPoseOptions, speaking, sway_degrees
from talking_head.lp_core.liveportrait.nets.stitching import StitchingNetworks
from talking_head.lp_core.motion.keypoints import nearest_rotation, rotation_degrees, rotation_matrix, transform
from talking_head.lp_core.motion.retarget import relative_to
from talking_head.lp_core.motion.sequence import MotionFrame, MotionSequence
from talking_head.lp_core.motion.sliders import Sliders, slider_expression
from talking_head.lp_core.motion.smoothers import kalman
from talking_head.lp_core.render.dubbing import dubbed

FRAMES = 55
PREFIXES = {"retarget_shoulder": "lp_stitching", "retarget_eye": "lp_eye"}


@pytest.fixture(scope="module")
def networks():
    made = StitchingNetworks().eval().requires_grad_(False)
    state = made.state_dict()
    for ours, theirs in PREFIXES.items():
        for key in [key for key in state if key.startswith(ours)]:
            state[key] = weight(key.replace(ours, theirs), state[key].shape)
    made.load_state_dict(state)
    return made


def source():
    """The clip of the goldens; its first frame is the image source."""
    stored = golden("lpt_render")
    angles = torch.cat([stored[f"src.{angle}"] for angle in ("pitch", "yaw", "roll")], 1)
    first = MotionFrame(stored["src.exp"][0], angles[0], stored["src.scale"][0], stored["src.t"][0])
    return MotionSequence(stored["src.exp"], angles, stored["src.scale"], stored["src.t"], 25, first)


def from_first():
    lips = golden("lpt_render")["lips"].view(FRAMES, 6, 3)
    return lip_motion(lips - lips[0])


def placed(keypoints, motion, matrices):
    """As `transform`, but with matrices, since the original's smoothed ones are no rotations (pitfall 8)."""
    in_plane = motion.translation * torch.tensor([1.0, 1.0, 0.0])
    return motion.scale[:, :, None] * (keypoints @ matrices + motion.expression) + in_plane[:, None]


def synthetic(rest):
    stored, options = golden("lpt_render"), SyntheticPoseOptions(whole_seconds=True)
    lips = stored["lips"].view(FRAMES, 6, 3)
    sway = Sway(stored["synth.degree"], stored["synth.frequency"], stored["synth.noise"])
    return rest.rotation + sway_degrees(sway, speaking(lips[:, 4:], options), 25.0, options)


def reference(start, rest):
    angles = golden("lpt_render")["ref.angles_deg"]
    clip = MotionSequence(
        torch.zeros(70, 21, 3), angles, torch.ones(70, 1), torch.zeros(70, 3), 25, MotionFrame.neutral()
    )
    pose = reference_pose(clip, FRAMES, start, absolute_for=rest)
    return relative_to(pose, rest).rotation


def image_poses(mode, rest):
    """Degrees (T, 3) of the head, and whether the original smooths them."""
    return {
        "image_synth": lambda: (synthetic(rest), True),
        "image_still_pupil": lambda: (rest.rotation.expand(FRAMES, 3), False),
        "image_ref_zero": lambda: (reference(0, rest), True),
        "image_ref_start7": lambda: (reference(7, rest), True),
        "image_ref_still": lambda: (reference(0, rest), False),
    }[mode]()


IMAGE_MODES = ("image_synth", "image_still_pupil", "image_ref_zero", "image_ref_start7", "image_ref_still")


def with_sliders(motion, sliders):
    return replace(motion, expression=motion.expression + slider_expression(sliders))


@pytest.mark.parametrize("mode", IMAGE_MODES)
def test_a_picture_merges_as_in_the_original(mode, networks):
    stored, clip = golden("lpt_render"), source()
    keypoints, rest = stored["src.kp"][0], clip.rest
    degrees, smoothed = image_poses(mode, rest)
    matrices = kalman(rotation_matrix(degrees)) if smoothed else rotation_matrix(degrees)
    motion = relative_to(from_first(), rest)
    if mode == "image_still_pupil":
        # The original's pupils leave the lids alone: half a blink takes back what the gaze slider gives them.
        motion = replace(
            motion, expression=motion.expression + slider_expression(Sliders(gaze_x=5, gaze_y=-3, blink=-1.5))
        )
    start = clip[:1]
    x_s = transform(keypoints, start.expression, start.rotation, start.scale, start.translation)
    assert_near(x_s, stored[f"{mode}.x_s"], 2e-5)
    ratios = torch.cat([stored["eye_close_ratio"].expand(FRAMES, 2), stored["blink"][:, :1]], 1)
    assert_near(ratios, stored[f"{mode}.eye_ratio"], 2e-5)
    every = x_s.expand(FRAMES, 21, 3)
    x_d = placed(keypoints, motion, matrices) + networks.eye_delta(every, ratios)
    assert_near(x_d, stored[f"{mode}.x_d_pre_stitch"], 2e-5)
    assert_near(
        stitched(networks, every, x_d, 1.2 if mode == "image_ref_start7" else 1.0), stored[f"{mode}.x_d"], 2e-5
    )


@pytest.mark.parametrize("mode", ["video", "video_ref"])
def test_a_clip_merges_as_in_the_original(mode, networks):
    """Pitfall 13: the source's keypoints are placed without the translation's z, and inputs are not written to."""
    stored, clip = golden("lpt_render"), source()
    motion = dubbed(clip, from_first())
    if mode == "video":
        motion = replace(
            motion, expression=motion.expression + slider_expression(Sliders(gaze_x=-4, gaze_y=2, blink=1))
        )
    degrees = clip.rotation if mode == "video" else reference(0, clip.rest)
    x_s = transform(stored["src.kp"], clip.expression, clip.rotation, clip.scale, clip.translation)
    assert_near(x_s, stored[f"{mode}.x_s"], 2e-5)
    x_d = placed(stored["src.kp"], motion, rotation_matrix(degrees))
    assert_near(x_d, stored[f"{mode}.x_d_pre_stitch"], 2e-5)
    assert_near(stitched(networks, x_s, x_d, 1.0), stored[f"{mode}.x_d"], 2e-5)
    assert clip.translation[:, 2].any()


def test_rotations_that_are_rotations_are_hardly_elsewhere(networks):
    """What the pack draws with in place of the original's smoothed matrices, at the keypoints."""
    keypoints, rest = golden("lpt_render")["src.kp"][0], source().rest
    matrices = kalman(rotation_matrix(synthetic(rest)))
    motion = relative_to(from_first(), rest)
    exact = rotation_matrix(rotation_degrees(nearest_rotation(matrices)))
    assert_near(placed(keypoints, motion, exact), placed(keypoints, motion, matrices), 1e-3)


def stitched(networks, x_s, x_d, multiplier):
    delta, moved = networks.stitching_delta(x_s, x_d)
    x_d = x_d + delta
    x_d[..., :2] += moved[:, None]
    return x_s + multiplier * (x_d - x_s)
