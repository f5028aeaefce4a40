"""Finding faces in Eileen Collins' portrait (NASA, public domain), turned, mirrored, shrunk, doubled and hidden."""

import math

import pytest
import torch
import torch.nn.functional as F

from talking_head.lp_core.faces.crop import apply_affine, invert_affine, sample
from talking_head.lp_core.faces.face_model import fit_pose
from talking_head.lp_core.faces.faces import LANDMARKS, Face, NoFaceError, box_of_mask, ordered
from talking_head.lp_core.faces.finder import BuiltinFinder
from talking_head.lp_core.faces.mesh_points import LOWER_LIP_ROWS, UPPER_LIP_ROWS
from talking_head.lp_core.faces.refine import mirror
from talking_head.lp_core.faces.search import find_faces

# Where features stand in the 512-pixel picture, read off an enlargement by eye.
FEATURES = {
    "left pupil": (468, (203.2, 100.9)),
    "right pupil": (473, (246.2, 103.6)),
    "left corner of the mouth": (61, (203.0, 140.0)),
    "right corner of the mouth": (291, (245.0, 140.5)),
    "rim of the upper lip": (13, (224.0, 143.5)),
}


@pytest.fixture(scope="module")
def astronaut() -> torch.Tensor:
    from skimage.data import astronaut

    return torch.from_numpy(astronaut()).float() / 255


@pytest.fixture(scope="module")
def face(astronaut) -> Face:
    return find_faces(astronaut)[0]


def error(found: torch.Tensor, wanted: torch.Tensor, face: Face) -> float:
    """Mean distance of landmarks, over the eye distance of the wanted face."""
    unit = (wanted[33, :2] - wanted[263, :2]).norm()
    return float((found[:, :2] - wanted[:, :2]).norm(dim=1).mean() / unit)


def moved(picture: torch.Tensor, to_new: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The picture under an affine map of its pixels, on a canvas of (height, width)."""
    y, x = torch.meshgrid(torch.arange(size[0]).float(), torch.arange(size[1]).float(), indexing="ij")
    places = apply_affine(invert_affine(to_new), torch.stack([x, y], -1))
    shrink = float(torch.linalg.det(to_new[:, :2]).abs().sqrt())
    images = picture.permute(2, 0, 1)[None]
    if shrink < 0.7:
        kernel = round(1 / shrink)
        images = F.avg_pool2d(images, kernel, 1, kernel // 2, count_include_pad=False)[..., :512, :512]
    return sample(images, places[None], "border")[0].permute(1, 2, 0)


def similarity(degrees: float, scale: float, x: float, y: float) -> torch.Tensor:
    """Turn clockwise about the middle of the picture, resize, and put that middle at x, y."""
    cosine, sine = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    linear = torch.tensor([[cosine, -sine], [sine, cosine]])
    return torch.cat([linear, torch.tensor([[x], [y]]) - linear @ torch.full((2, 1), 255.5)], 1)


@pytest.mark.parametrize("feature", FEATURES)
def test_features_are_where_the_eye_sees_them(face, feature):
    index, place = FEATURES[feature]
    apart = (face.landmarks[index, :2] - torch.tensor(place)).norm() / face.eye_distance
    assert apart < 0.06, f"{apart:.3f} eye distances off"


def test_the_only_face_is_found_once_and_with_certainty(astronaut, face):
    assert len(find_faces(astronaut)) == 1
    assert face.score > 0.9
    left, top, right, bottom = face.box
    assert 170 < left < right < 285
    assert 50 < top < bottom < 200


def test_the_mirrored_picture_gives_mirrored_landmarks(astronaut, face):
    mirrored = find_faces(astronaut.flip(1))[0].landmarks
    assert error(mirror(mirrored, 512), face.landmarks, face) < 0.012


def test_the_rows_of_the_lips_keep_their_order(face):
    points = fit_pose(face.landmarks[None]).to_face(face.landmarks[None])[0, :, 1]
    for rows, inwards in ((UPPER_LIP_ROWS, 1), (LOWER_LIP_ROWS, -1)):
        heights = torch.stack([points[list(row[1:-1])] for row in rows])
        assert (inwards * heights.diff(dim=0)).min() > -0.003


@pytest.mark.parametrize("degrees", [-20, 20, 45, 180])
def test_tilted_faces_are_found(astronaut, face, degrees):
    to_new = similarity(degrees, 1.0, 255.5, 255.5)
    found = find_faces(moved(astronaut, to_new, (512, 512)))[0].landmarks
    wanted = apply_affine(to_new, face.landmarks[:, :2])
    assert error(found, wanted, face) < 0.025


@pytest.mark.parametrize("scale", [0.4, 2.0])
def test_the_size_of_the_picture_does_not_matter(astronaut, face, scale):
    side = round(512 * scale)
    to_new = similarity(0, scale, (side - 1) / 2, (side - 1) / 2)
    found = find_faces(moved(astronaut, to_new, (side, side)))[0].landmarks
    assert error(found, apply_affine(to_new, face.landmarks[:, :2]), face) < 0.03


def test_a_small_face_in_a_large_picture_is_found(astronaut, face):
    to_new = similarity(0, 0.6, 1500.0, 400.0)
    canvas = torch.full((1400, 2000, 3), 0.6)
    canvas[250:550, 1350:1650] = moved(astronaut, similarity(0, 0.6, 150.0, 150.0), (300, 300))
    found = find_faces(canvas)[0].landmarks
    assert error(found, apply_affine(to_new, face.landmarks[:, :2]), face) < 0.04


def test_two_faces_come_largest_first_and_can_be_ordered(astronaut):
    small = moved(astronaut, similarity(0, 0.75, 191.5, 191.5), (384, 384))
    both = torch.full((512, 896, 3), 0.5)
    both[:384, :384], both[:, 384:] = small, astronaut
    faces = find_faces(both)
    assert len(faces) == 2
    assert faces[0].eye_distance > faces[1].eye_distance
    assert ordered(faces, "left to right") == (faces[1], faces[0])


def test_a_picture_without_colour_is_no_harder(astronaut, face):
    grey = astronaut.mean(-1, keepdim=True).expand(-1, -1, 3)
    assert error(find_faces(grey)[0].landmarks, face.landmarks, face) < 0.015


def test_no_face_is_an_error_that_shows_what_was_looked_at(astronaut):
    suit = astronaut[250:]
    with pytest.raises(NoFaceError, match="No face was found in the picture of 512×262") as raised:
        find_faces(suit)
    assert torch.equal(raised.value.looked_at, suit)


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (40, 3)])
def test_tiny_pictures_have_no_face(size):
    with pytest.raises(NoFaceError):
        find_faces(torch.rand(*size, 3))


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 4), (1, 64, 64, 3), (0, 64, 3)])
def test_what_is_not_a_picture_is_refused(shape):
    with pytest.raises(ValueError, match=r"height, width, 3"):
        find_faces(torch.zeros(shape))


@pytest.mark.parametrize("box", [(180, 60, 275, 190), (150, 30, 300, 220), (195, 90, 260, 170)])
def test_a_box_is_trusted_whether_loose_or_tight(astronaut, face, box):
    (found,) = find_faces(astronaut, box=box)
    assert error(found.landmarks, face.landmarks, face) < 0.02


def test_a_box_where_nothing_is_still_gives_a_face_but_an_uncertain_one(astronaut):
    (found,) = find_faces(astronaut, box=(300, 350, 420, 480))
    assert found.landmarks.shape == (LANDMARKS, 3)
    assert torch.isfinite(found.landmarks).all()
    assert found.score < 0.5


def test_a_mask_leads_to_its_face(astronaut, face):
    mask = torch.zeros(512, 512)
    mask[60:190, 180:275] = 1
    (found,) = find_faces(astronaut, box=box_of_mask(mask))
    assert error(found.landmarks, face.landmarks, face) < 0.02


@pytest.mark.parametrize("box", [(600, 10, 700, 90), (10, 10, 11, 90), (200, 90, 100, 190)])
def test_boxes_outside_the_picture_or_without_area_are_refused(astronaut, box):
    with pytest.raises(ValueError, match="give left, top, right, bottom"):
        find_faces(astronaut, box=box)


@pytest.mark.parametrize("layout", ["planes", "a part of a wider one", "shifted in memory"])
def test_how_a_picture_lies_in_memory_does_not_matter(layout, astronaut, face):
    wide = torch.cat([astronaut, astronaut], 1)
    shifted = torch.empty(astronaut.numel() + 1)[1:].view_as(astronaut).copy_(astronaut)
    layouts = {
        "planes": astronaut.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        "a part of a wider one": wide[:, : astronaut.shape[1]],
        "shifted in memory": shifted,
    }
    assert torch.equal(find_faces(layouts[layout])[0].landmarks, face.landmarks)


def test_looking_does_not_change_the_picture(astronaut):
    before = astronaut.clone()
    BuiltinFinder().find(astronaut)
    assert torch.equal(astronaut, before)


def test_another_finder_fills_the_seam(astronaut, face):
    class Fixed:
        def find(self, _):
            return (face,)

        def find_in(self, *_):
            return face

    assert find_faces(astronaut, Fixed()) == (face,)
    assert find_faces(astronaut, Fixed(), box=(0, 0, 9, 9)) == (face,)
