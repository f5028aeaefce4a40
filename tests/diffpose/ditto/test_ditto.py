"""Ditto around its network: conditions, hearing, fusion, the way to LivePortrait motion, streams, its encoder."""

import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffpose_goldens import golden, lmdm_shapes, published, weight
from hypothesis import given, settings
from hypothesis import strategies as st
from small_generators import held, small_ditto, small_lmdm

from talking_head.diffpose.diffusion.published import canonical
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions, guided, sample
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.ditto.generator import DittoGenerator
from talking_head.diffpose.ditto.hearing import CHUNK, DittoFeatures, onnx_encoder
from talking_head.diffpose.ditto.motion import (
    DIMS,
    EMOTIONS,
    LIVE_DITTO,
    WHOLE_DITTO,
    DittoControls,
    DittoPlan,
    DittoSource,
    DittoSpace,
    conditions,
    encoded,
    fused,
    gaze_against,
    relative_to_first,
    smoothed_pose,
)
from talking_head.diffpose.ditto.network import Lmdm, LmdmLayout
from talking_head.diffpose.generator import choose_generator
from talking_head.diffpose.steering.options import MOODS, MotionOptions
from talking_head.lp_core.compute.compute import ON_CPU
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError
from talking_head.lp_core.media.audio import Audio
from talking_head.lp_core.motion.keypoints import transform
from talking_head.lp_core.motion.sequence import MotionFrame, join

EXACT = 1e-6
PARTS = ("expression", "rotation", "scale", "translation")


def stored(name, *shape):
    return golden("ditto", name, *shape)


def source():
    angles = (stored(f"src.{name}", 1, 66)[0] for name in ("pitch", "yaw", "roll"))
    parts = (stored("src.scale")[0] - 1, *angles, stored("src.t")[0], stored("src.exp")[0])
    return DittoSource(
        torch.cat(parts), stored("src.kp")[0], torch.cat((stored("cond.eye_open"), stored("cond.eye_ball")), 1)
    )


# ------------------------------------------------------------------------------------------------- against goldens


def test_the_source_s_vector():
    assert torch.equal(source().vector, stored("src.vec265"))


@pytest.mark.parametrize(("case", "start"), [("out_idx_5", 5), ("out_idx_m2", -2)])
def test_condition_goldens(case, start):
    told = conditions(stored("cond.aud", 6, 16), start, source(), ((4,), (3, 4), (3,)))
    torch.testing.assert_close(told, stored(f"cond.{case}"), atol=EXACT, rtol=0)


def test_hearing_goldens():
    """Sound is cut into chunks as Ditto cuts it, and of each the same features are taken."""
    heard, answers = [], iter(stored("chunk.enc"))

    def encoder(sound):
        heard.append(sound)
        return next(answers)

    features = DittoFeatures(encoder)
    features.push(stored("chunk.wav"))
    speech = features.between(0, 26)[0]
    assert len(heard) == int(stored("chunk.n_calls"))
    assert torch.equal(heard[0], stored("chunk.first_chunk"))
    assert torch.equal(heard[1][:400], stored("chunk.second_chunk_head"))
    torch.testing.assert_close(speech, stored("chunk.feats_first32"), atol=EXACT, rtol=0)


@pytest.mark.parametrize(("case", "overlap"), [("offline", 4), ("online", 10)])
def test_fusion_goldens(case, overlap):
    plan = DittoPlan(overlap, frames=12)
    predicted = [stored(f"fuse.{case}.pred{index}", 1, 12, 265)[0] for index in range(3)]
    known = smoothed_pose(predicted[0], 0, 12)
    before = [source().vector]
    for index in range(3):
        torch.testing.assert_close(known, stored(f"fuse.{case}.res{index}")[0], atol=EXACT, rtol=0)
        if index < 2:
            before.append(known[-overlap - 1])
            known = fused(known, predicted[index + 1], plan)
    torch.testing.assert_close(torch.stack(before), stored(f"fuse.{case}.cond_frames"), atol=EXACT, rtol=0)


def vectors_to_stitch():
    vectors = stored("stitch.d_vecs").clone()
    vectors[:, -63:] *= 0.05
    return vectors


def assert_placed(motion, case):
    placed = transform(
        stored("src.kp").view(21, 3), motion.expression, motion.rotation, motion.scale, motion.translation
    )
    torch.testing.assert_close(placed, stored(f"stitch.{case}.x_d"), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("case", "controls"),
    [
        ("default", DittoControls()),
        ("absolute", DittoControls()),
        ("noeye", DittoControls(eyes=False)),
        ("scaled_keys", DittoControls(expression=1.2, pitch=0.5, yaw=0.5, roll=0.5)),
    ],
)
def test_keypoint_goldens(case, controls):
    vectors = vectors_to_stitch()
    moved = vectors if case == "absolute" else relative_to_first(vectors, vectors[0], source())
    assert_placed(DittoSpace(source(), controls).motion(moved, Fraction(25)), case)


def test_controls_of_single_frames_are_edits_of_the_motion():
    """Ditto's per-frame controls, composed: degrees added, logits scaled, the expression faded to the source's."""
    vectors = vectors_to_stitch()
    moved = relative_to_first(vectors, vectors[0], source())
    yaw = slice(67, 133)
    moved[2, yaw] *= 0.5
    motion = DittoSpace(source()).motion(moved, Fraction(25))
    own, share = motion.rest, torch.tensor([1.0, 1.0, 0.3, 0.25])[:, None, None]
    turned = motion.rotation + torch.tensor([[0.0, 0, 0], [3, -5, 0], [0, 0, 0], [0, 0, 0]])
    ungazed = motion.expression - gaze_against(motion.rotation - own.rotation)
    faded = torch.lerp(own.expression, ungazed, share) + gaze_against(turned - own.rotation)
    assert_placed(replace(motion, expression=faded, rotation=turned), "ctrl")


def test_sampling_golden():
    network = Lmdm(LmdmLayout()).eval().requires_grad_(False)
    network.load_state_dict(canonical(published("ditto")))
    guidance = Guidance(audio=2.0)
    window = network.window(stored("lmdm.cond", 1, 80, 1103), stored("lmdm.cond_frame", 1, 265), guidance.dropped())
    predictor = guided(lambda motion, step: network(motion, step, window), guidance)
    noise = iter(stored("ddim10.step_noise", 9, 1, 80, 265))
    out = sample(
        predictor,
        stored("ddim10.x_T", 1, 80, 265),
        lambda: next(noise),
        Schedule.named("ditto", 1000),
        SampleOptions(steps=10, eta=1.0, guidance=guidance),
    )
    torch.testing.assert_close(out, stored("ddim10.out"), atol=1e-3, rtol=0)


# --------------------------------------------------------------------------------------------------- the generator


def test_a_frame_s_vector_stands_for_it():
    frame = MotionFrame(
        torch.randn(21, 3) * 0.01,
        torch.tensor([12.0, -31.4, 5.5]),
        torch.tensor([1.2]),
        torch.tensor([0.1, -0.2, 0.0]),
    )
    space = DittoSpace(DittoSource(encoded(frame), torch.zeros(63)))
    back = space.motion(encoded(frame)[None], Fraction(25)).rest
    torch.testing.assert_close(back.rotation, frame.rotation, atol=1e-3, rtol=0)
    torch.testing.assert_close(back.expression, frame.expression)
    torch.testing.assert_close(back.scale, frame.scale)


@pytest.fixture(scope="module")
def generator():
    return small_ditto()


def voice(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(1))


def joined(stream, chunks):
    return join([piece for piece in (*map(stream.push, chunks), stream.finish()) if piece is not None])


def same(first, second):
    return all(torch.equal(getattr(first, part), getattr(second, part)) for part in PARTS)


@pytest.mark.parametrize(("samples", "fps"), [(1, 25), (800, 30), (70_000, 25), (64_000, 29.97)])
def test_frames_cover_the_sound(samples, fps, generator):
    motion = generator.generate(Audio(voice(samples)[None], 16_000), fps, seed=2)
    assert len(motion) == -(-samples * motion.fps // 16_000)
    again, other = (generator.generate(Audio(voice(samples)[None], 16_000), fps, seed=seed) for seed in (2, 3))
    assert same(motion, again)
    assert samples < 800 or not same(motion, other)


@given(cuts=st.lists(st.integers(1, 50_000), max_size=4, unique=True))
@settings(max_examples=5, deadline=None)
def test_a_stream_in_chunks_is_the_stream_at_once(cuts, generator):
    sound = voice(50_000)
    edges = [0, *sorted(cut for cut in cuts if cut < 50_000), 50_000]
    whole = joined(generator.stream(seed=5), [sound])
    assert len(whole) == 79
    assert same(joined(generator.stream(seed=5), [sound[a:b] for a, b in pairwise(edges)]), whole)


def test_the_first_frames_settle_after_880_ms_and_later_sound_does_not_change_them(generator):
    sound, options = voice(16 * 880), MotionOptions(lip_lead_ms=0)
    stream = generator.stream(options=options)
    assert stream.push(sound[:-1]) is None
    first = stream.push(sound[-1:])
    assert len(first) == 9
    other = generator.stream(options=options).push(torch.cat((sound, voice(9000))))
    assert same(first, other[:9])


def test_a_generator_s_controls_still_eyes_and_head():
    calm = DittoControls(pitch=0.0, yaw=0.0, roll=0.0, translation=0.0, eyes=False)
    made = DittoGenerator(*small_lmdm(), options=SampleOptions(steps=2), controls=calm)
    motion = made.generate(Audio(voice(16_000)[None], 16_000), 25, MotionOptions(subtle=0))
    assert (motion.rotation - motion.rest.rotation).abs().max() < 1e-3
    assert (motion.translation - motion.rest.translation).abs().max() < 1e-5
    moved = (motion.expression - motion.rest.expression).abs().amax((0, 2))
    assert moved[[11, 15, 18]].max() < 1e-4 < moved[19]  # smiles raise the lower lids, 13 and 16


def test_sound_reaches_the_motion(generator):
    loud, silent = (
        generator.generate(Audio(sound[None], 16_000), 25, MotionOptions(rest_in_silence=False, subtle=0))
        for sound in (voice(32_000), torch.zeros(32_000))
    )
    assert (loud.expression - silent.expression).abs().max() > 1e-4


def test_the_network_is_told_the_mood(generator):
    audio = Audio(voice(16_000)[None], 16_000)
    plain, sad = (
        generator.generate(audio, 25, MotionOptions(mood=mood, mood_strength=0)) for mood in ("neutral", "sad")
    )
    assert not same(plain, sad)
    assert set(EMOTIONS) == set(MOODS)


def test_memory_does_not_grow(generator):
    stream = generator.stream()
    for _ in range(20):
        stream.push(torch.zeros(6400))
    assert len(stream._windows._known) <= 160
    assert len(stream._features._chunks) <= 16
    assert held(stream._features) <= 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DittoPlan(80), "share 1 … 79; got 80"),
        (lambda: DittoPlan(10, silence=-1), "0 … 79 frames of silence; got -1"),
        (lambda: DittoSource(torch.zeros(70), torch.zeros(63)), r"vector of \(265,\); got \(70,\)"),
        (lambda: DittoGenerator(*small_lmdm()).stream(seed=-1), "seed is -1"),
    ],
)
def test_what_is_wrong_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_live_windows_are_those_of_deployments():
    assert (LIVE_DITTO.new, LIVE_DITTO.fade, WHOLE_DITTO.new, WHOLE_DITTO.fade) == (10, 10, 70, 10)
    assert DIMS == 265


# ------------------------------------------------------------------------------------------------------ its encoder


class FakeSession:
    names = ("input_values",)

    def __init__(self, path, providers):
        assert providers == ["CPUExecutionProvider"]
        if "broken" in path:
            raise RuntimeError("protobuf parsing failed")
        self.path = path

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.names]

    def run(self, wanted, given):
        assert wanted is None
        assert given["input_values"].shape == (1, CHUNK)
        return [np.full((1, 20, 1024), given["input_values"].mean(), np.float32)]


def test_the_onnx_encoder_is_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=FakeSession))
    assert torch.equal(onnx_encoder("hubert.onnx")(torch.ones(CHUNK)), torch.ones(20, 1024))
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime: protobuf parsing failed"):
        onnx_encoder("broken.onnx")
    monkeypatch.setattr(FakeSession, "names", ("a", "b"))
    with pytest.raises(CheckpointError, match="takes sound alone"):
        onnx_encoder("hubert.onnx")


def test_without_onnxruntime_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="pip install onnxruntime"):
        onnx_encoder("hubert.onnx")


def test_the_installed_networks_make_motion(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=FakeSession))
    with pytest.raises(FileNotFoundError, match="ditto/lmdm is missing; ditto/hubert is missing"):
        choose_generator("ditto", ON_CPU, (tmp_path,))
    tensors = {key: weight(key, shape) for key, shape in lmdm_shapes(width=16, hidden=16, layers=1).items()}
    torch.save({"model_state_dict": tensors}, tmp_path / "lmdm_v0.4_hubert.pth")
    (tmp_path / "hubert_streaming_fix_kv.onnx").write_bytes(b"\x08\x07" + bytes(64))
    made = choose_generator("ditto", ON_CPU, (tmp_path,), SampleOptions(steps=2, guidance=Guidance(2.0, 1.0)))
    assert len(made.generate(Audio(voice(9000)[None], 16_000), 25)) == 15
