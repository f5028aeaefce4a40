"""Weights in the last of several models folders, as extra_model_paths.yaml adds them, are found by every loader."""

import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT
from diffpose_goldens import lmdm_shapes, published, save_published, weight, write_small_diffusion
from host import Host, defaults_of, load_as_comfyui
from liveportrait_goldens import write_small_weights
from talker_goldens import filled, tensors_of
from test_ditto import FakeSession
from test_learned_pose_nodes import own_model
from test_talker_installed import install as write_small_talker

from talking_head.diffpose.diffusion.installed import DIFFUSION
from talking_head.diffpose.ditto.installed import DITTO
from talking_head.diffpose.talker.apc import Apc
from talking_head.diffpose.talker.installed import TALKER
from talking_head.lp_core.liveportrait.entries import ANIMAL, HUMAN
from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.media.picture import load_picture

PACK = load_as_comfyui()
NODES = PACK.NODE_CLASS_MAPPINGS


def write_small_ditto(folder):
    tensors = {key: weight(key, shape) for key, shape in lmdm_shapes(width=16, hidden=16, layers=1).items()}
    torch.save({"model_state_dict": tensors}, folder / "lmdm_v0.4_hubert.pth")
    (folder / "hubert_streaming_fix_kv.onnx").write_bytes(b"\x08\x07" + bytes(64))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A stand-in whose user named two more folders for each kind of models; all weights lie in the second one."""
    base = tmp_path_factory.mktemp("shared")
    with Host(tmp_path_factory.mktemp("comfyui"), PACK) as running:
        for kind in ("liveportrait", "diffpose"):
            folders = [base / "first" / kind, base / "second" / kind]
            for folder in folders:
                folder.mkdir(parents=True)
            running.model_folders[kind] = [str(folder) for folder in folders]
        write_small_weights(base / "second" / "liveportrait")
        write_small_weights(base / "second" / "liveportrait", animals=True)
        folder = base / "second" / "diffpose"
        write_small_diffusion(folder)
        write_small_talker(folder)
        write_small_ditto(folder)
        save_published(folder / "style_encoder.pt", published("style_encoder", motion=70), "encoder")
        torch.save(tensors_of(filled(Apc, "apc"), "apc"), folder / "APC_epoch_160.model")
        (folder / "pose").mkdir()
        own_model("apc", 512).save(folder / "pose" / "ours.safetensors")
        yield running


@pytest.fixture(scope="module")
def motion(host):
    return run("AudioToMotion", audio=spoken(), motion="procedural")[0]


def run(node_id: str, **given):
    result = NODES[node_id]().execute(**(defaults_of(NODES[node_id]) | given))
    return result["result"] if isinstance(result, dict) else result


def spoken():
    """Two seconds of the bundled voice."""
    sound = load_audio(ROOT / "workflows" / "demo_speech.wav")
    return {"waveform": sound.waveform[None, :, : 2 * sound.sample_rate], "sample_rate": sound.sample_rate}


@pytest.mark.parametrize("animal", [False, True])
def test_the_renderer_s(host, animal):
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")[None, :256, 100:356]
    portrait, *_ = run("LoadPortrait", image=picture, animal=animal, face_box="70, 30, 190, 190")
    assert portrait.renderer.name == "liveportrait"


@pytest.mark.parametrize("generator", ["auto", "diffusion", "talker", "ditto"])
def test_the_generators(host, generator, monkeypatch):
    if generator == "ditto":
        monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=FakeSession))
    assert len(run("AudioToMotion", audio=spoken(), motion=generator, steps=2)[0]) == 50


def test_the_style_encoder_s(host, motion):
    assert run("StyleEncode", motion=motion)[0].code is not None


def test_the_head_poses(host, motion):
    described = NODES["LearnedPose"].INPUT_TYPES()["required"]["model"][0]
    assert described == ["ours.safetensors"]
    run("LearnedPose", motion=motion, audio=spoken(), model="ours.safetensors")
    run("SadTalkerPose", motion=motion, audio=spoken())


@pytest.mark.parametrize("encoder", ["sadtalker", "hubert", "apc"])
def test_the_speech_encoders(host, encoder):
    run("BuildSpeaker", audio=spoken(), encoder=encoder)


def test_the_doctor_shows_where(host):
    (report,) = run("Doctor")
    lines = report.splitlines()
    for entry in (*HUMAN, *ANIMAL, *DIFFUSION, *TALKER, *DITTO):
        (line,) = (line for line in lines if line.startswith(f"{entry.name}: "))
        assert line.startswith(f"{entry.name}: present at ")
        assert "/shared0/second/" in line


def test_the_pack_s_own_folder_comes_after_the_user_s(host):
    """And stands there once, however often it is asked for."""
    for kind in ("liveportrait", "diffpose"):
        assert host.model_folders[kind][2:] == [str(host.folders["models"] / kind)]
