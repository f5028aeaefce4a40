"""The nodes with LivePortrait's networks, small and synthetic: every option, and the workflows on both sides."""

import importlib

import pytest
import torch
from conftest import ROOT
from host import Host, defaults_of, load_as_comfyui
from liveportrait_goldens import write_small_weights
from synthetic_weights import GOLDEN
from test_workflows import read, workflow_named

from talking_head.lp_core.media.picture import load_picture
from talking_head.lp_core.media.video import read_video, write_video
from talking_head.lp_core.motion.keypoints import EYES, LIPS

PACK = load_as_comfyui()
NODES = PACK.NODE_CLASS_MAPPINGS


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A stand-in for ComfyUI with the weights in its models folder."""
    with Host(tmp_path_factory.mktemp("comfyui"), PACK) as running:
        folder = running.folders["models"] / "liveportrait"
        write_small_weights(folder)
        write_small_weights(folder, animals=True)
        (running.folders["input"] / "template.pkl").write_bytes((GOLDEN / "driving_template.pkl").read_bytes())
        for name in ("demo_portrait.jpg", "demo_speech.wav"):
            (running.folders["input"] / name).write_bytes((ROOT / "workflows" / name).read_bytes())
        clip = read_video(ROOT / "workflows" / "demo_clip.mp4")
        write_video(running.folders["input"] / "short.mp4", next(clip.frames(2)), clip.fps, clip.audio())
        yield running


@pytest.fixture(scope="module")
def image(host):
    return load_picture(ROOT / "workflows" / "demo_portrait.jpg")[None, :256, 100:356]


@pytest.fixture(scope="module")
def portrait(image):
    return run("LoadPortrait", image=image)[0]


@pytest.fixture(scope="module")
def motion(host):
    return run("LoadMotion", file="template.pkl")[0][:2]


def run(node_id: str, **given):
    result = NODES[node_id]().execute(**(defaults_of(NODES[node_id]) | given))
    return result["result"] if isinstance(result, dict) else result


def test_the_precision_is_the_networks(image, motion, monkeypatch):
    device = importlib.import_module(f"{PACK.__name__}.lp_core.compute.device")
    monkeypatch.setattr(device, "cpu_has_bfloat16", lambda: True)  # so small networks can be emulated
    exact, coarse = (run("LoadPortrait", image=image, precision=name)[0] for name in ("fp32", "bf16"))
    assert 0 < change(drawn(exact, motion[:1]), drawn(coarse, motion[:1])) < 0.2
    with pytest.raises(ValueError, match="slower in fp16"):
        run("LoadPortrait", image=image, precision="fp16")


def drawn(portrait, motion, **given) -> torch.Tensor:
    return run("LivePortraitRender", portrait=portrait, motion=motion, **given)[0]


def change(frames: torch.Tensor, others: torch.Tensor) -> float:
    return float((frames - others).abs().max())


def test_auto_takes_the_networks_that_are_in_the_models_folder(portrait, motion):
    assert portrait.renderer.name == "liveportrait"
    frames = drawn(portrait, motion)
    assert frames.shape == (2, 256, 256, 3)
    assert torch.isfinite(frames).all()


@pytest.mark.parametrize(
    "given",
    [
        {"relative": False},
        {"take_expression": False},
        {"take_head": False},
        {"multiplier": 0.5},
        {"stitching": False},
        {"relative": False, "keep_identity": False},
        {"relative": False, "anchored": True},
    ],
)
def test_every_option_changes_the_frames(portrait, motion, given):
    others = {name: value for name, value in given.items() if name == "relative" and len(given) > 1}
    assert change(drawn(portrait, motion, **given), drawn(portrait, motion, **others)) > 1e-3


def test_parts_of_the_face_combine(portrait, motion):
    alone = {"take_expression": False, "take_eyes": False, "take_brows": False, "take_head": False}
    lips, with_eyes = drawn(portrait, motion, **alone), drawn(portrait, motion, **(alone | {"take_eyes": True}))
    assert change(lips, with_eyes) > 1e-3
    with pytest.raises(ValueError, match="take_"):
        drawn(portrait, motion, **(alone | {"take_lips": False}))


@pytest.mark.parametrize("renderer", ["mesh", "liveportrait"])
def test_a_mask_says_where_the_face_may_show(image, motion, renderer):
    prepared = run("LoadPortrait", image=image, renderer=renderer)[0]
    mask = torch.zeros(3, 128, 128)
    mask[0, :64] = 1
    masked, free = (drawn(prepared, motion, mask=given) for given in (mask, torch.zeros(1, 64, 64)))
    assert change(masked[:, 130:], image[:, 130:]) < 1e-6
    assert change(masked[:, :120], free[:, :120]) < 1e-6
    assert change(free[:, 130:], image[:, 130:]) > 1e-3
    with pytest.raises(ValueError, match="MASK"):
        drawn(prepared, motion, mask=torch.full((1, 4, 4), torch.nan))


@pytest.mark.parametrize("renderers", [("mesh", "liveportrait"), ("liveportrait", "mesh")])
def test_one_face_after_another_moves_in_a_picture(image, motion, renderers):
    pair = torch.cat([image, image.flip(2)], 2)
    boxes = "70, 30, 190, 190", "322, 30, 442, 190"
    first, second = (
        run("LoadPortrait", image=pair, renderer=name, face_box=box)[0]
        for name, box in zip(renderers, boxes, strict=True)
    )
    alone = drawn(first, motion)
    both = drawn(second, motion[:1], background=alone)
    assert both.shape == (2, 256, 512, 3)
    assert change(both[:, :, :180], alone[:, :, :180]) < 1e-5
    assert change(both[:, :, 330:], alone[:, :, 330:]) > 1e-3
    with pytest.raises(ValueError, match="same picture"):
        drawn(second, motion, background=alone[:, :100])


def test_an_animal_needs_a_box_or_a_mask(image, motion):
    with pytest.raises(ValueError, match="face_box"):
        run("LoadPortrait", image=image, animal=True)
    mask = torch.zeros(1, 256, 256)
    mask[:, 30:190, 70:190] = 1
    for where in ({"face_box": "70, 30, 190, 190"}, {"mask": mask}):
        animal, _, count = run("LoadPortrait", image=image, animal=True, **where)
        assert (animal.renderer.name, count) == ("liveportrait", 1)
        assert torch.isfinite(drawn(animal, motion)).all()


@pytest.mark.parametrize("renderer", ["mesh", "liveportrait"])
def test_lips_and_eyes_are_brought_to_an_opening(image, motion, renderer):
    prepared = run("LoadPortrait", image=image, renderer=renderer)[0]
    lips, eyes = {"motion": motion, "portrait": prepared}, {"motion": motion, "portrait": prepared}
    (shut,), (wide,) = (run("RetargetLip", **lips, open_to=ratio) for ratio in (0.0, 0.4))
    assert (wide.expression - shut.expression).abs().max() > 1e-3
    moved, spread = motion.expression.diff(dim=0), wide.expression.diff(dim=0)
    torch.testing.assert_close(spread, moved, atol=2e-2, rtol=0)
    (still,) = run("RetargetLip", **lips, open_to=0.4, keep_motion=False)
    assert still.expression[:, LIPS].diff(dim=0).abs().max() < moved[:, LIPS].abs().max() / 2
    (left,), (right,) = (run("RetargetEye", **eyes, **{side: 0.0}) for side in ("open_left_to", "open_right_to"))
    assert (left.expression - right.expression)[:, EYES].abs().max() > 1e-3
    (alone,) = run("RetargetEye", motion=motion, open_left_to=0.0)
    torch.testing.assert_close(alone.expression, motion.expression, atol=1e-6, rtol=0)


def test_a_template_is_listed_and_loaded_from_the_frame_one_likes(host):
    assert "template.pkl" in NODES["LoadMotion"].INPUT_TYPES()["required"]["file"][0]
    chosen, fps, frames = run("LoadMotion", file="template.pkl")
    assert (fps, frames) == (25.0, 5)
    third = run("LoadMotion", file="template.pkl", neutral_frame=2)[0]
    assert torch.equal(third.rest.expression, chosen.expression[2])
    with pytest.raises(ValueError, match="5 frames"):
        run("LoadMotion", file="template.pkl", neutral_frame=9)


def test_a_template_that_is_none_is_refused(host):
    (host.folders["input"] / "bad.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"bad\.pkl"):
        run("LoadMotion", file="bad.pkl")
    (host.folders["input"] / "bad.pkl").unlink()


def test_a_clip_is_read_by_the_network_of_the_renderer(host):
    clip = load_picture(ROOT / "workflows" / "demo_portrait.jpg")[None, :256, 100:356].expand(2, -1, -1, -1)
    *_, by_network = run("DriveFromVideo", video="", frames=clip)
    *_, by_landmarks = run("DriveFromVideo", video="", frames=clip, extractor="landmarks")
    assert "liveportrait renderer" in by_network
    assert "mesh renderer" in by_landmarks
    *_, of_one = run("DriveFromVideo", video="", frames=clip[:1])
    assert "measured from a calm face" in of_one


def test_whole_frames_need_no_face(host):
    wall = torch.full((2, 64, 48, 3), 0.5)
    with pytest.raises(ValueError, match="No face"):
        run("DriveFromVideo", video="", frames=wall)
    assert len(run("DriveFromVideo", video="", frames=wall, whole_frames=True)[0]) == 2


@pytest.mark.parametrize("renderer", ["mesh", "liveportrait"])
@pytest.mark.parametrize("name", ["talking_portrait", "video_driven_portrait"])
def test_the_same_workflow_runs_with_either_renderer(host, name, renderer):
    workflow = read(workflow_named(name))
    prompt = host.prompt_of(workflow)
    by_class = {node["class_type"]: node["inputs"] for node in prompt.values()}
    by_class["LoadPortrait"] |= {"renderer": renderer, "longest_side": 128}
    for inputs in (by_class.get("AudioToMotion"), by_class.get("DriveFromVideo")):
        if inputs:
            inputs |= {"fps": 1} if "fps" in inputs else {"video": "short.mp4"}
    outcome = host.run(prompt, {"workflow": workflow})
    assert (outcome.status, outcome.errors) == ("success", {})
    (portrait,) = (value[0] for value in outcome.values.values() if type(value[0]).__name__ == "Portrait")
    assert portrait.renderer.name == renderer
    (shown,) = (shown for shown in outcome.shown.values() if shown.get("animated"))
    video = read_video(host.folders["output"] / shown["images"][0]["filename"])
    frames = torch.cat(list(video.frames()))
    assert frames.shape[1:] == (128, 128, 3)
    assert 1 < len(frames) < 9


@pytest.mark.parametrize("renderer", ["mesh", "liveportrait"])
def test_a_clip_is_reenacted_and_faceless_frames_pass_through(image, motion, renderer):
    clip = torch.cat([image, torch.full_like(image, 0.5), image])
    wanted = motion[:1]
    frames, fps, faceless = run("ReenactVideo", frames=clip, motion=wanted, frames_fps=5.0, renderer=renderer)
    assert (frames.shape, fps, faceless) == ((3, 256, 256, 3), 5.0, "1")
    assert torch.equal(frames[1], clip[1])
    opened = run("RetargetLip", motion=wanted, opening=0.3)[0]
    talking, *_ = run("ReenactVideo", frames=clip, motion=opened, frames_fps=5.0, renderer=renderer)
    assert change(talking[0], frames[0]) > 1e-3
    with pytest.raises(ValueError, match="No face"):
        run("ReenactVideo", frames=clip[1:2], motion=wanted, renderer=renderer)
