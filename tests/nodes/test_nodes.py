"""The nodes: their contract with ComfyUI as data, and what they do inside a stand-in for it."""

import importlib
import inspect
import json
import logging
import re
import sys
import types
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from diffpose_goldens import write_small_diffusion
from host import Host, defaults_of, inputs_of, is_widget, load_as_comfyui
from liveportrait_goldens import write_small_weights
from PIL import Image

PACK = load_as_comfyui()
NODES = PACK.NODE_CLASS_MAPPINGS
DOCS = ROOT / "web" / "js" / "docs"
OWN_TYPES = {"PORTRAIT", "MOTION", "STYLE", "TALKER_OPTIONS", "SPEAKER"}
CORE_TYPES = {"IMAGE", "AUDIO", "VIDEO", "MASK", "FLOAT", "INT", "STRING", "BOOLEAN"}

# Widgets are saved by position: append to these lists, never reorder or remove.
SAVED_WIDGETS = {
    "LoadPortrait": (
        "renderer face_order face_index face_box longest_side crop_scale crop_x crop_y upright animal "
        "precision acceleration"
    ),
    "AudioToMotion": (
        "motion fps seed lips blinks gaze brows head pose lip_lead_ms expression lips_only rest_in_silence "
        "audio_guidance style_guidance steps subtle mood mood_strength look"
    ),
    "MixVoices": "order start_1 start_2 start_3 start_4",
    "StyleEncode": "strength frames_fps",
    "MixStyles": "weight",
    "SaveStyle": "filename_prefix",
    "LoadStyle": "file",
    "TalkerOptions": "lip_reference window look_ahead lip_x_gain lip_y_gain lip_z_gain",
    "BuildSpeaker": "encoder strength neighbours distance limit",
    "SaveSpeaker": "filename_prefix",
    "LoadSpeaker": "file strength neighbours",
    "DriveFromVideo": "video target_fps frames_fps extractor neutral_frame faceless whole_frames",
    "LoadMotion": "file neutral_frame",
    "SaveMotion": "filename_prefix",
    "RetargetLip": "gain opening wide smile open_to keep_motion",
    "RetargetEye": "gain close_left close_right open_left_to open_right_to keep_motion",
    "PupilControl": "x y gain eye_contact",
    "ExpressionEdit": (
        "rotate_pitch rotate_yaw rotate_roll blink eyebrow wink pupil_x pupil_y aaa eee woo smile left_lid "
        "right_lid jaw jaw_sideways copy_lips copy_eyes copy_brows copy_head copy_strength fps seconds keyframes"
    ),
    "ProjectLips": "strength",
    "ReferencePose": "weight start seed offset",
    "LearnedPose": "model weight seed variety",
    "SadTalkerPose": "weight seed pose_style",
    "PoseKeyframes": "keyframes weight",
    "SyntheticPose": "weight seed degrees jitter",
    "MotionPlot": "width height",
    "Doctor": "",
    "MotionFilter": (
        "smoothing width noise pitch_gain yaw_gain roll_gain lip_x_gain lip_y_gain lip_z_gain uncross_lips delay_ms"
    ),
    "ReferenceSetRender": "renderer hysteresis",
    "BodySway": "share",
    "DubVideo": "video frames_fps renderer",
    "ReenactVideo": (
        "frames_fps renderer relative take_expression take_lips take_eyes take_brows take_head smooth stitching"
    ),
    "LivePortraitRender": (
        "paste_back relative batch_size take_expression take_lips take_eyes take_brows take_head multiplier "
        "stitching close_mouth keep_identity anchored"
    ),
    "SpeakLive": "seed fps filename_prefix",
    "RenderToFile": (
        "filename_prefix format crf save_metadata save_output trim_to_audio pix_fmt paste_back relative batch_size "
        "take_expression take_lips take_eyes take_brows take_head multiplier stitching close_mouth keep_identity "
        "anchored"
    ),
    "VideoCombine": (
        "frame_rate loop_count filename_prefix format crf save_metadata pingpong save_output trim_to_audio "
        "pix_fmt"
    ),
}  # fmt: skip


def pack_module(name: str) -> types.ModuleType:
    """A module of the pack as ComfyUI's loader named it."""
    return importlib.import_module(f"{PACK.__name__}.{name}")


motion_module = pack_module("lp_core.motion.sequence")
video_module = pack_module("lp_core.media.video")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def host(tmp_path):
    with Host(tmp_path, PACK) as running:
        yield running


@pytest.fixture(scope="module")
def picture():
    return pack_module("lp_core.media.picture").load_picture(ROOT / "workflows" / "demo_portrait.jpg")


@pytest.fixture(scope="module")
def small_portrait(picture, tmp_path_factory):
    """A portrait prepared once, of a picture small enough to be drawn quickly."""
    with Host(tmp_path_factory.mktemp("portrait"), PACK):
        return run("LoadPortrait", image=picture[None, :256, 100:356])[0]


def run(node_id: str, **given):
    """One node by itself, with its defaults for what is not given; gives its outputs."""
    result = NODES[node_id]().execute(**(defaults_of(NODES[node_id]) | given))
    return result["result"] if isinstance(result, dict) else result


def wave(seconds=0.5, rate=16_000, channels=1):
    time = torch.arange(round(seconds * rate)) / rate
    return {"waveform": (0.3 * torch.sin(time * 900)).expand(1, channels, -1).clone(), "sample_rate": rate}


def nodding(frames=10, fps=25):
    still = motion_module.MotionSequence.still(frames, fps)
    rotation = torch.linspace(-4, 4, frames)[:, None] * torch.tensor([1.0, 0.5, 0.2])
    return motion_module.MotionSequence(
        still.expression + 0.01, rotation, still.scale, still.translation, still.fps, still.rest
    )


# ------------------------------------------------------------------------------------------- the contract, as data


def test_the_ids_are_the_promised_ones():
    assert set(NODES) == set(SAVED_WIDGETS)
    assert set(PACK.NODE_DISPLAY_NAME_MAPPINGS) == set(NODES)
    assert len(set(PACK.NODE_DISPLAY_NAME_MAPPINGS.values())) == len(NODES)


@pytest.mark.parametrize("node_id", NODES)
def test_widgets_stay_where_saved_workflows_have_them(node_id):
    widgets = [name for name, spec in inputs_of(NODES[node_id]).items() if is_widget(*spec)]
    assert widgets == SAVED_WIDGETS[node_id].split()


@pytest.mark.parametrize("node_id", NODES)
def test_every_input_is_explained_and_has_a_default_in_range(host, node_id):
    for name, (kind, options) in inputs_of(NODES[node_id]).items():
        assert options["tooltip"].rstrip().endswith("."), f"{node_id}.{name} has no tooltip in sentences"
        if isinstance(kind, list):
            assert kind, f"{node_id}.{name} offers nothing, so that the page would leave it out"
            assert options.get("default") in [*kind, None], f"{node_id}.{name}"
            continue
        assert kind in OWN_TYPES | CORE_TYPES, f"{node_id}.{name} is of unknown type {kind}"
        if kind in ("INT", "FLOAT"):
            assert options["min"] <= options["default"] <= options["max"], f"{node_id}.{name}"
        if kind in CORE_TYPES - {"IMAGE", "AUDIO", "MASK", "VIDEO"}:
            assert "default" in options, f"{node_id}.{name} has no default"


@pytest.mark.parametrize("node_id", NODES)
def test_every_output_is_named_and_explained(node_id):
    node = NODES[node_id]
    assert node.CATEGORY == "talking head"
    assert node.DESCRIPTION.endswith(".")
    assert node.SEARCH_ALIASES
    assert set(node.RETURN_TYPES) <= OWN_TYPES | CORE_TYPES
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES) == len(node.OUTPUT_TOOLTIPS)
    assert all(tooltip.endswith(".") for tooltip in node.OUTPUT_TOOLTIPS)


def inputs_for_options(node) -> set[str]:
    """The inputs that a node's module turns into values of options dataclasses, which `run` takes as `**`."""
    module = vars(sys.modules[node.__module__])
    tables = [value.fields for value in module.values() if type(value).__name__ == "OptionInputs"]
    makers = [module[name]() for name in ("drawing_inputs", "region_switches", "file_inputs") if name in module]
    return {name for names in (*tables, *makers) for name in names}


@pytest.mark.parametrize("node_id", NODES)
def test_run_takes_exactly_the_inputs(node_id):
    node = NODES[node_id]
    described = {section: list(inputs) for section, inputs in node.INPUT_TYPES().items()}
    parameters = dict(inspect.signature(node.run).parameters)
    del parameters["self"]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        parameters.popitem()
        passed_on = inputs_for_options(node) - set(parameters)
        assert passed_on & set(described["required"])
        described = {
            section: [name for name in names if name not in passed_on] for section, names in described.items()
        }
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    assert required == described["required"]
    assert list(parameters)[len(required) :] == [*described.get("optional", []), *described.get("hidden", [])]


@pytest.mark.parametrize("node_id", NODES)
def test_nodes_keep_nothing(node_id):
    assert "__init__" not in vars(NODES[node_id])
    first, second = NODES[node_id].INPUT_TYPES(), NODES[node_id].INPUT_TYPES()
    first["required"]["added"] = ()
    assert "added" not in second["required"]


@pytest.mark.parametrize("node_id", NODES)
def test_the_help_page_names_every_input_and_output(node_id):
    page = (DOCS / f"{node_id}.md").read_text(encoding="utf-8")
    for name in [*inputs_of(NODES[node_id]), *NODES[node_id].RETURN_NAMES]:
        assert re.search(rf"`{name}`", page), f"the help page of {node_id} does not explain {name}"


def test_there_are_no_help_pages_of_nothing():
    assert {page.stem for page in DOCS.glob("*.md")} == set(NODES)


def test_every_help_page_shows_its_node():
    """When this fails: tests/benchmarks/help_pictures.py."""
    for node_id in NODES:
        assert re.findall(r"!\[[^\]]+\]\((.*?)\)", (DOCS / f"{node_id}.md").read_text(encoding="utf-8")) == [
            f"{node_id}.webp"
        ]
        with Image.open(DOCS / f"{node_id}.webp") as picture:
            assert 64 <= min(picture.size) <= max(picture.size) <= 640
    assert {picture.stem for picture in DOCS.glob("*.webp")} == set(NODES)
    assert sum(picture.stat().st_size for picture in DOCS.glob("*.webp")) < 2_000_000


def test_the_page_can_be_told_about_every_node(host):
    assert set(NODES) <= set(host.object_info())


def test_only_the_seeds_of_speech_change_after_a_run():
    controlled = {
        (node_id, name)
        for node_id, node in NODES.items()
        for name, (_, options) in inputs_of(node).items()
        if options.get("control_after_generate")
    }
    assert controlled == {("AudioToMotion", "seed"), ("SpeakLive", "seed")}


# --------------------------------------------------------------------------------------------- pictures and faces


def test_a_portrait_is_found_and_shown(host, picture):
    node = NODES["LoadPortrait"]
    result = node().execute(**defaults_of(node), image=picture[None])
    portrait, preview, count = result["result"]
    assert list(result["ui"]) == ["talking_head_faces"]  # the page draws it all; `images` would show it twice
    assert count == 1
    assert portrait.picture.shape == picture.shape
    assert preview.shape == (1, 512, 512, 3)
    dots = (preview[0] - torch.tensor([0.1, 1.0, 0.4])).abs().amax(-1) < 1e-6
    assert dots.sum() > 478


def test_the_page_is_shown_every_face_in_pixels_of_the_picture(host, picture):
    node, two = NODES["LoadPortrait"], torch.cat([picture, picture], 1)
    given = defaults_of(node) | {"image": two[None], "face_order": "left to right", "longest_side": 512}
    chosen, boxes = [], []
    for index in (0, 1):
        on_page = json.dumps(node().execute(**given | {"face_index": index})["ui"])
        (shown,) = json.loads(on_page)["talking_head_faces"]
        assert (shown["width"], shown["height"], shown["chosen"]) == (1024, 512, index)
        assert [face["index"] for face in shown["faces"]] == [0, 1]
        assert all(len(face["landmarks"]) == 478 for face in shown["faces"])
        with Image.open(host.folders["temp"] / shown["picture"]["filename"]) as seen:
            assert seen.size == (512, 256)
        boxes.append(torch.tensor([face["box"] for face in shown["faces"]]))
        chosen.append(torch.tensor(shown["crop"]))
    left, right = boxes[0]
    assert (right - left - torch.tensor([512.0, 0, 512, 0])).abs().max() < 15
    for crop, box in zip(chosen, boxes[0], strict=True):
        assert (crop.amin(0) < box[:2]).all()
        assert (crop.amax(0) > box[2:]).all()


def test_the_page_is_told_once_what_auto_chose_and_why(host, picture):
    pack_module("nodes.host")._noticed.clear()
    for _ in range(2):
        run("LoadPortrait", image=picture[None])
        run("AudioToMotion", audio=wave())
    assert [event for event, _ in host.sent] == ["talking_head.notice"] * 2
    drawn, made = (content for _, content in host.sent)
    assert drawn["summary"] == "mesh draws the frames"
    assert "liveportrait/appearance_feature_extractor is missing" in drawn["detail"]
    assert made["summary"] == "procedural makes the motion"
    assert {content["severity"] for content in (drawn, made)} == {"info"}


def test_the_licence_of_weights_is_told_before_they_are_used(host):
    pack_module("nodes.host")._noticed.clear()
    pack_module("nodes.page").tell_renderer("liveportrait")
    ((_, content),) = host.sent
    assert content["detail"] == "Licence of its weights: MIT (commercial use allowed)."
    pack_module("nodes.page").tell_renderer("mesh")
    assert len(host.sent) == 1


@pytest.mark.parametrize(("node_id", "choice"), [("LoadPortrait", "renderer"), ("AudioToMotion", "motion")])
def test_auto_is_chosen_anew_once_weights_are_there(host, node_id, choice):
    def states():
        given = defaults_of(NODES[node_id])
        return [NODES[node_id].IS_CHANGED(**given | {choice: name}) for name in ("auto", "mesh")]

    before = states()
    assert states() == before
    write_small_weights(host.folders["models"] / "liveportrait")
    write_small_diffusion(host.folders["models"] / "diffpose")
    after = states()
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_curves_are_shown_and_drawn(host):
    result = NODES["MotionPlot"]().execute(motion=nodding(), audio=wave(0.4), width=320, height=256)
    drawn, same = result["result"]
    assert drawn.shape == (1, 256, 320, 3)
    (shown,) = result["ui"]["images"]
    with Image.open(host.folders["temp"] / shown["filename"]) as file:
        assert file.size == (320, 256)
    (curves,) = result["ui"]["talking_head_curves"]
    assert curves["frames"] == len(same) == 10
    spoken = NODES["AudioToMotion"]().execute(**defaults_of(NODES["AudioToMotion"]) | {"audio": wave(0.4)})
    assert spoken["ui"]["talking_head_curves"][0]["sound_seconds"] == pytest.approx(0.4)


@pytest.mark.parametrize("form", ["rgba", "half", "batch", "grey"])
def test_other_forms_of_pictures_are_taken(picture, form):
    part = picture[None, :256, 100:356]
    image = {
        "rgba": torch.cat([part, torch.zeros_like(part[..., :1])], -1),
        "half": part.half(),
        "batch": torch.cat([part, torch.full_like(part, torch.nan)]),
        "grey": part.mean(-1, keepdim=True),
    }[form]
    portrait, _, _ = run("LoadPortrait", image=image)
    assert portrait.picture.shape == (256, 256, 3)
    assert portrait.picture.dtype == torch.float32


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.zeros(0, 64, 64, 3), "empty"),
        (torch.full((1, 64, 64, 3), torch.nan), "NaN"),
        (torch.zeros(1, 8, 8, 3), "8×8"),
        (torch.zeros(1, 16, 16, 3), "16×16"),
        (torch.zeros(1, 33, 12_000, 3), "12000×33"),
        (torch.zeros(1, 64, 64, 2), "channels"),
        (torch.zeros(64, 64), "batch"),
    ],
)
def test_what_is_no_picture_is_said(image, sentence):
    with pytest.raises(ValueError, match=sentence):
        run("LoadPortrait", image=image)


def test_without_a_face_the_user_sees_what_was_searched(host):
    with pytest.raises(ValueError, match="No face was found") as told:
        run("LoadPortrait", image=torch.full((1, 96, 128, 3), 0.5))
    (shown,) = host.folders["temp"].glob("*.png")
    assert str(shown) in str(told.value)
    with Image.open(shown) as searched:
        assert searched.size == (128, 96)


def test_a_box_or_a_mask_says_where_the_face_is(picture):
    found, _, _ = run("LoadPortrait", image=picture[None])
    left, top, right, bottom = pack_module("lp_core.faces.faces").Face(found.landmarks).box
    boxed, _, count = run("LoadPortrait", image=picture[None], face_box=f"{left} {top}, {right}, {bottom}")
    assert count == 1
    mask = torch.zeros(1, *picture.shape[:2])
    mask[:, int(top) : int(bottom), int(left) : int(right)] = 1
    masked, _, _ = run("LoadPortrait", image=picture[None], mask=mask)
    for other in (boxed, masked):
        assert (other.landmarks - found.landmarks)[:, :2].norm(dim=-1).mean() < 0.05 * (right - left)


def test_boxes_are_in_pixels_of_the_picture_that_came(picture):
    whole, _, _ = run("LoadPortrait", image=picture[None], face_box="170 30 290 190")
    shrunk, _, _ = run("LoadPortrait", image=picture[None], face_box="170 30 290 190", longest_side=256)
    assert shrunk.picture.shape == (256, 256, 3)
    assert (shrunk.landmarks[:, :2] * 2 - whole.landmarks[:, :2]).norm(dim=-1).mean() < 6


def test_an_empty_mask_is_no_mask(picture):
    assert run("LoadPortrait", image=picture[None], mask=torch.zeros(1, 64, 64))[2] == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"face_index": 3}, "1 face; face_index 3"),
        ({"face_box": "left top"}, "left, top, right, bottom"),
        ({"face_box": "600, 600, 700, 700"}, "box"),
        ({"crop_scale": 20.0}, "scale"),
    ],
)
def test_wishes_that_cannot_be_met_are_said(picture, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        run("LoadPortrait", image=picture[None], **given)


def test_missing_weights_are_said_with_the_folders_that_were_searched(host, picture):
    with pytest.raises(FileNotFoundError, match="weights") as told:
        run("LoadPortrait", image=picture[None], renderer="liveportrait")
    assert str(host.folders["models"] / "liveportrait") in str(told.value)


# --------------------------------------------------------------------------------------------- motion and edits


def test_a_voice_becomes_motion_of_its_length():
    audio = wave(1.01, 44_100, 2)
    motion, same, fps, frames = run("AudioToMotion", audio=audio, fps=29.97)
    assert same is audio
    assert motion.fps == Fraction(30_000, 1001)
    assert frames == len(motion) == 31
    assert fps == pytest.approx(29.97, abs=1e-3)


def test_the_seed_decides():
    def made(seed):
        return run("AudioToMotion", audio=wave(2.0), seed=seed)[0]

    assert torch.equal(made(7).rotation, made(7).rotation)
    assert not torch.equal(made(7).rotation, made(8).rotation)
    assert made(2**64 - 1).rotation.isfinite().all()


def test_a_style_changes_the_manner():
    spoken = run("AudioToMotion", audio=wave(2.0))[0]
    still = motion_module.MotionSequence.still(50, 25)
    rolling = torch.linspace(0, 12, 50).sin()[:, None] * torch.tensor([6.0, 6.0, 6.0])
    lively = motion_module.MotionSequence(
        still.expression, rolling, still.scale, still.translation, still.fps, still.rest
    )
    (style,) = run("StyleEncode", motion=lively)
    styled = run("AudioToMotion", audio=wave(2.0), style=style)[0]
    assert styled.rotation.std() > 1.3 * spoken.rotation.std()


def test_styles_are_saved_mixed_and_loaded(host):
    lively, calm = (run("StyleEncode", motion=nodding(30), strength=strength)[0] for strength in (2.0, 0.0))
    same, path = run("SaveStyle", style=lively)
    assert same is lively
    (listed,), _ = inputs_of(NODES["LoadStyle"])["file"]
    assert str(host.folders["output"] / listed.removesuffix(" [output]")) == path
    assert NODES["LoadStyle"].VALIDATE_INPUTS(file=listed) is True
    (loaded,) = run("LoadStyle", file=listed)
    assert loaded.statistics == lively.statistics
    assert run("MixStyles", first=loaded, second=calm)[0].strength == 1.0
    run("SaveMotion", motion=nodding(), filename_prefix="nod")
    with pytest.raises(ValueError, match="not a style file of this pack"):
        run("LoadStyle", file="nod_00001_.safetensors [output]")


def test_a_style_is_taken_from_frames(picture):
    clip = picture[None].expand(25, -1, -1, -1)
    assert run("StyleEncode", frames=clip)[0].statistics.head_yaw < 0.5
    with pytest.raises(ValueError, match=r"at least 1 s; got 25 frames at 30 a second, which is 0.83 s"):
        run("StyleEncode", frames=clip, frames_fps=30.0)


def test_a_style_is_taken_from_one_thing():
    with pytest.raises(ValueError, match="none of them came in"):
        run("StyleEncode")
    with pytest.raises(ValueError, match="both of them came in"):
        run("StyleEncode", motion=nodding(30), frames=torch.zeros(30, 8, 8, 3))


def test_diffusion_without_its_weights_says_what_is_missing(host):
    with pytest.raises(FileNotFoundError, match="joyvasa/motion_generator is missing") as told:
        run("AudioToMotion", audio=wave(), motion="diffusion")
    assert str(host.folders["models"] / "diffpose") in str(told.value)


@pytest.mark.parametrize(
    ("audio", "sentence"),
    [
        (None, "no sound"),
        ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16_000}, "empty"),
        ({"waveform": torch.full((1, 1, 9), torch.nan), "sample_rate": 16_000}, "NaN"),
        ({"waveform": torch.zeros(1, 9), "sample_rate": 16_000}, "batch"),
    ],
)
def test_what_is_no_sound_is_said(audio, sentence):
    with pytest.raises(ValueError, match=sentence):
        run("AudioToMotion", audio=audio)


def test_of_several_sounds_the_first_is_taken_and_it_is_said(caplog):
    several = {"waveform": torch.zeros(2, 1, 16_000), "sample_rate": 16_000}
    assert run("AudioToMotion", audio=several)[3] == 25
    assert "2 sounds" in caplog.text


@pytest.mark.parametrize("node_id", ["RetargetLip", "RetargetEye", "PupilControl"])
def test_edits_change_nothing_by_default_and_never_their_input(node_id):
    motion = nodding()
    before = motion.expression.clone()
    (same,) = run(node_id, motion=motion)
    torch.testing.assert_close(same.expression, before, atol=1e-6, rtol=0)
    moved = {name: options["max"] for name, (kind, options) in inputs_of(NODES[node_id]).items() if kind == "FLOAT"}
    (edited,) = run(node_id, motion=motion, **moved)
    assert (edited.expression - before).abs().max() > 1e-3
    assert torch.equal(motion.expression, before)


def test_motion_is_saved_listed_and_loaded(host):
    motion = nodding(fps=29.97)
    same, path = run("SaveMotion", motion=motion)
    assert same is motion
    (listed,), _ = inputs_of(NODES["LoadMotion"])["file"]
    assert listed == "motion/talking_head_00001_.safetensors [output]"
    assert path.endswith("motion/talking_head_00001_.safetensors")
    assert NODES["LoadMotion"].VALIDATE_INPUTS(file=listed) is True
    loaded, fps, frames = run("LoadMotion", file=listed)
    assert torch.equal(loaded.rotation, motion.rotation)
    assert (loaded.fps, frames) == (motion.fps, 10)
    assert fps == pytest.approx(29.97, abs=1e-3)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "gone.safetensors [output]", "x/../../y"])
def test_files_outside_the_folders_are_not_reached(host, name):
    (host.folders["input"].parent / "secret.safetensors").write_text("")
    assert "There is no file" in NODES["LoadMotion"].VALIDATE_INPUTS(file=name)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        run("LoadMotion", file=name)


def test_a_changed_file_is_read_again(host):
    run("SaveMotion", motion=nodding())
    name = "motion/talking_head_00001_.safetensors [output]"
    before = NODES["LoadMotion"].IS_CHANGED(file=name)
    assert NODES["LoadMotion"].IS_CHANGED(file=name) == before
    nodding(5).save(host.folders["output"] / "motion" / "talking_head_00001_.safetensors")
    assert NODES["LoadMotion"].IS_CHANGED(file=name) != before


@pytest.fixture(scope="module")
def clip_frames():
    """The first frames of the demo clip (12, 512, 512, 3)."""
    return next(video_module.read_video(ROOT / "workflows" / "demo_clip.mp4").frames(12))


@pytest.fixture
def clip(host, clip_frames):
    """A short clip with sound in the stand-in's input folder."""
    sound = pack_module("lp_core.media.audio").Audio(wave(0.5, 44_100, 2)["waveform"][0], 44_100)
    video_module.write_video(host.folders["input"] / "clip.mp4", [clip_frames], 25, sound)
    return "clip.mp4"


def test_a_clip_becomes_motion_with_its_sound(host, clip):
    assert inputs_of(NODES["DriveFromVideo"])["video"][0] == [clip]
    assert NODES["DriveFromVideo"].VALIDATE_INPUTS(video=clip) is True
    motion, audio, fps, frames, report = run("DriveFromVideo", video=clip)
    assert (len(motion), fps, frames) == (12, 25.0, 12)
    assert report.startswith("12 frames read for the mesh renderer, measured from frame ")
    assert report.endswith("all have a face.")
    assert (audio["sample_rate"], audio["waveform"].shape[:2]) == (44_100, (1, 2))
    assert host.progress[-1][:2] == (12, 12)


def test_pictures_of_a_clip_do_as_well_as_its_file(clip, clip_frames):
    from_file, *_ = run("DriveFromVideo", video=clip)
    from_frames, audio, fps, frames, _ = run("DriveFromVideo", video="", frames=clip_frames, target_fps=50.0)
    assert (audio, fps, frames) == (None, 50.0, 24)
    difference = from_frames.rotation[::2] - from_file.rotation
    assert difference.abs().max() < 1.0


@pytest.mark.parametrize("name", ["gone.mp4", "../clip.mp4"])
def test_a_clip_that_is_not_there_is_said(host, name):
    assert "There is no file" in NODES["DriveFromVideo"].VALIDATE_INPUTS(video=name)


@pytest.mark.parametrize("name", ["", "gone.mp4"])
def test_a_clip_is_not_missed_where_frames_are_connected(host, clip_frames, name):
    class Clip:
        RETURN_TYPES, FUNCTION = ("IMAGE",), "run"
        INPUT_TYPES = staticmethod(lambda: {"required": {}})

        def run(self):
            return (clip_frames,)

    host.classes["Clip"] = Clip
    drive = {"class_type": "DriveFromVideo", "inputs": defaults_of(NODES["DriveFromVideo"]) | {"video": name}}
    plot = {"class_type": "MotionPlot", "inputs": defaults_of(NODES["MotionPlot"]) | {"motion": ["2", 0]}}
    alone = host.run({"2": drive, "3": plot})
    assert alone.status != "success"
    assert "There is no" in str(alone.errors)
    drive["inputs"]["frames"] = ["1", 0]
    prompt = {"1": {"class_type": "Clip", "inputs": {}}, "2": drive, "3": plot}
    assert host.run(prompt).status == "success"
    assert host.run(prompt).executed == []  # the file is not looked at


@pytest.mark.parametrize("node_id", ["LoadMotion", "LoadStyle", "LoadSpeaker"])
def test_an_empty_folder_is_said(host, node_id):
    assert NODES[node_id].INPUT_TYPES()["required"]["file"][0] == [""]
    with pytest.raises(FileNotFoundError, match="No file is chosen"):
        run(node_id, file="")


def test_a_clip_without_a_face_is_shown(host):
    with pytest.raises(ValueError, match="No face") as told:
        run("DriveFromVideo", video="", frames=torch.full((3, 96, 96, 3), 0.5))
    assert str(next(host.folders["temp"].glob("*.png"))) in str(told.value)


@pytest.mark.parametrize("faceless", ["interpolate", "hold", "fail"])
def test_frames_without_a_face_are_treated_as_wished_and_told(host, clip_frames, faceless):
    moved = clip_frames[:1].roll(40, 2)
    wall = torch.full_like(moved, 0.5)
    frames = torch.cat([clip_frames[:1], wall, wall, moved, wall])
    if faceless == "fail":
        with pytest.raises(ValueError, match="3 of its 5 frames: 1-2, 4"):
            run("DriveFromVideo", video="", frames=frames, faceless=faceless)
        return
    motion, *_, report = run("DriveFromVideo", video="", frames=frames, faceless=faceless)
    assert report.endswith("frames 1-2, 4 have no face.")
    places = motion.translation[:, 0]
    assert torch.equal(places[[1, 2, 4]], places[[0, 0, 3]]) is (faceless == "hold")
    assert len(motion) == 5


def test_one_frame_is_a_clip_and_the_neutral_frame_can_be_named(host, clip_frames):
    motion, *_ = run("DriveFromVideo", video="", frames=clip_frames[:1])
    assert len(motion) == 1
    motion, *_, report = run("DriveFromVideo", video="", frames=clip_frames[:3], neutral_frame=2)
    assert "measured from frame 2" in report
    assert torch.equal(motion.rest.rotation, motion.rotation[2])
    with pytest.raises(ValueError, match="neutral frame 3"):
        run("DriveFromVideo", video="", frames=clip_frames[:3], neutral_frame=3)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (torch.zeros(0, 64, 64, 3), "empty"),
        (torch.full((2, 64, 64, 3), torch.nan), "NaN"),
        (torch.full((2, 16, 16, 3), 0.5), "No face"),
        (torch.zeros(2, 64, 64, 2), "channels"),
    ],
)
def test_what_is_no_clip_is_said(host, frames, sentence):
    with pytest.raises(ValueError, match=sentence):
        run("DriveFromVideo", video="", frames=frames)


def test_without_a_clip_the_node_says_what_to_do(host):
    with pytest.raises(ValueError, match="choose or upload"):
        run("DriveFromVideo", video="")


# ------------------------------------------------------------------------------------------- frames and video


def test_frames_are_drawn_with_progress_and_pictures(host, small_portrait):
    frames, fps = run("LivePortraitRender", portrait=small_portrait, motion=nodding(), batch_size=4)
    assert frames.shape == (10, 256, 256, 3)
    assert fps == 25.0
    assert [(done, total) for done, total, _ in host.progress] == [(4, 10), (8, 10), (10, 10)]
    kind, shown, _ = host.progress[-1][2]
    assert (kind, shown.size) == ("JPEG", (256, 256))


def test_frames_that_will_not_fit_are_refused_before_they_are_drawn(host, small_portrait):
    host.free_memory = 256 * 256 * 3 * 4 * 9
    with pytest.raises(MemoryError, match="longest_side"):
        run("LivePortraitRender", portrait=small_portrait, motion=nodding(10), batch_size=1)
    assert run("LivePortraitRender", portrait=small_portrait, motion=nodding(9))[0].shape[0] == 9


def test_the_crop_alone_can_be_drawn(small_portrait):
    frames, _ = run("LivePortraitRender", portrait=small_portrait, motion=nodding(2), paste_back=False)
    assert frames.shape == (2, 512, 512, 3)


def combine(**given):
    given.setdefault("images", torch.rand(5, 32, 32, 3))
    result = NODES["VideoCombine"]().execute(**(defaults_of(NODES["VideoCombine"]) | given))
    return video_module.read_video(result["result"][0]), result


def brightness(video):
    return (torch.cat(list(video.frames())).mean((1, 2, 3)) * 10).round().int().tolist()


def test_a_video_is_written_and_shown(host):
    images = torch.rand(5, 33, 48, 3)
    video, result = combine(
        images=images, audio=wave(0.2, 44_100, 2), frame_rate=29.97, filename_prefix="a/b_%width%"
    )
    assert result["ui"] == {
        "images": [{"filename": "b_48_00001_.mp4", "subfolder": "a", "type": "output"}],
        "animated": (True,),
    }
    assert result["result"][1] is images
    assert video.path == host.folders["output"] / "a" / "b_48_00001_.mp4"
    assert (video.width, video.height, video.frame_count, video.fps) == (48, 34, 5, Fraction(30_000, 1001))
    sound = video.audio()
    assert sound is not None
    assert (sound.sample_rate, len(sound.waveform)) == (44_100, 2)


PLAYED = {"image/gif": False, "image/webp": True, "image/png-sequence": False}


@pytest.mark.parametrize("form", inputs_of(NODES["VideoCombine"])["format"][0])
def test_every_format_is_written_named_and_shown(host, form):
    images = torch.rand(5, 128, 128, 4)
    result = NODES["VideoCombine"]().execute(
        **defaults_of(NODES["VideoCombine"]) | {"images": images, "audio": wave(0.2, 48_000), "format": form},
        prompt={"1": {}},
        extra_pnginfo={"workflow": {"nodes": [form]}},
    )
    json.dumps(result["ui"])
    path, same, video = result["result"]
    assert same is images
    assert Path(path).parent == host.folders["output"]
    (shown,) = result["ui"]["images"]
    on_page = host.folders[shown["type"]] / shown["subfolder"] / shown["filename"]
    assert on_page.is_file()
    if form == "image/png-sequence":
        assert len(list(Path(path).iterdir())) == 5
        with Image.open(on_page) as first:
            assert json.loads(first.text["workflow"]) == {"nodes": [form]}
    if video is not None:
        assert video.get_components().images.shape == (5, 128, 128, 3)
    assert result["ui"].get("animated", (None,))[0] == (
        None if form in ("video/prores-mov", "video/ffv1-mkv") else PLAYED.get(form, True)
    )


def test_transparency_is_kept_where_the_format_can(host):
    images = torch.rand(3, 32, 32, 4)
    for form, channels in (("image/png-sequence", "RGBA"), ("video/h264-mp4", None)):
        path = run("VideoCombine", images=images, format=form)[0]
        if channels:
            with Image.open(Path(path) / "frame_00001.png") as first:
                assert first.mode == channels


def test_a_video_goes_in_and_out(host):
    _, result = combine(images=torch.rand(5, 32, 32, 3), audio=wave(0.2, 44_100, 2), frame_rate=29.97)
    made = result["result"][2]
    path, images, again = run("VideoCombine", video=made)
    video = video_module.read_video(path)
    assert (video.fps, video.frame_count, len(images)) == (Fraction(30_000, 1001), 5, 5)
    assert (video.audio().sample_rate, len(video.audio().waveform)) == (44_100, 2)
    assert again.path == path
    voiced, *_ = run("VideoCombine", video=made, audio=wave(0.2, 16_000))
    assert video_module.read_video(voiced).audio().sample_rate == 16_000


def test_images_or_a_video_are_taken():
    with pytest.raises(ValueError, match="neither came in"):
        run("VideoCombine")
    with pytest.raises(ValueError, match="both came in"):
        run("VideoCombine", images=torch.zeros(1, 32, 32, 3), video=object())


@pytest.mark.parametrize(
    ("prefix", "pattern"),
    [
        ("a_%date%", r"a_\d{4}-\d\d-\d\d_00001_"),
        ("%date:yy.MM.dd_hhmmss%", r"\d\d\.\d\d\.\d\d_\d{6}_00001_"),
        ("%date:yyyy/MM%/x", r"x_00001_"),
        ("100%", r"100%_00001_"),
    ],
)
def test_names_take_the_date(host, prefix, pattern):
    place = pack_module("nodes.host").save_place(prefix, ".mp4")
    assert re.fullmatch(pattern, place.path.stem)
    moment = datetime(2026, 3, 4, 15, 6, 7)
    assert pack_module("nodes.host")._dated("%date:yyyy-MM-dd hh:mm:ss% %date%", moment) == (
        "2026-03-04 15:06:07 2026-03-04"
    )


def test_names_are_counted_up_and_looks_go_to_the_temporary_folder(host):
    names = [combine()[0].path.name for _ in range(2)]
    assert names == ["talking_head_00001_.mp4", "talking_head_00002_.mp4"]
    _, result = combine(save_output=False)
    assert result["ui"]["images"][0]["type"] == "temp"
    assert next(host.folders["temp"].glob("*.mp4"))


def test_the_workflow_travels_in_the_file_unless_it_may_not(host):
    workflow, prompt = {"nodes": [1]}, {"1": {"class_type": "LoadImage"}}
    wires = {"prompt": prompt, "extra_pnginfo": {"workflow": workflow}}
    metadata = combine(**wires)[0].metadata
    assert json.loads(metadata["workflow"]) == workflow
    assert json.loads(metadata["prompt"]) == prompt
    assert "workflow" not in combine(save_metadata=False, **wires)[0].metadata
    host.arguments.disable_metadata = True
    assert "workflow" not in combine(**wires)[0].metadata


def test_frames_are_repeated_and_turned_round(host):
    images = (torch.arange(4.0) / 10 + 0.2).view(4, 1, 1, 1).expand(4, 32, 32, 3)
    assert brightness(combine(images=images, loop_count=1)[0]) == [2, 3, 4, 5, 2, 3, 4, 5]
    assert brightness(combine(images=images, pingpong=True)[0]) == [2, 3, 4, 5, 4, 3]
    assert brightness(combine(images=images[:1], pingpong=True)[0]) == [2]


def test_a_video_can_end_with_its_sound(host):
    images = torch.zeros(50, 32, 32, 3)
    assert combine(images=images, audio=wave(0.5), trim_to_audio=True)[0].frame_count == 13
    assert combine(images=images, audio=wave(0.5))[0].frame_count == 50


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"images": torch.full((20, 32, 32, 3), torch.nan)}, "NaN"),
        ({"images": torch.zeros(0, 32, 32, 3)}, "empty"),
        ({"filename_prefix": "../out"}, "leads out"),
        ({"filename_prefix": ""}, "leads out"),
        ({"format": "video/betamax"}, "format"),
        ({"frame_rate": 1000.0}, "frame rate"),
        ({"crf": 99}, "crf"),
        ({"pix_fmt": "yuva420p"}, "no pixel format"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_no_file(host, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        combine(**given)
    assert not [path for folder in host.folders.values() for path in folder.rglob("*") if path.is_file()]


def test_without_comfyui_the_nodes_work_in_the_current_folder(tmp_path):
    assert combine(filename_prefix="a/b")[0].path == tmp_path / "output" / "a" / "b_00001_.mp4"
    assert combine(filename_prefix="a/b")[0].path.name == "b_00002_.mp4"
    assert run("SaveMotion", motion=nodding())[1] == str(tmp_path / "output/motion/talking_head_00001_.safetensors")


# ------------------------------------------------------------------------------------------- inside the executor


def prompt_for(seed=0, crf=18):
    """A voice moves the demo portrait, drawn alone and small."""

    def node(node_id, **given):
        own = defaults_of(NODES[node_id]) if node_id in NODES else {}
        return {"class_type": node_id, "inputs": own | given}

    return {
        "1": node("LoadImage", image="portrait.jpg"),
        "2": node("LoadAudio", audio="voice.wav"),
        "3": node("LoadPortrait", image=["1", 0], mask=["1", 1], longest_side=256),
        "4": node("AudioToMotion", audio=["2", 0], seed=seed),
        "5": node("LivePortraitRender", portrait=["3", 0], motion=["4", 0], batch_size=2),
        "6": node("VideoCombine", images=["5", 0], audio=["4", 1], frame_rate=["5", 1], crf=crf),
    }


@pytest.fixture
def stocked(host):
    """The stand-in with a portrait and half a second of voice in its input folder."""
    (host.folders["input"] / "portrait.jpg").write_bytes((ROOT / "workflows" / "demo_portrait.jpg").read_bytes())
    import soundfile

    soundfile.write(host.folders["input"] / "voice.wav", wave(0.5)["waveform"][0, 0].numpy(), 16_000)
    return host


def test_a_workflow_runs_and_unchanged_nodes_are_not_run_again(stocked):
    first = stocked.run(prompt_for(), {"workflow": {}})
    assert (first.status, first.errors) == ("success", {})
    assert first.executed == ["1", "3", "2", "4", "5", "6"]
    video = video_module.read_video(stocked.folders["output"] / first.shown["6"]["images"][0]["filename"])
    assert (video.frame_count, video.width) == (13, 256)
    assert stocked.run(prompt_for()).executed == []
    assert stocked.run(prompt_for(crf=30)).executed == ["6"]
    assert stocked.run(prompt_for(seed=1, crf=30)).executed == ["4", "5", "6"]


def test_what_travels_on_the_wires_is_never_written_into(stocked):
    first = stocked.run(prompt_for())
    image, sound, motion = first.values["1"][0], first.values["2"][0]["waveform"], first.values["4"][0]
    frames = first.values["5"][0]
    before = [value.clone() for value in (image, sound, motion.expression, motion.rotation, frames)]
    assert stocked.run(prompt_for(crf=30)).values["5"][0] is frames
    with torch.inference_mode():
        run("LoadPortrait", image=image)
        run("AudioToMotion", audio=first.values["2"][0], seed=5)
        again, _ = run("LivePortraitRender", portrait=first.values["3"][0], motion=motion, batch_size=2)
    assert torch.equal(again, frames)
    for value, earlier in zip((image, sound, motion.expression, motion.rotation, frames), before, strict=True):
        assert torch.equal(value, earlier)


@pytest.mark.parametrize("node_id", ["5", "6"])
def test_stop_is_honoured_within_a_batch_and_leaves_no_video(stocked, monkeypatch, node_id):
    bar = importlib.import_module("comfy.utils").ProgressBar
    update = bar.update_absolute

    def press_stop(self, *given):
        if stocked.running == node_id:
            stocked.interrupted.set()
        update(self, *given)

    monkeypatch.setattr(bar, "update_absolute", press_stop)
    outcome = stocked.run(prompt_for())
    assert outcome.status == "interrupted"
    assert outcome.executed[-1] == {"5": "4", "6": "5"}[node_id]
    assert not list(stocked.folders["output"].iterdir())


def test_errors_are_told_on_the_node(stocked):
    prompt = prompt_for()
    prompt["3"]["inputs"]["face_index"] = 5
    outcome = stocked.run(prompt)
    assert outcome.status == "error"
    assert "face_index 5" in outcome.errors["3"]


def test_wrong_values_are_refused_before_anything_runs(stocked):
    for change in ({"fps": 1000}, {"motion": "magic"}, {"audio": ["1", 0]}):
        prompt = prompt_for()
        prompt["4"]["inputs"].update(change)
        outcome = stocked.run(prompt)
        assert outcome.status == "rejected", change
        assert "4" in outcome.errors


def test_a_clash_of_ids_is_said_once_with_both_names(host, caplog, monkeypatch):
    monkeypatch.setattr(pack_module("nodes.host"), "_told", set())
    other = type("LoadPortrait", (), {"RELATIVE_PYTHON_MODULE": "custom_nodes.OtherPack"})
    monkeypatch.setitem(host.classes, "LoadPortrait", other)
    monkeypatch.setattr(NODES["LoadPortrait"], "RELATIVE_PYTHON_MODULE", "custom_nodes.Ours", raising=False)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            run("RetargetEye", motion=nodding())
    assert len(caplog.records) == 1
    assert all(word in caplog.text for word in ("LoadPortrait", "custom_nodes.OtherPack", "custom_nodes.Ours"))


def test_without_a_clash_nothing_is_said(host, caplog):
    run("RetargetEye", motion=nodding())
    assert not caplog.records
