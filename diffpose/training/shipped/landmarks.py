"""Trains the landmark nets of the built-in face finder: the whole face, the eye with its brow, the mouth.

    python -m talking_head.diffpose.training.shipped.landmarks label PICTURES_AND_CLIPS -o faces.safetensors
    python -m talking_head.diffpose.training.shipped.landmarks train eye faces.safetensors -o eye_net.safetensors

Labels are from MediaPipe Face Mesh (Apache-2.0; the package's optional extra). The shipped nets were distilled in
this way from the example pictures and clips of LivePortrait and SadTalker. Eye and mouth: 38 stills and 2.6 k
frames of 13 clips, disjoint from those of the reported figures, 4 k and 2.5 k steps of batch 32. The whole face,
earlier: 55 stills, 14 renderings of each and 1.7 k frames of 20 clips, about 5 k steps of batch 32 after a first,
shorter run.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ....lp_core.faces.crop import cut
from ....lp_core.faces.landmark_net import (
    COMPONENTS,
    EYE,
    INNER_LIPS,
    IRIS,
    LOWER_LID,
    MARGIN,
    MOUTH,
    OUTER_LIPS,
    SIZE,
    UPPER_LID,
    LandmarkNet,
    Part,
    PartNet,
    folded,
)
from ....lp_core.faces.landmarks import LANDMARKS
from ....lp_core.faces.refine import FaceBox, mirror
from ....lp_core.media.tensor_files import save_tensors

STORED_SIZE = 320  # pixels a side of the stored, upright pictures
STORED_MARGIN = 2.1  # side of a stored picture over the larger side of the face's box
FACE_SIZE = STORED_SIZE / STORED_MARGIN  # stored pixels, larger side of the box
FRAMES_PER_CLIP = 160
SMOOTHNESS = 0.2  # crop pixels below which the loss is quadratic
CLOSER_LOOK = 3.0  # weight of irises, and in the whole face of lips and lids
DEPTH_WEIGHT = 0.4
OPENING_WEIGHT = 2.0
PROVENANCE = (
    "made by this project: distilled from labels of MediaPipe Face Mesh 0.10.14 (Apache-2.0) on example pictures "
    "and clips of open projects; batch norm folded, stored as fp16; recipe in diffpose/training/shipped/"
)

# Pairs of landmarks with distances that are measures of a face.
EYE_OPENINGS = ((159, 145), (158, 153), (160, 144))
MOUTH_OPENINGS = ((13, 14), (82, 87), (312, 317), (61, 291))


@dataclass(frozen=True, eq=False)
class Faces:
    """Labelled faces, upright and of one size.

    Attributes:
        images: (N, 320, 320, 3) uint8.
        points: (N, 478, 3) float32 landmarks in their pixels.
        names: (N) source picture or clip of each; equal names count as one person.
    """

    images: Tensor
    points: Tensor
    names: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the faces as safetensors."""
        from safetensors.torch import save_file

        tensors = {"images": self.images, "points": self.points}
        save_file(tensors, path, metadata={"names": json.dumps(self.names)})

    @classmethod
    def load(cls, path: Path) -> "Faces":
        """Faces written by `save`."""
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            names = json.loads((file.metadata() or {})["names"])
            return cls(file.get_tensor("images"), file.get_tensor("points"), tuple(names))

    def weights(self) -> Tensor:
        """Sampling weights (N,): the total of a name is proportional to the square root of its number of frames."""
        counts = torch.tensor([self.names.count(name) for name in self.names], dtype=torch.float32)
        return counts.rsqrt()


@dataclass(frozen=True)
class Task:
    """Landmarks, crop and augmentation of one network.

    Attributes:
        points: indices of its landmarks.
        framed: landmarks with their mean (for the whole face, the middle of their box) at the crop's middle.
        share: side of the crop over the larger side of the face's box.
        size: pixels a side of the crop.
        turn: standard deviation of the random roll, degrees.
        zoom: standard deviation of the logarithm of the random scale.
        shift: standard deviation of the random offset, in sides of the crop.
        openings: pairs of its landmarks with distances that are in the loss too.
        warp: deforms stored points (B, 478, 3) and sampling positions (B, h, w, 2), as eye motion does.
    """

    points: tuple[int, ...]
    framed: tuple[int, ...] | None
    share: float
    size: int
    turn: float
    zoom: float
    shift: float
    openings: tuple[tuple[int, int], ...] = ()
    warp: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None

    def middle(self, points: Tensor) -> Tensor:
        """Middle of the crop (B, 2) in stored pixels, for faces (B, 478, 3)."""
        if self.framed is None:
            box = points[:, :468, :2]
            return (box.amin(1) + box.amax(1)) / 2
        return points[:, list(self.framed), :2].mean(1)


def moved_eye(points: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Points and sampling positions deformed by random blinks and glances of the picture's left eye.

    A blink stretches the lid's skin down over a fixed eyeball; a glance shifts the iris within the lids.
    """
    count = len(points)
    blink = torch.rand(count, 1) * (torch.rand(count, 1) < 0.35)
    radius = (points[:, 469, :2] - points[:, 471, :2]).norm(dim=-1, keepdim=True) / 2
    glance = torch.randn(count, 2) * radius * torch.tensor([0.45, 0.25]) * (torch.rand(count, 1) < 0.6)
    upper, lower = _lid(points, UPPER_LID), _lid(points, (33, *LOWER_LID, 133))
    x, y = places.flatten(1, 2).unbind(-1)
    return (
        _moved_points(points, upper, lower, blink, glance),
        _looked_up(x, y, points[:, 468, :2], radius, upper, lower, blink, glance).view_as(places),
    )


def _lid(points: Tensor, lid: tuple[int, ...]) -> Tensor:
    """Coefficients (B, 3) of the parabola y(x) through a lid's points."""
    x, y, _ = points[:, list(lid)].unbind(-1)
    return torch.linalg.lstsq(_powers(x), y[..., None]).solution[..., 0]


def _powers(x: Tensor) -> Tensor:
    return torch.stack([torch.ones_like(x), x / STORED_SIZE, (x / STORED_SIZE) ** 2], -1)


def _height(lid: Tensor, x: Tensor) -> Tensor:
    return (_powers(x) @ lid[..., None])[..., 0]


def _moved_points(points: Tensor, upper: Tensor, lower: Tensor, blink: Tensor, glance: Tensor) -> Tensor:
    moved = points.clone()
    x = points[:, list(UPPER_LID), 0]
    moved[:, list(UPPER_LID), 1] += blink * (_height(lower, x) - _height(upper, x)).clamp(min=0)
    moved[:, list(IRIS), :2] += glance[:, None]
    return moved


def _looked_up(
    x: Tensor, y: Tensor, iris: Tensor, radius: Tensor, upper: Tensor, lower: Tensor, blink: Tensor, glance: Tensor
) -> Tensor:
    """Sampling positions (B, n, 2) in the stored picture for positions x, y (B, n) of the deformed eye."""
    top, bottom = _height(upper, x), _height(lower, x)
    lid = top + blink * (bottom - top).clamp(min=0)
    fold = top - 2.5 * radius
    stretched = fold + (y - fold) * (top - fold) / (lid - fold)
    seen_y = torch.where((y > fold) & (y < lid), stretched, y)
    inside = torch.sigmoid(2 * (seen_y - top)) * torch.sigmoid(2 * (bottom - seen_y))
    seen = torch.stack([x, seen_y], -1)
    far = (seen - (iris + glance)[:, None]).norm(dim=-1) / (1.9 * radius)
    return seen - glance[:, None] * (torch.exp(-(far**4)) * inside)[..., None]


FACE = Task(tuple(range(LANDMARKS)), None, MARGIN, SIZE, turn=11, zoom=0.10, shift=0.055)


def _task(part: Part, openings: tuple[tuple[int, int], ...], warp: Callable | None = None) -> Task:
    return Task(part.points, part.framed, part.share, part.size, 6, 0.08, 0.05, openings, warp)


TASKS = {"face": FACE, "eye": _task(EYE, EYE_OPENINGS, moved_eye), "mouth": _task(MOUTH, MOUTH_OPENINGS)}
PARTS = {"eye": EYE, "mouth": MOUTH}


def views(faces: Faces, rows: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Randomly augmented crops (B, 3, size, size) of the given faces, and their landmarks (B, points, 3)."""
    points, flip = faces.points[rows], torch.rand(len(rows)) < 0.5
    points = torch.where(flip[:, None, None], mirror(points, STORED_SIZE), points)
    linear, corner = _random_maps(task, task.middle(points))
    fine = max(1, round(FACE_SIZE * task.share / task.size))
    places = _pixels(task.size, fine) @ linear.mT[:, None] + corner[:, None, None]
    if task.warp is not None:
        points, places = task.warp(points, places)
    x, y = places.unbind(-1)
    x = torch.where(flip[:, None, None], STORED_SIZE - 1 - x, x)
    crops = F.avg_pool2d(_read(faces.images, rows, x, y), fine)
    return varied_colours(crops), _in_crop(points[:, list(task.points)], linear, corner)


def _read(images: Tensor, rows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear samples (B, 3, h, w) in 0…1 of the given rows of images (N, S, S, 3) uint8, at x, y (B, h, w).

    Only sampled pixels are converted to float, which takes a third of grid_sample's time here.
    """
    limit = STORED_SIZE - 1.001
    x, y = x.clamp(0, limit), y.clamp(0, limit)
    left, top = x.long(), y.long()
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    row = rows[:, None, None]
    upper, lower = (
        torch.lerp(images[row, line, left].float(), images[row, line, left + 1].float(), right_share)
        for line in (top, top + 1)
    )
    return torch.lerp(upper, lower, lower_share).permute(0, 3, 1, 2) / 255


def _random_maps(task: Task, middle: Tensor) -> tuple[Tensor, Tensor]:
    """Affine maps from crop to stored pixels: linear (B, 2, 2) and offset (B, 2)."""
    count = len(middle)
    turn = torch.deg2rad((torch.randn(count) * task.turn).clamp(-35, 35))
    side = FACE_SIZE * task.share * torch.exp(torch.randn(count) * task.zoom)
    cosine, sine = turn.cos(), turn.sin()
    rotation = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    stretch = torch.exp(torch.randn(count, 1, 1) * 0.04 * torch.tensor([1.0, -1.0]))
    linear = rotation * stretch * (side / task.size)[:, None, None]
    shift = torch.randn(count, 2) * task.shift * side[:, None]
    return linear, middle + shift - linear @ torch.full((2,), task.size / 2)


def _pixels(size: int, fine: int) -> Tensor:
    """Crop positions (size · fine, size · fine, 2): centres of subpixels of side 1 / fine."""
    places = (torch.arange(size * fine) + 0.5) / fine - 0.5
    y, x = torch.meshgrid(places, places, indexing="ij")
    return torch.stack([x, y], -1)


def _in_crop(points: Tensor, linear: Tensor, corner: Tensor) -> Tensor:
    """Stored landmarks (B, n, 3) in crop pixels."""
    flat = (points[..., :2] - corner[:, None]) @ torch.linalg.inv(linear).mT
    depth = points[..., 2:] / torch.linalg.det(linear).sqrt()[:, None, None]
    return torch.cat([flat, depth], -1)


def varied_colours(crops: Tensor) -> Tensor:
    """Crops (B, 3, n, n) with random light, colours, blur, noise and occlusion."""
    count, _, _, size = crops.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, *[1] * (3 - len(shape)))

    def some(share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1) < share

    crops = crops.clamp(0, 1) ** torch.exp(0.25 * normal())
    crops = crops * torch.exp(0.12 * normal(3)) + 0.05 * normal()
    crops = torch.where(some(0.2), crops.mean(1, keepdim=True).expand_as(crops), crops)
    coarse = F.avg_pool2d(crops, 3, 1, 1, count_include_pad=False)
    crops = torch.lerp(crops, coarse, torch.rand(count, 1, 1, 1) * some(0.4))
    ramp = torch.linspace(-1, 1, size)
    light = 1 + 0.25 * (normal() * ramp[None, None, None, :] + normal() * ramp[None, None, :, None])
    crops = torch.where(some(0.3), crops * light, crops)
    crops = crops + torch.randn_like(crops) * 0.06 * torch.rand(count, 1, 1, 1) * some(0.5)
    return torch.where(some(0.3) & _random_square(count, size), torch.rand(count, 3, 1, 1), crops).clamp(0, 1)


def _random_square(count: int, size: int) -> Tensor:
    """Masks (B, 1, n, n) of a random square that occludes the face."""
    place = torch.arange(size)
    middle, reach = torch.randint(0, size, (count, 2, 1)), torch.randint(size // 20, size // 5, (count, 1, 1))
    inside = (place - middle).abs() < reach
    return (inside[:, 0, None, :] & inside[:, 1, :, None])[:, None]


def new_network(name: str, faces: Faces, rows: Tensor) -> LandmarkNet | PartNet:
    """An untrained network with its mean (and basis) set from augmented views of the faces."""
    task = TASKS[name]
    repeats = 3 if name == "face" else 1
    shapes = torch.cat([views(faces, part, task)[1] for _ in range(repeats) for part in rows.split(256)])
    if name != "face":
        part_network = PartNet(PARTS[name], normalised=True)
        part_network.mean.copy_(shapes[..., :2].mean(0))
        return part_network
    network = LandmarkNet(normalised=True)
    mean = shapes.mean(0)
    _, singular, axes = torch.linalg.svd((shapes - mean).flatten(1), full_matrices=False)
    deviations = singular[:COMPONENTS, None] / math.sqrt(len(shapes))
    kept = (axes[:COMPONENTS] * deviations).view(-1, LANDMARKS, 3)
    network.mean.copy_(mean)
    network.basis[: len(kept)] = kept
    return network


def loss(task: Task, found: Tensor, wanted: Tensor) -> Tensor:
    """Charbonnier loss of landmarks (B, points, 2 or 3) and of the openings among them."""
    dimensions = found.shape[-1]
    importance = found.new_tensor([1.0, 1.0, DEPTH_WEIGHT][:dimensions]) * _importance(task)
    points = (_smooth(found - wanted[..., :dimensions]) * importance).mean()
    if not task.openings:
        return points
    upper, lower = ([task.points.index(pair[end]) for pair in task.openings] for end in (0, 1))
    opening = [(shape[:, upper, :2] - shape[:, lower, :2]).norm(dim=-1) for shape in (found, wanted)]
    return points + OPENING_WEIGHT * _smooth(opening[0] - opening[1]).mean()


def _smooth(error: Tensor) -> Tensor:
    return torch.sqrt(error.square() + SMOOTHNESS**2)


def _importance(task: Task) -> Tensor:
    """Weights (points, 1) of the loss: larger for irises, and in the whole face for lips and lids."""
    closer = set(range(468, LANDMARKS))
    if len(task.points) == LANDMARKS:
        closer |= {*OUTER_LIPS, *INNER_LIPS, *UPPER_LID, *LOWER_LID}
    return torch.tensor([[CLOSER_LOOK if point in closer else 1.0] for point in task.points])


def train(name: str, faces: Faces, steps: int, batch: int = 32, rate: float = 4e-3) -> LandmarkNet | PartNet:
    """The network `name` (face, eye or mouth), trained on labelled faces, with batch norm not folded."""
    task, weights = TASKS[name], faces.weights()
    network = new_network(name, faces, torch.arange(len(weights)))
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.1)
    for step in range(steps):
        crops, wanted = views(faces, torch.multinomial(weights, batch, replacement=True), task)
        error = loss(task, network.train()(crops), wanted)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 199 or step == steps - 1:
            sys.stderr.write(f"{name} step {step + 1} of {steps}: loss {error.item():.3f}\n")
    return network


def save_network(network: LandmarkNet | PartNet, path: Path) -> None:
    """Write a trained network in the shipped form: folded, fp16 except the mean."""
    state = folded(network).state_dict()
    stored = {key: value if key == "mean" else value.half() for key, value in state.items()}
    save_tensors(path, stored, {"licence": "MIT", "provenance": PROVENANCE})


def label(sources: Sequence[Path]) -> Faces:
    """Faces of pictures and clips, labelled by MediaPipe; sources without a face are skipped."""
    from .mediapipe_finder import MediapipeFinder

    finder, images, points, names = MediapipeFinder(), [], [], []
    for source in sources:
        for picture in _pictures(source):
            for face in finder.find(picture)[:1]:
                to_picture = FaceBox.of(face.landmarks).to_picture(STORED_SIZE, STORED_MARGIN)
                images.append((cut(picture, to_picture, STORED_SIZE).image * 255).round().to(torch.uint8))
                linear, corner = to_picture[None, :, :2], to_picture[None, :, 2]
                points.append(_in_crop(face.landmarks[None], linear, corner)[0])
                names.append(source.stem)
    if not images:
        raise ValueError(f"No face was found in any of the {len(sources)} sources.")
    return Faces(torch.stack(images), torch.stack(points), tuple(names))


def _pictures(source: Path) -> Iterator[Tensor]:
    """Pictures (H, W, 3) in 0…1: a still, or evenly spaced frames of a clip."""
    import av

    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        step = max(1, stream.frames // FRAMES_PER_CLIP)
        for index, frame in enumerate(container.decode(stream)):
            if index % step == 0:
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).float() / 255


def main(arguments: Iterable[str] | None = None) -> None:
    """Run the command line described at the top."""
    parser = argparse.ArgumentParser(description="Label faces with mediapipe, or train a landmark net.")
    commands = parser.add_subparsers(dest="command", required=True)
    labelling = commands.add_parser("label", help="pictures and clips to labelled faces")
    labelling.add_argument("sources", nargs="+", type=Path)
    training = commands.add_parser("train", help="labelled faces to a network")
    training.add_argument("name", choices=sorted(TASKS))
    training.add_argument("faces", type=Path)
    training.add_argument("--steps", type=int, default=5000)
    training.add_argument("--seed", type=int, default=0)
    for command in (labelling, training):
        command.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.command == "label":
        label(options.sources).save(options.output)
        return
    torch.manual_seed(options.seed)
    save_network(train(options.name, Faces.load(options.faces), options.steps), options.output)


if __name__ == "__main__":
    main()
