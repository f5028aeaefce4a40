import numpy as np
import pytest
import torch
from talker_goldens import assert_near, golden
from test_motion import moving

from talking_head.diffpose.speech.manifold import (
    Projection,
    SpeechBank,
    build_bank,
    combination,
    nearest,
    project,
    project_lips,
)
from talking_head.lp_core.motion.keypoints import LIPS


@pytest.fixture(scope="module")
def stored():
    return golden("lsp_lle")


@pytest.fixture(scope="module")
def bank(stored):
    return SpeechBank(stored["bank"], "apc")


def test_neighbours_and_weights_equal_the_original(stored):
    found = nearest(stored["feats"], stored["bank"], 10)
    # Near ties may swap, so the sets are compared (pitfall 16).
    assert torch.equal(found.sort(-1).values, stored["knn"].sort(-1).values)
    assert_near(combination(stored["feats"], stored["bank"][stored["knn"]]), stored["weights"], 1e-4)


def test_projection_equals_the_original(stored, bank):
    assert_near(project(stored["feats"], bank), stored["fused"], 1e-5)
    assert_near(project(stored["feats"][:2], bank, strength=0.5), stored["blend50"], 1e-5)
    assert_near(project(stored["feats"][:1], bank, neighbours=3)[0], stored["K3_fused"], 1e-5)
    assert torch.equal(project(stored["feats"][:1], bank, neighbours=1)[0], stored["K1_fused"])


def test_strength_zero_changes_nothing(stored, bank):
    assert torch.equal(project(stored["feats"], bank, strength=0.0), stored["feats"])


def test_entries_of_the_bank_stay_where_they_are(bank):
    assert_near(project(bank.features[:5], bank), bank.features[:5], 1e-5)


def test_a_bank_that_repeats_itself_is_no_singularity():
    """The original inverts AᵀA, which duplicates make singular."""
    twins = torch.randn(6, 16).repeat(4, 1)
    query = torch.randn(3, 16)
    around = twins[nearest(query, twins, 10)].double()
    sides = around[:, 1:] - around[:, :1]
    assert torch.linalg.matrix_rank(sides @ sides.mT).max() < 9
    projected = project(query, SpeechBank(twins, "twins"))
    assert torch.isfinite(projected).all()
    assert projected.abs().max() < 10
    same = project(query, SpeechBank(torch.ones(12, 16), "one"))
    assert_near(same, torch.ones(3, 16), 1e-6)


def test_projected_features_lie_in_the_span_of_their_neighbours():
    plane = torch.randn(40, 2) @ torch.randn(2, 12)
    projected = project(torch.randn(7, 12), SpeechBank(plane, "plane"))
    rank = torch.linalg.matrix_rank(torch.cat([plane, projected]), atol=1e-3)
    assert rank == 2


def test_a_bank_drops_what_is_near_and_keeps_to_its_limit():
    features = torch.cat([torch.zeros(5, 4), torch.eye(4) * 3, torch.eye(4) * 3.01])
    assert len(build_bank(features, "toy").features) == 9
    assert len(build_bank(features, "toy", distance=0.5).features) == 5
    assert len(build_bank(features, "toy", limit=3).features) == 3


def test_a_bank_survives_the_way_through_a_file(tmp_path):
    bank = SpeechBank(torch.randn(6, 3), "hubert layer 9")
    bank.save(tmp_path / "speaker.safetensors")
    again = SpeechBank.load(tmp_path / "speaker.safetensors")
    assert torch.equal(again.features, bank.features)
    assert again.encoder == bank.encoder


def test_what_does_not_fit_is_refused(tmp_path, bank):
    with pytest.raises(ValueError, match="same encoder"):
        project(torch.zeros(2, 3), bank)
    with pytest.raises(ValueError, match="strength"):
        project(torch.zeros(2, 512), bank, strength=2.0)
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="Cannot read"):
        SpeechBank.load(tmp_path / "other.safetensors")


def test_lips_take_the_shapes_of_a_person_and_nothing_else_moves():
    motion, person = moving(8), moving(60)
    own = project_lips(person, person)
    assert_near(own.expression, person.expression, 1e-6)
    changed = project_lips(motion, person)
    others = [keypoint for keypoint in range(21) if keypoint not in LIPS]
    assert torch.equal(changed.expression[:, others], motion.expression[:, others])
    assert (changed.expression[:, list(LIPS)] - motion.expression[:, list(LIPS)]).abs().max() > 1e-3


def test_a_bank_of_live_speech_portraits_is_read(tmp_path):
    features = np.random.default_rng(0).standard_normal((7, 512)).astype(np.float32)
    np.save(tmp_path / "APC_feature_base.npy", features)
    bank = SpeechBank.load(tmp_path / "APC_feature_base.npy")
    assert bank.encoder == "apc"
    assert torch.equal(bank.features, torch.from_numpy(features))


def test_a_bank_that_runs_code_is_not_read(tmp_path):
    np.save(tmp_path / "bank.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Cannot read the speech bank"):
        SpeechBank.load(tmp_path / "bank.npy")


def test_wrong_projections_are_refused(bank):
    with pytest.raises(ValueError, match=r"strength is 1\.5"):
        Projection(bank, strength=1.5)
    with pytest.raises(ValueError, match="neighbours are 0"):
        Projection(bank, neighbours=0)
