import pytest
import torch
from safetensors.torch import save_file
from talker_goldens import assert_near, filled, golden, tensors_of, waveform

from talking_head.diffpose.talker.driver import Talker, TalkerOptions
from talking_head.diffpose.talker.expression import ExpressionNetwork
from talking_head.diffpose.talker.mapping import MappingNetwork
from talking_head.diffpose.talker.pose_vae import PoseVae, blocks_of
from talking_head.diffpose.talker.reconstruction import (
    TEMPLATE,
    FaceReconstruction,
    align,
    aligned_picture,
    coefficients_of,
)
from talking_head.diffpose.talker.weights import load_from_sadtalker, load_mapping_network
from talking_head.lp_core.liveportrait.checkpoint import CheckpointError
from talking_head.lp_core.motion.smoothers import gaussian, savitzky_golay


@pytest.fixture(scope="module")
def reconstruction():
    return filled(FaceReconstruction, "face_3drecon")


def lowered(points):
    """The golden's landmarks with y down from the upper edge."""
    return torch.stack([points[:, 0], 255 - points[:, 1]], 1)


def five_points_of_68(landmarks):
    """Eye centres, nose tip and mouth corners (5, 2) of the 68-point scheme; an eye's is between its corners."""
    eyes = [landmarks[[inner, outer]].mean(0) for inner, outer in ((36, 39), (42, 45))]
    return torch.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])


def test_alignment_equals_the_original():
    stored = golden("lpt_face3d")
    assert_near(torch.tensor(TEMPLATE), stored["lm3d_5p"], 1e-6)
    alignment = align(five_points_of_68(lowered(stored["lm68"])), 256)
    assert_near(alignment.centre, stored["t"], 1e-3)
    assert_near(torch.tensor([102 / alignment.scale]), stored["trans_params"][2:3], 1e-3)


def test_aligned_picture_equals_the_original():
    stored = golden("lpt_face3d")
    alignment = align(five_points_of_68(lowered(stored["lm68"])), 256)
    picture = aligned_picture(stored["image"].float() / 255, alignment)
    assert (picture * 255 - stored["aligned"]).abs().max() <= 1.001


def test_coefficients_equal_the_original(reconstruction):
    stored = golden("lpt_face3d")
    aligned = stored["aligned"].float()[None] / 255
    assert_near(reconstruction(aligned.permute(0, 3, 1, 2))[0], stored["coeff257"], 1e-4)
    assert_near(reconstruction.coefficients(aligned).stack()[0], stored["coeff70"], 1e-4)


def test_a_face_is_measured_wherever_it_lies(reconstruction):
    """The mesh's five points are those of the template, so a moved picture has the same coefficients."""
    picture = gaussian(gaussian(torch.randn(256, 256, 3), 6.0).transpose(0, 1), 6.0) * 3 + 0.5
    mesh = torch.zeros(478, 3)
    mesh[[33, 133, 159, 145]] = torch.tensor([100.0, 100, 0])
    mesh[[263, 362, 386, 374]] = torch.tensor([156.0, 100, 0])
    mesh[[1, 61, 291]] = torch.tensor([[128.0, 130, 0], [105, 160, 0], [151, 160, 0]])
    moved = torch.roll(picture.clamp(0, 1), (8, 12), dims=(0, 1))
    first = coefficients_of(reconstruction, picture.clamp(0, 1), mesh)
    second = coefficients_of(reconstruction, moved, mesh + torch.tensor([12.0, 8.0, 0.0]))
    unaligned = coefficients_of(reconstruction, moved, mesh)
    difference = (second.expression - first.expression).abs().mean()
    assert difference < 0.2 * (unaligned.expression - first.expression).abs().mean()


@pytest.mark.parametrize("frames", [10, 45])
def test_pose_vae_equals_the_original(frames):
    network, stored = filled(PoseVae, "audio2pose"), golden("sadtalker_audio2pose")
    start, latents = stored[f"{frames}.ref"][-6:], stored[f"{frames}.z"]
    assert len(latents) == blocks_of(frames)
    motion = network(stored[f"{frames}.mel"], start, int(stored[f"{frames}.class"]), latents)
    assert_near(motion, stored[f"{frames}.pose_motion"], 1e-4)
    assert_near(start + motion, stored[f"{frames}.pose"], 1e-4)
    assert_near(savitzky_golay(start + motion), stored[f"{frames}.pose_savgol"], 1e-4)


def write_sadtalker(path, kinds, extra=None):
    tensors = {}
    for kind, prefix in kinds.items():
        with torch.device("meta"):
            network = kind()
        tensors |= {f"{prefix}.{key}": value for key, value in tensors_of(network, prefix).items()}
    save_file(tensors | (extra or {}), path)
    return path


def test_sadtalkers_file_is_read_by_prefix(tmp_path):
    """Pitfalls 11 and 12: training's parts are in the file; a prefix counts at the start of a key alone."""
    other = {
        "audio2pose.netD_motion.seq.0.norm.num_batches_tracked": torch.tensor(0),
        "audio2pose.netG.encoder.linear_logvar.weight": torch.zeros(64, 128),
        "generator.audio2exp.bias": torch.zeros(3),
    }
    kinds = {ExpressionNetwork: "audio2exp", PoseVae: "audio2pose"}
    path = write_sadtalker(tmp_path / "SadTalker_V0.0.2_256.safetensors", kinds, other)
    mel = torch.randn(3, 80, 16)
    expected = filled(ExpressionNetwork, "audio2exp")(mel, torch.zeros(64))
    assert_near(load_from_sadtalker(path, ExpressionNetwork)(mel, torch.zeros(64)), expected, 1e-6)
    load_from_sadtalker(path, PoseVae)
    with pytest.raises(CheckpointError, match="no 3D face reconstruction"):
        load_from_sadtalker(path, FaceReconstruction)


def test_a_missing_key_is_named(tmp_path):
    tensors = {f"audio2exp.{k}": v for k, v in tensors_of(ExpressionNetwork(), "audio2exp").items()}
    del tensors["audio2exp.mapping1.bias"]
    save_file(tensors, tmp_path / "half.safetensors")
    with pytest.raises(CheckpointError, match=r"mapping1\.bias"):
        load_from_sadtalker(tmp_path / "half.safetensors", ExpressionNetwork)


@pytest.mark.parametrize("form", ["published", "trained", "parallel", "safetensors"])
def test_mapping_networks_of_every_form_load(form, tmp_path):
    network = MappingNetwork(width=32)
    state = {key: value.detach() for key, value in network.state_dict().items()}
    path = tmp_path / ("m.safetensors" if form == "safetensors" else "mappingnet_basic_64inp_onlylip.pt")
    if form == "safetensors":
        save_file(state, path)
    elif form == "trained":
        torch.save({"epoch": 3, "state_dict": {f"mappingnet.{key}": value for key, value in state.items()}}, path)
    else:
        prefix = "module." if form == "parallel" else ""
        torch.save({f"{prefix}{key}": value for key, value in state.items()}, path)
    x = torch.randn(1, 64, 30)
    assert_near(load_mapping_network(path)(x, 28), network(x, 28).detach(), 1e-6)


def test_the_driver_loads_from_its_two_files(tmp_path):
    sadtalker = write_sadtalker(tmp_path / "SadTalker_V0.0.2_256.safetensors", {ExpressionNetwork: "audio2exp"})
    state = tensors_of(filled(MappingNetwork, "mappingnet"), "mappingnet")
    torch.save(state, tmp_path / "mappingnet_basic_64inp_onlylip.pt")
    person = golden("lpt_audio2exp")["source_coeff"]
    options = TalkerOptions(lip_reference="none", person=person)
    mapping = load_mapping_network(tmp_path / "mappingnet_basic_64inp_onlylip.pt")
    talker = Talker(load_from_sadtalker(sadtalker, ExpressionNetwork), mapping, options)
    lips = talker.lip_deltas(waveform(35697)[: 55 * 640])
    assert_near(lips, golden("lpt_mapping")["e2e_lips"].view(-1, 6, 3), 1e-4)
