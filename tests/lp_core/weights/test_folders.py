"""Where weights are looked for, and that every way into the pack looks there."""

import os
from pathlib import Path

import pytest
from diffpose_goldens import write_small_diffusion
from liveportrait_goldens import write_small_weights
from test_talker_installed import install

from talking_head.diffpose.diffusion.generator import DiffusionGenerator
from talking_head.diffpose.encoders import hear
from talking_head.diffpose.generator import choose_generator
from talking_head.lp_core.choice import choose_renderer
from talking_head.lp_core.media.audio import load_audio
from talking_head.lp_core.weights import folders
from talking_head.nodes import host

VOICE = folders.ROOT / "workflows" / "demo_speech.wav"


def test_models_folders_are_named_or_set_or_those_of_comfyui_or_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TALKING_HEAD_MODELS", f"a{os.pathsep}b")
    assert folders.models_folders("liveportrait", [Path("c"), Path("d")]) == (Path("c"), Path("d"))
    assert folders.models_folders("liveportrait") == (Path("a"), Path("b"))
    monkeypatch.delenv("TALKING_HEAD_MODELS")
    monkeypatch.setattr(folders, "ROOT", tmp_path / "custom_nodes" / "ComfyUI-TalkingHead")
    assert folders.models_folders("liveportrait") == (tmp_path / "models" / "liveportrait",)
    assert folders.models_folders("diffpose") == (tmp_path / "models" / "diffpose",)
    monkeypatch.setattr(folders, "ROOT", tmp_path / "elsewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folders.models_folders("liveportrait") == (tmp_path / "talking_head" / "liveportrait",)


@pytest.fixture
def models(monkeypatch, tmp_path):
    """A folder that the environment names."""
    monkeypatch.setenv("TALKING_HEAD_MODELS", str(tmp_path))
    return tmp_path


def test_without_weights_the_built_in_renderer_and_generator_are_chosen(models):
    assert choose_renderer().name == "mesh"
    assert not isinstance(choose_generator(), DiffusionGenerator)


def test_downloaded_weights_are_found_when_no_folder_is_named(models):
    write_small_weights(models)
    write_small_diffusion(models)
    assert choose_renderer().name == "liveportrait"
    assert isinstance(choose_generator(), DiffusionGenerator)
    assert choose_renderer(folders=()).name == "mesh"


def test_speech_encoders_are_found_when_no_folder_is_named(models):
    with pytest.raises(FileNotFoundError, match=str(models)):
        hear(load_audio(VOICE), "sadtalker")
    install(models)
    assert len(hear(load_audio(VOICE), "sadtalker"))


def test_nodes_outside_comfyui_look_where_the_python_api_does(models):
    assert host.model_folders("liveportrait") == folders.models_folders("liveportrait") == (models,)
