"""The shipped workflows: whole as files, and each run on a second of its demo inputs."""

import json
import math
from pathlib import Path

import pytest
from conftest import ROOT
from host import ONLY_IN_THE_PAGE, Host, Outcome, load_as_comfyui
from PIL import Image

from talking_head.lp_core.audio import Audio, load_audio
from talking_head.lp_core.video import VideoOptions, read_video, write_video

FOLDER = ROOT / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.json"))
CORE = {"LoadImage", "LoadAudio"}
SECONDS = 1.1
PACK = load_as_comfyui()
HUNDREDS_OF_KILOBYTES = 300_000

named = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def shipped_inputs(workflow: dict) -> list[str]:
    """Files that the workflow's nodes load, by name."""
    loaders = {"LoadImage", "LoadAudio", "DriveFromVideo", "DubVideo"}
    return [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in loaders]


def test_there_is_one_for_a_voice_and_one_for_a_clip():
    assert {"talking_portrait", "video_driven_portrait"} <= {path.stem for path in WORKFLOWS}


def test_comfyui_finds_them_in_one_folder_only():
    other = ("example_workflows", "example", "examples", "workflow")
    assert not [name for name in other if (ROOT / name).exists()]


@named
def test_it_needs_this_pack_and_the_core_loaders_only(path):
    types = {node["type"] for node in read(path)["nodes"]}
    assert types <= set(PACK.NODE_CLASS_MAPPINGS) | CORE | set(ONLY_IN_THE_PAGE)


@named
def test_it_has_a_thumbnail(path):
    with Image.open(path.with_suffix(".jpg")) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert min(thumbnail.size) >= 256
    assert path.with_suffix(".jpg").stat().st_size < HUNDREDS_OF_KILOBYTES


@named
def test_it_loads_the_shipped_demo_files(path):
    assert all((FOLDER / name).is_file() for name in shipped_inputs(read(path)))


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


def shortened(name: str, folder: Path) -> None:
    """Put the first second of a demo file into a folder; pictures as they are."""
    source, target = FOLDER / name, folder / name
    if source.suffix == ".mp4":
        video = read_video(source)
        first = next(video.frames(math.ceil(SECONDS * video.fps)))
        write_video(target, first, video.fps, video.audio(), VideoOptions(preset="ultrafast"))
    elif source.suffix == ".wav":
        import soundfile

        audio = load_audio(source)
        soundfile.write(
            target, audio.waveform[:, : round(SECONDS * audio.sample_rate)].T.numpy(), audio.sample_rate
        )
    else:
        target.write_bytes(source.read_bytes())


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem, scope="module")
def ran(request, tmp_path_factory) -> tuple[Host, dict, Outcome, Outcome]:
    """A workflow run twice on short inputs: the stand-in, the workflow, and both outcomes."""
    workflow = read(request.param)
    with Host(tmp_path_factory.mktemp("comfyui"), PACK) as host:
        for name in shipped_inputs(workflow):
            shortened(name, host.folders["input"])
        prompt = host.prompt_of(workflow)
        extra = {"workflow": workflow}
        return host, workflow, host.run(prompt, extra), host.run(prompt, extra)


def test_it_runs(ran):
    _, _, first, second = ran
    assert (first.status, first.errors) == ("success", {})
    assert (second.status, second.executed) == ("success", [])


def test_its_video_has_the_sounds_length_and_everything_inside(ran):
    host, workflow, first, _ = ran
    (shown,) = (shown for shown in first.shown.values() if shown.get("animated"))
    (file,) = shown["images"]
    video = read_video(host.folders[file["type"]] / file["subfolder"] / file["filename"])
    frames, sound = video.frame_count, sound_of(host)
    assert frames is not None
    assert frames == math.ceil(sound.duration * video.fps)
    kept = video.audio()
    assert kept is not None
    assert (kept.sample_rate, len(kept.waveform)) == (sound.sample_rate, len(sound.waveform))
    assert video.width == video.height == 512
    assert json.loads(video.metadata["workflow"]) == workflow
    assert set(json.loads(video.metadata["prompt"])) >= set(first.executed)


def sound_of(host: Host) -> Audio:
    """The sound that the workflow was given, from a voice, or from a clip where there is none."""
    sounding = [path for path in host.folders["input"].iterdir() if path.suffix in (".wav", ".mp4")]
    file = max(sounding, key=lambda path: path.suffix)  # .wav before .mp4
    audio = load_audio(file)
    seconds = round(SECONDS * audio.sample_rate)
    return Audio(audio.waveform[:, :seconds], audio.sample_rate)


def test_its_face_moves_and_the_rest_stays(ran):
    host, workflow, first, _ = ran
    if not any(node["type"] == "LoadPortrait" for node in workflow["nodes"]):
        pytest.skip("a clip moves as a whole; test_pose_nodes looks at what dubbing changes")
    (shown,) = (shown for shown in first.shown.values() if shown.get("animated"))
    frames = next(read_video(host.folders["output"] / shown["images"][0]["filename"]).frames(30))
    change = (frames - frames[:1]).abs().amax((0, 3))
    assert change[40:200, 160:300].mean() > 3 * change[330:].mean()
