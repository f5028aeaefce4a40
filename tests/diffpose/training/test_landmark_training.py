"""The recipe of the landmark nets, run in small on Eileen Collins' portrait (NASA, public domain)."""

import pytest
import torch
from torch import nn

from talking_head.diffpose.training.shipped.landmarks import (
    STORED_MARGIN,
    STORED_SIZE,
    TASKS,
    Faces,
    loss,
    moved_eye,
    new_network,
    save_network,
    train,
    views,
)
from talking_head.lp_core.faces.crop import apply_affine, cut, invert_affine
from talking_head.lp_core.faces.landmark_net import EYE, LandmarkNet, PartNet, folded
from talking_head.lp_core.faces.refine import FaceBox
from talking_head.lp_core.faces.search import find_faces


@pytest.fixture(scope="module")
def faces() -> Faces:
    from skimage.data import astronaut

    picture = torch.from_numpy(astronaut()).float() / 255
    landmarks = find_faces(picture)[0].landmarks
    to_picture = FaceBox.of(landmarks).to_picture(STORED_SIZE, STORED_MARGIN)
    image = (cut(picture, to_picture, STORED_SIZE).image * 255).to(torch.uint8)
    points = torch.cat([apply_affine(invert_affine(to_picture), landmarks[:, :2]), landmarks[:, 2:]], 1)
    return Faces(torch.stack([image] * 4), torch.stack([points] * 4), ("collins",) * 4)


@pytest.mark.parametrize("make", [LandmarkNet, lambda normalised: PartNet(EYE, normalised)])
def test_folding_the_batch_norm_away_changes_nothing(make):
    network = make(True)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 2.0)
            nn.init.uniform_(part.bias, -0.2, 0.2)
    size = 128 if isinstance(network, LandmarkNet) else EYE.size
    crops = torch.rand(2, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(folded(network)(crops), network.eval()(crops), atol=1e-3)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded(network).modules())


def test_labelled_faces_come_back_from_their_file(faces, tmp_path):
    faces.save(tmp_path / "faces.safetensors")
    loaded = Faces.load(tmp_path / "faces.safetensors")
    assert torch.equal(loaded.images, faces.images)
    assert torch.equal(loaded.points, faces.points)
    assert loaded.names == faces.names


@pytest.mark.parametrize("name", sorted(TASKS))
def test_views_are_crops_about_their_landmarks(faces, name):
    task = TASKS[name]
    crops, targets = views(faces, torch.zeros(32, dtype=torch.long), task)
    assert crops.shape == (32, 3, task.size, task.size)
    assert targets.shape == (32, len(task.points), 3)
    middle = targets[..., :2].mean(1) / task.size
    assert (middle - 0.5).abs().max() < 0.3
    assert 0 <= crops.min() <= crops.max() <= 1


def test_an_eye_that_stays_still_is_looked_up_in_place(faces):
    torch.manual_seed(1)
    places = torch.rand(64, 8, 8, 2) * STORED_SIZE
    points = faces.points[:1].expand(64, -1, -1)
    moved, seen = moved_eye(points, places)
    still = (moved == points).flatten(1).all(1)
    assert 4 < still.sum() < 60
    assert torch.allclose(seen[still], places[still], atol=1e-3)
    assert (moved[:, 159, 1] >= points[:, 159, 1]).all()  # lids only come down


def test_training_learns_a_single_face(faces, tmp_path):
    task = TASKS["eye"]
    crops, wanted = views(faces, torch.zeros(64, dtype=torch.long), task)
    guess = new_network("eye", faces, torch.arange(4)).mean.expand(64, -1, -1)
    network = train("eye", faces, steps=80, batch=16).eval()
    with torch.no_grad():
        assert loss(task, network(crops), wanted) < 0.9 * loss(task, guess, wanted)
    save_network(network, tmp_path / "eye_net.safetensors")
    assert (tmp_path / "eye_net.safetensors").stat().st_size < 200_000
