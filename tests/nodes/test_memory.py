"""Networks in ComfyUI's care: loaded before they work, unloaded for others, and back when they are needed again."""

import sys

import pytest
import torch
from conftest import ROOT
from diffpose_goldens import write_small_diffusion
from host import Host, InterruptedRunError, ModelPatcher, defaults_of, load_as_comfyui
from liveportrait_goldens import write_small_weights

from talking_head.lp_core.compute.device import already_loaded
from talking_head.lp_core.media.picture import load_picture

PACK = load_as_comfyui()
NODES = PACK.NODE_CLASS_MAPPINGS
HOST = sys.modules[PACK.__name__ + ".nodes.host"]


@pytest.fixture
def host(tmp_path):
    """A stand-in for ComfyUI with the weights in its models folders."""
    with Host(tmp_path / "comfyui", PACK) as running:
        write_small_weights(running.folders["models"] / "liveportrait")
        write_small_diffusion(running.folders["models"] / "diffpose")
        yield running


@pytest.fixture
def others(host):
    """Somebody else's model, as core loads it."""
    device = torch.device("cpu")
    return ModelPatcher(torch.nn.Linear(1000, 1000), device, host.memory.offload_device)


def run(node_id: str, **given):
    result = NODES[node_id]().execute(**(defaults_of(NODES[node_id]) | given))
    return result["result"] if isinstance(result, dict) else result


def prepared():
    picture = load_picture(ROOT / "workflows" / "demo_portrait.jpg")[None, :256, 100:356]
    return run("LoadPortrait", image=picture)[0]


def spoken():
    sound = {"waveform": 0.1 * torch.sin(torch.arange(16_000) / 9)[None, None], "sample_rate": 16_000}
    return run("AudioToMotion", audio=sound, steps=2)[0]


def drawn(portrait, motion) -> torch.Tensor:
    return run("LivePortraitRender", portrait=portrait, motion=motion[:2])[0]


def make_room_for_one(memory, other: ModelPatcher) -> None:
    memory.size = other.model_size
    memory.load([other], force_full_load=True)


def test_networks_that_were_unloaded_come_back_when_they_work(host, others):
    """A portrait that ComfyUI keeps from an earlier run is drawn again after its weights were unloaded."""
    portrait, motion = prepared(), spoken()
    assert portrait.renderer.name == "liveportrait"
    before = drawn(portrait, motion)
    host.memory.unload_all()
    assert (drawn(portrait, motion) == before).all()
    make_room_for_one(host.memory, others)
    assert host.memory.loaded == [others]
    host.memory.size = 2**40
    assert (drawn(portrait, motion) == before).all()
    make_room_for_one(host.memory, others)
    host.memory.size = 2**40
    assert (spoken().expression == motion.expression).all()


def test_work_asks_for_room_that_others_must_leave(host, others):
    portrait, motion = prepared(), spoken()
    ours = {name for name in host.memory.loads if name}
    assert {"ModuleList", "Denoiser", "HubertModel"} <= ours
    host.memory.load([others], force_full_load=True)
    host.memory.size = 300 << 20  # two frames at work need 400 MB in half precision
    drawn(portrait, motion)
    assert others not in host.memory.loaded
    assert not others.loaded


def test_where_only_one_network_fits_each_makes_way_for_the_next(host):
    """Hearing puts the denoiser off, denoising puts the speech encoder off: the motion is the same."""
    roomy = spoken()
    host.memory.unload_all()
    host.memory.size, host.memory.loads = 1, []
    assert (spoken().expression == roomy.expression).all()
    assert host.memory.loads.count("") >= 2
    assert len(host.memory.loaded) == 1


def test_every_node_with_networks_brings_them_back(host):
    """The face finder of a clip and the networks that draw it, by the other nodes that have any."""
    portrait, motion = prepared(), spoken()
    picture = portrait.picture[None].expand(2, -1, -1, -1)
    jobs = {
        "DriveFromVideo": {"video": "", "frames": picture, "extractor": "liveportrait"},
        "ReenactVideo": {"frames": picture, "motion": motion[:2]},
        "DubVideo": {"video": "", "frames": picture, "motion": motion[:2]},
        "ExpressionEdit": {"portrait": portrait, "photo": picture},
    }
    for name, given in jobs.items():
        given = {key: value for key, value in given.items() if key in host_inputs(name)}
        host.memory.unload_all()
        run(name, **given)
        assert host.memory.loaded, name


def test_stop_ends_a_long_speech_between_the_calls_of_its_networks(host, monkeypatch):
    loaded, management = [], sys.modules["comfy.model_management"]
    load = management.load_models_gpu

    def pressed(patchers, **how):
        load(patchers, **how)
        loaded.append(patchers)
        host.interrupted.set() if len(loaded) == 3 else None

    monkeypatch.setattr(management, "load_models_gpu", pressed)
    with pytest.raises(InterruptedRunError):
        spoken()
    assert len(loaded) == 3


def test_stop_ends_what_looks_at_a_clip_s_faces(host):
    looked_at = HOST.stoppable(range(9))
    assert [next(looked_at), next(looked_at)] == [0, 1]
    host.interrupted.set()
    with pytest.raises(InterruptedRunError):
        next(looked_at)


def host_inputs(name: str) -> set[str]:
    described = NODES[name].INPUT_TYPES()
    return {key for part in ("required", "optional") for key in described.get(part, {})}


def test_outside_comfyui_networks_are_moved_for_good():
    network = torch.nn.Linear(2, 2)
    assert HOST.managed(network, torch.device("meta")).__name__ == already_loaded.__name__
    assert network.weight.is_meta
