"""The shipped workflows: whole as files, and each run on a second of its demo inputs."""

import json
import math
import re
import shutil
from pathlib import Path

import core_diffusion
import pytest
import torch
from api_prompts import API_FOLDER, file_of, prompt_of
from conftest import ROOT
from diffpose_goldens import write_small_diffusion
from host import ONLY_IN_THE_PAGE, Host, Outcome, load_as_comfyui
from liveportrait_goldens import write_small_weights
from PIL import Image

from talking_head.diffpose.diffusion.installed import DIFFUSION
from talking_head.lp_core.liveportrait.entries import HUMAN
from talking_head.lp_core.media.audio import Audio, load_audio
from talking_head.lp_core.media.video import Video, VideoOptions, read_video, write_video

FOLDER, DEMO_FOLDER = ROOT / "example_workflows", ROOT / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.json"))  # in the order of ComfyUI's template browser
CORE = {"LoadImage", "LoadAudio"}
CORE_IN = {"portrait_from_diffusion": CORE | {node.__name__ for node in core_diffusion.NODES}}
PAUSE = 0.3  # seconds that Mix Voices waits between voices
PACK = load_as_comfyui()
HUNDREDS_OF_KILOBYTES = 300_000


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """What a workflow is called in code; its file is called by its title."""
    return read(path)["extra"]["talking_head"]["template"]


def workflow_named(name: str) -> Path:
    """The file of a workflow."""
    return next(path for path in WORKFLOWS if name_of(path) == name)


named = pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)


def shipped_inputs(workflow: dict) -> list[str]:
    """Files that the workflow's nodes load, by name."""
    loaders = {"LoadImage", "LoadAudio", "DriveFromVideo", "DubVideo"}
    return [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in loaders]


def test_there_is_one_for_each_thing_a_user_wants():
    wanted = {
        "talking_portrait", "liveportrait_with_diffusion", "style_from_clip", "video_driven_portrait",
        "expression_editing", "dub_video", "several_speakers", "portrait_from_diffusion", "long_speech",
    }  # fmt: skip
    assert wanted <= {name_of(path) for path in WORKFLOWS}


def test_comfyui_finds_them_in_the_folder_that_it_reads_first_and_nowhere_else():
    """Of two folders older servers list both and serve one, newer ones list every workflow twice."""
    others = ("example", "examples", "workflow", "workflows")
    assert not [path for name in others for path in (ROOT / name).glob("*.json")]


def test_titles_are_in_order_and_easy_to_address():
    """The page shows the file's name as the title, and asks for it as it stands."""
    titles = [path.stem for path in WORKFLOWS]
    assert [int(title[:2]) for title in titles] == list(range(1, len(titles) + 1))
    assert name_of(WORKFLOWS[0]) == "talking_portrait"
    for path in WORKFLOWS:
        assert re.fullmatch("[0-9]{2} [A-Z][A-Za-z ]{5,38}", path.stem)
        assert read(path)["extra"]["info"]["name"] == path.stem[3:]
        assert len(read(path)["extra"]["info"]["description"]) > 30


@named
def test_the_page_is_told_which_demo_files_it_loads(path):
    assert sorted(read(path)["extra"]["talking_head"]["demo_files"]) == sorted(set(shipped_inputs(read(path))))


@named
def test_the_folder_workflows_holds_it_as_a_prompt(path):
    """`python tests/api_prompts.py` writes them anew."""
    kept = json.loads(file_of(path).read_text(encoding="utf-8"))
    assert kept == prompt_of(path, PACK)
    assert [file.stem for file in sorted(API_FOLDER.iterdir())] == sorted(name_of(path) for path in WORKFLOWS)


def test_links_to_published_weights_are_the_registry_s():
    """Of the one template that needs them: in its note, and on the nodes that load them."""
    workflow = read(workflow_named("liveportrait_with_diffusion"))
    (note,) = (node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    models = {node["type"]: node["properties"].get("models") for node in workflow["nodes"]}
    for kind, entries, directory in (
        ("LoadPortrait", HUMAN, "liveportrait"),
        ("AudioToMotion", DIFFUSION, "diffpose"),
    ):
        assert [model["url"] for model in models[kind]] == [entry.published[0].url for entry in entries]
        assert {model["directory"] for model in models[kind]} == {directory}
        for model, entry in zip(models[kind], entries, strict=True):
            assert model["name"] in entry.places
            assert model.get("hash") == entry.published[0].sha256
            assert f"[{model['name']}]({model['url']}) → `models/{directory}`" in note


@named
def test_it_needs_this_pack_and_the_core_loaders_only(path):
    types = {node["type"] for node in read(path)["nodes"]}
    assert types <= set(PACK.NODE_CLASS_MAPPINGS) | CORE_IN.get(name_of(path), CORE) | set(ONLY_IN_THE_PAGE)


@named
def test_a_note_tells_what_to_do(path):
    (note,) = (node for node in read(path)["nodes"] if node["type"] == "MarkdownNote")
    assert note["title"] == path.stem[3:]
    assert "press Run" in note["widgets_values"][0]
    assert all(f"`{name}`" in note["widgets_values"][0] for name in shipped_inputs(read(path)))


@named
def test_it_has_a_thumbnail(path):
    with Image.open(path.with_suffix(".jpg")) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert min(thumbnail.size) >= 256
    assert path.with_suffix(".jpg").stat().st_size < HUNDREDS_OF_KILOBYTES


@named
def test_it_loads_the_shipped_demo_files(path):
    assert all((DEMO_FOLDER / name).is_file() for name in shipped_inputs(read(path)))


@named
def test_its_links_hold(path):
    workflow = read(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link, source, output, target, slot, kind in workflow["links"]:
        given, taken = nodes[source]["outputs"][output], nodes[target]["inputs"][slot]
        assert link in given["links"]
        assert taken["link"] == link
        assert given["type"] == kind
        assert taken["type"] == kind


def seconds_of(workflow: dict) -> float:
    """How much of its demo sounds a test gives a workflow: dubbing is slow, a style needs a second."""
    return 0.4 if has(workflow, "DubVideo") else 1.1


def has(workflow: dict, *types: str) -> bool:
    """Whether one of its nodes is of one of the types."""
    return any(node["type"] in types for node in workflow["nodes"])


def shortened(name: str, folder: Path, seconds: float) -> None:
    """Put the beginning of a demo file into a folder; pictures as they are."""
    source, target = DEMO_FOLDER / name, folder / name
    if source.suffix == ".mp4":
        video = read_video(source)
        first = next(video.frames(math.ceil(seconds * video.fps)))
        write_video(target, first, video.fps, video.audio(), VideoOptions(preset="ultrafast"))
    elif source.suffix == ".wav":
        import soundfile

        audio = load_audio(source)
        samples = audio.waveform[:, : round(seconds * audio.sample_rate)]
        soundfile.write(target, samples.T.numpy(), audio.sample_rate)
    else:
        target.write_bytes(source.read_bytes())


def prepare(workflow: dict, host: Host, seconds: float) -> None:
    """Put what a workflow loads into the stand-in's folders: short inputs, and small networks if it names some."""
    for name in shipped_inputs(workflow):
        shortened(name, host.folders["input"], seconds)
    liveportrait, diffpose = (host.folders["models"] / name for name in ("liveportrait", "diffpose"))
    if needs_networks(workflow):
        write_small_weights(liveportrait)
        write_small_diffusion(diffpose)
    else:
        for folder in (liveportrait, diffpose):
            shutil.rmtree(folder, ignore_errors=True)  # the others shall find none


def needs_networks(workflow: dict) -> bool:
    """Whether it names networks whose weights are not part of the pack."""
    return any("liveportrait" in node.get("widgets_values", []) for node in workflow["nodes"])


@pytest.fixture(params=WORKFLOWS, ids=name_of, scope="module")
def ran(request, tmp_path_factory) -> tuple[Host, dict, Outcome, Outcome]:
    """A workflow run twice on short inputs: the stand-in, the workflow, and both outcomes."""
    workflow = read(request.param)
    with Host(tmp_path_factory.mktemp("comfyui"), PACK) as host:
        prepare(workflow, host, seconds_of(workflow))
        prompt = host.prompt_of(workflow)
        extra = {"workflow": workflow}
        return host, workflow, host.run(prompt, extra), host.run(prompt, extra)


def test_it_runs(ran):
    _, _, first, second = ran
    assert (first.status, first.errors) == ("success", {})
    assert (second.status, second.executed) == ("success", [])


def video_of(host: Host, outcome: Outcome) -> Video:
    """The only video that a run showed."""
    (shown,) = (shown for shown in outcome.shown.values() if shown.get("animated"))
    (file,) = shown["images"]
    return read_video(host.folders[file["type"]] / file["subfolder"] / file["filename"])


def test_its_video_has_the_sounds_length_and_everything_inside(ran):
    host, workflow, first, _ = ran
    video, sound = video_of(host, first), sound_of(host, workflow)
    frames, kept = video.frame_count, video.audio()
    assert frames is not None
    assert frames == math.ceil(sound.duration * video.fps)
    assert kept is not None
    assert (kept.sample_rate, len(kept.waveform)) == (sound.sample_rate, len(sound.waveform))
    assert (video.width, video.height) == ((1024, 512) if has(workflow, "MixVoices") else (512, 512))
    assert json.loads(video.metadata["workflow"]) == workflow
    assert set(json.loads(video.metadata["prompt"])) >= set(first.executed)


def sound_of(host: Host, workflow: dict) -> Audio:
    """The sound that the workflow was given: of its voices one after another, or of a clip where there is none."""
    sounding = [name for name in shipped_inputs(workflow) if name.endswith((".wav", ".mp4"))]
    voices = [name for name in sounding if name.endswith(".wav")]
    sounds = [load_audio(host.folders["input"] / name) for name in voices or sounding]
    cut = [sound.waveform[:, : round(seconds_of(workflow) * sound.sample_rate)] for sound in sounds]
    rate = sounds[0].sample_rate
    pause = torch.zeros(len(cut[0]), round(PAUSE * rate))
    return Audio(torch.cat([part for waveform in cut for part in (pause, waveform)][1:], 1), rate)


def test_its_face_moves_and_the_rest_stays(ran):
    host, workflow, first, _ = ran
    if not has(workflow, "LoadPortrait"):
        pytest.skip("a clip moves as a whole; test_pose_nodes looks at what dubbing changes")
    if needs_networks(workflow):
        pytest.skip("networks with synthetic weights draw nothing that can be looked at")
    frames = next(video_of(host, first).frames(30))
    change = (frames - frames[:1]).abs().amax((0, 3))
    assert change[40:200, 160:300].mean() > 3 * change[330:].mean()


@pytest.mark.parametrize("ran", [workflow_named("several_speakers")], indirect=True, ids=["several_speakers"])
def test_each_of_several_speakers_speaks_with_their_own_voice(ran):
    """While the first voice is heard the left mouth moves more than the right one, and then the other way round."""
    host, workflow, first, _ = ran
    video = video_of(host, first)
    frames = torch.cat(list(video.frames()))
    turn = round(seconds_of(workflow) * video.fps)
    mouths = frames[:, 150:190, 195:250], frames[:, 150:190, 1024 - 250 : 1024 - 195]
    left, right = (mouth.diff(dim=0).abs().mean((1, 2, 3)) for mouth in mouths)
    assert left[:turn].mean() > 2 * right[:turn].mean()
    assert right[turn + 8 :].mean() > 2 * left[turn + 8 :].mean()
