"""hazard-10's data and what it does to motion after sampling, against its goldens; its generator."""

from fractions import Fraction

import pytest
import torch
from diffpose_goldens import golden, published
from small_generators import SMALL_LIVEHEAD, small_livehead, small_model, voice

from talking_head.diffpose.difflivehead.generator import LiveHeadGenerator
from talking_head.diffpose.difflivehead.motion import (
    KEPT,
    Latents,
    LiveHeadPerson,
    LiveHeadSpace,
    blinking,
    finished,
    in_range,
    straightened,
    vectors_of,
    window_starts,
)
from talking_head.diffpose.diffusion.checkpoints import save_diffusion
from talking_head.diffpose.diffusion.samplers import SampleOptions
from talking_head.diffpose.generator import choose_generator
from talking_head.diffpose.steering.options import MotionOptions
from talking_head.lp_core.compute.compute import ON_CPU
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.motion.controls import LIP_CONTROLS, from_expression
from talking_head.lp_core.motion.keypoints import transform


def stored(name):
    return golden("hazard10", name)


def clip():
    """The golden clip: keypoints 63, expression 63, translation 3, angles 3, scale, eyes 2, lips."""
    latent = stored("data.latent")
    return Latents(latent[:, :63], latent[:, 63:126], latent[:, [129, 130, 131, 126, 127]], latent[:, 135])


def test_windows_are_cut_and_normalised_as_for_training():
    starts = window_starts(105)
    windows = torch.stack(
        [vectors_of(clip().frames(start, start + 75), stored("data.latent_bound")) for start in starts]
    )
    torch.testing.assert_close(windows, stored("data.motion"), atol=1e-6, rtol=0)
    assert stored("data.latent_mask").tolist() == list(KEPT)
    assert [min(105 - start, 75) - 1 for start in starts] == stored("data.end_idx").tolist()


def test_a_clip_tells_its_person():
    person = LiveHeadPerson.of(clip(), stored("data.latent_bound"))
    torch.testing.assert_close(person.shape, stored("data.shape")[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(person.mean, stored("data.mean_exp")[0], atol=1e-6, rtol=0)
    assert person.mouth_open_ratio == pytest.approx(float(stored("data.mouth")[0]))


def test_poses_are_brought_into_range_and_set_straight():
    raw, expected = stored("post.pose_raw")[0, :, 20:], stored("post.pose_norm")[0, :, 20:]
    torch.testing.assert_close(in_range(raw), expected, atol=1e-6, rtol=0)
    calm = torch.tensor([[4.0, -3.0, 1.0, 0.1, 0.0]]).repeat(9, 1)
    calm[7] += 20
    torch.testing.assert_close(straightened(calm)[:7], in_range(torch.zeros(7, 5)), atol=1e-6, rtol=0)


def test_motion_is_finished_as_its_demo_does():
    noise, periods = stored("post.blink_noise").view(-1, 2), iter(stored("post.blink_periods").tolist())
    made = finished(stored("post.in"), noise, periods)
    torch.testing.assert_close(made, stored("post.pose_smoothed"), atol=1e-6, rtol=0)


def test_vectors_become_keypoints():
    motion = LiveHeadSpace(torch.zeros(25)).motion(stored("post.pose_smoothed"), Fraction(25))
    scale = stored("post.scale").expand(len(motion), 1)
    placed = transform(stored("post.kp")[0], motion.expression, motion.rotation, scale, motion.translation)
    torch.testing.assert_close(placed, stored("post.x_d"), atol=1e-4, rtol=0)


def test_eyes_shut_five_frames_long_and_rest_between():
    closed = blinking(torch.zeros(400, 2), iter([16] * 40))[:, 0] > -0.004
    starts = (closed.int().diff() == 1).nonzero()[:, 0] + 1
    assert closed[:12].sum() == 0
    assert (starts.diff() >= 17).all()
    assert len(starts) > 400 / 40


def test_what_the_voice_moves_is_what_is_left_without_guidance():
    left = [stored(f"stream.w{index}.gen") - stored(f"stream.w{index}.null").mean(1) for index in range(4)]
    torch.testing.assert_close(torch.cat(left, 1)[0], stored("stream.motion_minus_null"), atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def generator():
    return small_livehead()


@pytest.mark.parametrize(("samples", "fps"), [(1, 25), (800, 30), (70_000, 25), (64_000, 29.97)])
def test_frames_cover_the_sound_and_the_seed_tells_the_motion(samples, fps, generator):
    sound = voice(samples)
    first, again, other = (generator.generate(sound, fps, seed=seed) for seed in (2, 2, 3))
    assert len(first) == -(-samples * first.fps // 16_000)
    assert torch.equal(first.expression, again.expression)
    assert torch.isfinite(first.expression).all()
    assert not torch.equal(first.expression, other.expression)


def test_it_rests_in_silence_and_blinks(generator):
    motion = generator.generate(Audio(torch.zeros(1, 80_000), 16_000), 25, MotionOptions(subtle=0))
    moved = motion.expression - motion.rest.expression
    controls = from_expression(moved)
    assert all(getattr(controls, name).abs().max() < 1e-4 for name in LIP_CONTROLS)
    lids, across = moved.flatten(1)[:, [34, 46]], moved.flatten(1)[:, [33, 45]]
    assert lids.median().abs() < 1e-3
    assert (lids > 0.01).any(0).all()
    assert across.abs().max() < 1e-4


def test_private_weights_are_taken_where_the_published_ones_are_not(tmp_path):
    from safetensors.torch import save_file

    save_diffusion(
        small_model("difflivehead", **(SMALL_LIVEHEAD | {"audio": 64})), tmp_path / "difflivehead.safetensors"
    )
    with pytest.raises(FileNotFoundError, match=r"wav2vec2-base-960h/model.safetensors in "):
        choose_generator("diffusion", ON_CPU, [tmp_path])
    (tmp_path / "wav2vec2-base-960h").mkdir()
    tensors = published("encoder", prefix="wav2vec2.", hidden=64)
    save_file(tensors, tmp_path / "wav2vec2-base-960h" / "model.safetensors")
    made = choose_generator("diffusion", ON_CPU, [tmp_path], SampleOptions(steps=1))
    assert isinstance(made, LiveHeadGenerator)
    assert len(made.generate(voice(9000), 30)) == 17


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="JoyVASA's motion generator is driven by another generator"):
        LiveHeadGenerator(small_model(), None, LiveHeadPerson(torch.zeros(63)))
