"""DiffPoseTalk from a voice to FLAME coefficients: its driver's goldens, and the file that is written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffpose_goldens import DIFFPOSETALK, JOYVASA, card, denoiser, golden, published, save_published

from talking_head.diffpose.diffusion.checkpoints import DiffusionModel
from talking_head.diffpose.diffusion.flame import FlameGenerator, Speaker, load_flame_space, main, save_coefficients
from talking_head.diffpose.diffusion.normalise import FlameSpace
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.speech.encoder import SAMPLES_PER_FRAME, speech_encoder
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError
from talking_head.lp_core.media.audio import Audio

SAMPLED = 1e-4


@pytest.fixture(scope="module")
def encoder():
    return speech_encoder(speech_tensors(), heads=4)


def speech_tensors():
    return {key.removeprefix("audio_encoder."): value for key, value in published("encoder").items()}


def model_of(kind="diffposetalk", heads=4, scope=None, **sizes):
    described = card(kind, heads, **sizes)
    described = replace(described, speech=replace(described.speech, scope=scope or described.speech.scope))
    network = denoiser(kind, heads=heads, **sizes)
    return DiffusionModel(described, network, Schedule.named("cosine", 10), speech_tensors())


def flame_space(case):
    names = {"exp": 50, "pose": 6, "shape": 100}
    return FlameSpace.from_statistics(
        {
            f"{name}_{kind}": golden("diffposetalk", f"windows.{case}.stats.{name}_{kind}", size)
            for name, size in names.items()
            for kind in ("mean", "std")
        }
    )


@pytest.mark.parametrize(
    ("case", "motion", "scope", "repetition"),
    [
        ("context", 54, "utterance", 0),
        ("context", 54, "utterance", 1),
        ("nocontext", 54, "window", 0),
        ("short_nohead", 51, "utterance", 0),
    ],
)
def test_driver_goldens(case, motion, scope, repetition, encoder):
    model, name = model_of(scope=scope, **(DIFFPOSETALK | {"motion": motion})), f"windows.{case}"
    options = SampleOptions("ancestral", None, guidance=Guidance(audio=1.15, style=3.0))
    speaker = Speaker(golden("diffposetalk", f"{name}.shape", 100), golden("diffposetalk", f"{name}.style", 128))
    repetitions = slice(repetition, repetition + 1)
    first = golden("diffposetalk", f"{name}.motion_at_T", 2 if case == "context" else 1, 12, motion)[repetitions]
    draws = iter([first, *golden("diffposetalk", f"{name}.z")[:, repetitions]])
    sound = golden("diffposetalk", f"{name}.wav")
    made = FlameGenerator(model, encoder, flame_space(case), options).generate(
        Audio(sound[None], 16_000), speaker, draw=lambda: next(draws)
    )
    # The reference drops a last frame that it has too little sound for.
    count = len(sound) // SAMPLES_PER_FRAME
    assert len(made.pose) == -(-len(sound) // SAMPLES_PER_FRAME)
    for name_of, got in (("exp", made.expression), ("pose", made.pose)):
        expected = golden("diffposetalk", f"{name}.out.{name_of}")[repetition]
        torch.testing.assert_close(got[:count], expected, atol=SAMPLED, rtol=0)


@pytest.mark.parametrize("style", [0, 128])
def test_without_a_speaker_it_is_the_mean_head_without_style(style, encoder):
    sizes = DIFFPOSETALK | {"style": style, "token": (("person_proj", 100 + style),)}
    generator = FlameGenerator(model_of(**sizes), encoder, flame_space("context"), SampleOptions(steps=2))
    sound = Audio(0.1 * torch.randn(1, 3000), 16_000)
    made, again, other = (generator.generate(sound, seed=seed) for seed in (1, 1, 2))
    assert made.expression.shape == (5, 50)
    assert torch.equal(made.pose, again.pose)
    assert not torch.equal(made.pose, other.pose)


def test_other_projects_are_refused(encoder):
    with pytest.raises(ValueError, match="does not write FLAME coefficients; expected a DiffPoseTalk denoiser"):
        FlameGenerator(model_of("joyvasa", **(JOYVASA | {"layers": 1})), encoder, flame_space("context"))


@pytest.mark.parametrize("samples", [1, 800])
def test_the_shortest_sounds_have_their_frames(samples, encoder):
    generator = FlameGenerator(model_of(**DIFFPOSETALK), encoder, flame_space("context"), SampleOptions(steps=1))
    made = generator.generate(Audio(0.1 * torch.ones(1, samples), 16_000))
    assert len(made.expression) == -(-samples // SAMPLES_PER_FRAME)
    assert made.expression.isfinite().all()


def test_a_speaker_is_checked():
    with pytest.raises(ValueError, match=r"speaker's style is \(128,\); got \(64,\)"):
        Speaker(style=torch.zeros(64))


def test_a_voice_becomes_a_file(tmp_path):
    tensors = published("diffposetalk", **DIFFPOSETALK) | published("encoder")
    sizes = {"n_motions": 12, "n_prev_motions": 4, "n_diff_steps": 10, "n_heads": 4, "align_mask_width": 1}
    checkpoint = save_published(tmp_path / "denoiser.pt", tensors, **sizes)
    space = flame_space("context")
    statistics, voice, target = (tmp_path / name for name in ("stats.npz", "voice.wav", "motion.npz"))
    np.savez(statistics, **{f"{n}_{k}": getattr(space, f"{f}_{k}").numpy() for n, f in FIELDS for k in KINDS})
    write_wave(voice, torch.randn(8000) * 0.1)
    main([str(path) for path in (checkpoint, statistics, voice, target)])
    with np.load(target) as saved:
        assert saved["exp"].shape == (13, 50)
        assert saved["pose"].shape == (13, 6)
        assert saved["fps"] == 25
        np.testing.assert_array_equal(saved["shape"], space.shape_mean.numpy())


FIELDS = (("exp", "expression"), ("pose", "pose"), ("shape", "shape"))
KINDS = ("mean", "std")


def write_wave(path, samples):
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples.clamp(-1, 1) * 32_767).short().numpy().tobytes())


def test_unreadable_statistics_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="are not read"):
        load_flame_space(tmp_path / "nothing.npz")
    np.savez(tmp_path / "objects.npz", exp_mean=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle"):
        load_flame_space(tmp_path / "objects.npz")
    np.savez(tmp_path / "other.npz", exp_mean=np.zeros(50))
    with pytest.raises(CheckpointError, match="lack 'exp_std'"):
        load_flame_space(tmp_path / "other.npz")


def test_a_failed_save_leaves_nothing(tmp_path):
    space = flame_space("context")
    coefficients = space.coefficients(torch.zeros(2, 54))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        save_coefficients(coefficients, space.shape_mean, tmp_path / "nowhere" / "motion.npz")
