from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from diffpose_goldens import DIFFPOSETALK
from hypothesis import given, settings
from hypothesis import strategies as st
from small_generators import joyvasa_space, small_diffusion, small_encoder, small_model, styled_diffusion, voice

from talking_head.diffpose.diffusion.generator import DiffusionGenerator, whole_motion
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions
from talking_head.diffpose.diffusion.windows import LIVE, LIVE_ON_CPU
from talking_head.diffpose.generator import MotionOptions
from talking_head.diffpose.motion_generator import MotionRequest
from talking_head.diffpose.speech.encoder import SAMPLES_PER_FRAME, speech_encoder
from talking_head.diffpose.steering.style import CODE_SIZE, MotionStatistics, Style
from talking_head.diffpose.steering.subtle import mood_controls
from talking_head.lp_core.compute.compute import Compute
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.motion.controls import BROW_CONTROLS, EYE_CONTROLS, LIP_CONTROLS, from_expression
from talking_head.lp_core.motion.edits import CONTACT_PER_PITCH, CONTACT_PER_YAW
from talking_head.lp_core.motion.keypoints import rotation_degrees
from talking_head.lp_core.motion.sequence import join

PARTS = ("expression", "rotation", "scale", "translation")


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


@pytest.fixture(scope="module")
def generator():
    return small_diffusion()


def lips_of(motion):
    """How far the lips' controls are from rest, frame by frame."""
    controls = from_expression(motion.expression - motion.rest.expression)
    return torch.stack([getattr(controls, name) for name in LIP_CONTROLS]).norm(dim=0)


def same(first, second):
    return all(torch.equal(getattr(first, part), getattr(second, part)) for part in PARTS)


@pytest.mark.parametrize(
    ("samples", "rate", "channels", "fps"),
    [
        (1, 16_000, 1, 25),
        (800, 16_000, 1, 25),
        (8000, 8000, 1, 30),
        (48_000, 96_000, 2, 25),
        (44_100, 44_100, 6, 29.97),
    ],
)
def test_frames_cover_the_sound(samples, rate, channels, fps, generator):
    motion = generator.generate(voice(samples, rate, channels), fps)
    assert len(motion) == -(-samples * motion.fps // rate)
    assert abs(float(motion.fps) - fps) < 0.01


def test_the_seed_tells_the_motion(generator):
    first, second, other = (generator.generate(voice(9000), 25, seed=seed) for seed in (3, 3, 4))
    assert same(first, second)
    assert not same(first, other)


@given(cuts=st.lists(st.integers(1, 30_000), max_size=4, unique=True))
@settings(max_examples=8, deadline=None)
def test_a_stream_in_chunks_is_the_stream_at_once(cuts, generator):
    sound = voice(20_000).waveform[0]
    edges = [0, *sorted(cut for cut in cuts if cut < 20_000), 20_000]

    def streamed(chunks):
        stream = generator.stream(seed=5)
        pieces = [*(stream.push(chunk) for chunk in chunks), stream.finish()]
        return join([piece for piece in pieces if piece is not None])

    whole = streamed([sound])
    assert len(whole) == 32
    assert same(streamed([sound[a:b] for a, b in pairwise(edges)]), whole)


def test_the_first_frames_settle_after_280_ms(generator):
    stream = generator.stream()
    assert stream.push(torch.zeros(16 * 280 - 1)) is None
    first = stream.push(torch.zeros(1))
    assert first is not None
    assert len(first) == 4  # the lips' lead holds one back


def test_without_a_lead_nothing_is_held_back(generator):
    stream = generator.stream(options=MotionOptions(lip_lead_ms=0))
    assert len(stream.push(torch.zeros(16 * 280))) == 5


def test_a_stream_ends_once(generator):
    stream = generator.stream()
    assert stream.finish() is None
    with pytest.raises(ValueError, match="has ended"):
        stream.push(torch.zeros(640))


def test_parts_that_are_not_wanted_hold_still(generator):
    motion = generator.generate(voice(9000), 25, MotionOptions(lips_only=True))
    still = generator.generate(voice(9000), 25, MotionOptions(lips=0, brows=0, head=0, blinks=0, gaze=0))
    moving = generator.generate(voice(9000), 25)
    for held in (motion, still, generator.generate(voice(9000), 25, MotionOptions(pose="still"))):
        torch.testing.assert_close(held.relative_rotation(), torch.eye(3).expand(15, 3, 3), atol=1e-4, rtol=0)
    assert (moving.relative_rotation() - torch.eye(3)).abs().max() > 0.1
    assert (motion.expression[:, 19] - motion.rest.expression[19]).abs().max() > 1e-4


def test_the_lips_lead_shifts_the_lips_alone(generator):
    options = (MotionOptions(lip_lead_ms=lead, rest_in_silence=False) for lead in (0, 80))
    late, early = (generator.generate(voice(16_000), 25, wanted) for wanted in options)
    first, second = from_expression(late.expression), from_expression(early.expression)
    torch.testing.assert_close(second.jaw[:-2], first.jaw[2:], atol=1e-4, rtol=0)
    torch.testing.assert_close(second.brow_left, first.brow_left, atol=1e-4, rtol=0)
    assert torch.equal(early.rotation, late.rotation)


def test_lips_rest_in_silence(generator):
    sound = voice(48_000).waveform.clone()
    sound[:, 16_000:32_000] = 0
    audio = Audio(sound, 16_000)
    resting = lips_of(generator.generate(audio, 25))
    left = lips_of(generator.generate(audio, 25, MotionOptions(rest_in_silence=False)))
    silent = slice(32, 43)  # inside the soft edges of the gate
    assert resting[silent].max() < 1e-4 * left[silent].min()
    torch.testing.assert_close(resting[10:20], left[10:20])
    nobody = generator.generate(Audio(torch.zeros(1, 16_000), 16_000), 25)
    assert lips_of(nobody).max() < 1e-4


def test_expression_scales_the_face_but_not_blinks(generator):
    plain, double = (generator.generate(voice(9000), 25, MotionOptions(expression=size)) for size in (1, 2))
    first, second = (from_expression(motion.expression - motion.rest.expression) for motion in (plain, double))
    torch.testing.assert_close(second.jaw, 2 * first.jaw, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(second.brow_left, 2 * first.brow_left, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(second.blink_left, first.blink_left, atol=1e-4, rtol=1e-3)


def test_lips_only_moves_nothing_else(generator):
    motion = generator.generate(voice(9000), 25, MotionOptions(lips_only=True))
    controls = from_expression(motion.expression - motion.rest.expression)
    assert controls.jaw.abs().max() > 1e-3
    for name in (*EYE_CONTROLS, *BROW_CONTROLS):
        assert getattr(controls, name).abs().max() < 1e-5


def test_statistics_scale_a_network_without_style(generator):
    plain = generator.generate(voice(9000), 25)
    wide = Style(statistics=MotionStatistics(head_yaw=0.82 * 2, head_pitch=1.1 * 2, head_roll=0.6 * 2))
    turned = generator.generate(voice(9000), 25, style=wide)
    first = torch.linalg.matrix_norm(plain.relative_rotation() - torch.eye(3)).mean()
    assert torch.linalg.matrix_norm(turned.relative_rotation() - torch.eye(3)).mean() > 1.1 * first
    assert same(generator.generate(voice(9000), 25, style=wide.with_strength(0)), plain)


def test_a_style_code_guides_and_strength_0_is_exactly_without(encoder):
    made = styled_diffusion(encoder)
    style = Style(code=torch.randn(CODE_SIZE))
    free = made.generate(voice(9000), 25)
    assert same(made.generate(voice(9000), 25, style=style.with_strength(0)), free)
    assert not same(made.generate(voice(9000), 25, style=style), free)


WISHES = [
    MotionOptions(lip_lead_ms=0),
    MotionOptions(lips=1.4, brows=0.5, head=0.3, blinks=0, gaze=2, mood="happy", look="viewer", lip_lead_ms=70),
    MotionOptions(lip_lead_ms=-90, lips_only=True),
    MotionOptions(pose="still", expression=0.5, subtle=2, rest_in_silence=False),
]


def joined(stream, chunks):
    return join([piece for piece in (*map(stream.push, chunks), stream.finish()) if piece is not None])


@pytest.mark.parametrize("wanted", WISHES)
def test_a_stream_does_what_is_wanted_however_it_is_cut(wanted, generator):
    sound, lively = voice(30_000).waveform[0], Style(statistics=MotionStatistics(head_yaw=5.0))
    whole = joined(generator.stream(5, lively, options=wanted), [sound])
    assert len(whole) == 47
    assert same(joined(generator.stream(5, lively, options=wanted), sound.split(1111)), whole)


@pytest.mark.parametrize("wanted", WISHES)
def test_a_steered_stream_is_the_steering_of_a_stream(wanted, generator):
    """But for the gate of silence and the emphases, which a whole voice tells better."""
    wanted = replace(wanted, rest_in_silence=False, subtle=0)
    sound, gains = voice(30_000), Style().gains()
    streamed = joined(generator.stream(5, options=wanted), [sound.waveform[0]])
    request = MotionRequest(sound, Fraction(25), wanted, 5, Style())
    whole = whole_motion(generator._stream(5, Style(), LIVE, None), request, gains)
    for part in PARTS:
        torch.testing.assert_close(getattr(streamed, part), getattr(whole, part), atol=2e-4, rtol=0)


def test_a_stream_rests_in_silence_without_a_jump(generator):
    sound = voice(48_000).waveform[0].clone()
    sound[16_000:32_000] = 0
    spoken_lips = lips_of(joined(generator.stream(5, options=MotionOptions(subtle=0)), [sound]))
    free = lips_of(joined(generator.stream(5, options=MotionOptions(subtle=0, rest_in_silence=False)), [sound]))
    assert spoken_lips[33:43].max() < 1e-4
    assert spoken_lips[12:22].max() > 0.9 * free[12:22].max()
    share = spoken_lips / free
    assert share.diff().abs().max() < 0.35


def test_a_style_s_statistics_steer_a_stream(generator):
    calm, lively = (
        joined(generator.stream(5, Style(statistics=MotionStatistics(head_yaw=yaw))), [voice(9000).waveform[0]])
        for yaw in (0.3, 2.0)
    )
    turns = [
        torch.linalg.matrix_norm(motion.relative_rotation() - torch.eye(3)).mean() for motion in (calm, lively)
    ]
    assert turns[1] > 1.2 * turns[0]


def test_the_look_holds_the_viewer(generator):
    motion = generator.generate(voice(9000), 25, MotionOptions(look="viewer", subtle=0))
    turn = rotation_degrees(motion.relative_rotation())
    pupils = from_expression(motion.expression - motion.rest.expression)
    torch.testing.assert_close(pupils.pupil_x, CONTACT_PER_YAW * turn[:, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(pupils.pupil_y, -CONTACT_PER_PITCH * turn[:, 0], atol=1e-4, rtol=0)


def test_a_mood_is_held_in_silence_too(generator):
    quiet = Audio(torch.zeros(1, 16_000), 16_000)
    plain, sad = (generator.generate(quiet, 25, MotionOptions(mood=mood, subtle=0)) for mood in ("neutral", "sad"))
    added, mood = from_expression(sad.expression - plain.expression), mood_controls("sad", 25)
    for name in (*BROW_CONTROLS, *LIP_CONTROLS):
        torch.testing.assert_close(getattr(added, name), getattr(mood, name), atol=1e-4, rtol=0)


def test_other_motion_spaces_are_refused(encoder):
    model = small_model("diffposetalk", **DIFFPOSETALK)
    with pytest.raises(ValueError, match="a DiffPoseTalk denoiser does not write LivePortrait motion"):
        DiffusionGenerator(model, encoder, joyvasa_space())


def test_negative_seeds_are_refused(generator):
    with pytest.raises(ValueError, match="seed is -1; expected 0 or more"):
        generator.generate(voice(700), 25, seed=-1)


def test_rates_are_kept_exactly(generator):
    assert generator.generate(voice(SAMPLES_PER_FRAME), 29.97).fps == Fraction(30_000, 1001)


def test_the_cheap_live_stream_in_chunks_is_the_stream_at_once(generator):
    sound = voice(20_000).waveform[0]

    def streamed(chunks):
        stream = generator.stream(seed=5, plan=LIVE_ON_CPU)
        return join([piece for piece in (*map(stream.push, chunks), stream.finish()) if piece is not None])

    whole = streamed([sound])
    assert len(whole) == 32
    assert same(streamed(sound.split(777)), whole)


def test_style_guidance_means_nothing_to_a_network_without_style(generator, encoder):
    guided = DiffusionGenerator(
        small_model(), encoder, joyvasa_space(), SampleOptions(steps=2, guidance=Guidance(audio=2.0, style=1.0))
    )
    assert same(guided.generate(voice(9000), 25), generator.generate(voice(9000), 25))


@pytest.mark.usefixtures("any_cpu_has_bfloat16")
@pytest.mark.parametrize("plan", [LIVE, LIVE_ON_CPU])
def test_an_encoder_in_half_precision_changes_little_and_nothing_else_is_halved(plan, generator):
    """The motion differs by what the features do: three percent of them, five of it (random weights)."""
    halved = speech_encoder(small_model().encoder, heads=4, compute=Compute("cpu", "bf16"))
    quick = DiffusionGenerator(small_model(), halved, joyvasa_space(), SampleOptions(steps=2))
    sound, wanted = [voice(16_000).waveform[0]], MotionOptions(lip_lead_ms=0, subtle=0, rest_in_silence=False)
    exact, near = (joined(made.stream(5, plan=plan, options=wanted), sound) for made in (generator, quick))
    assert near.expression.dtype == torch.float32
    varied = (exact.expression - exact.expression.mean(0)).norm()
    assert 0 < (near.expression - exact.expression).norm() < 0.05 * varied
