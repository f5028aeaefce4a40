"""Motion from a clip without weights to download: landmarks, measured in the face's own frame, named as controls.

Convention: rotation, scale and translation are those of mesh.renderer.rest_frame, in one fixed crop over the whole
clip, as LivePortrait's driving crop is (its spec, section 5): the neck is the origin that a rotation turns about.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ..faces.crop import CROP_SIZE, CropOptions, crop_to_picture, invert_affine
from ..faces.face_model import FacePose, face_model, fit_pose
from ..faces.faces import FaceFinder, NoFaceError
from ..faces.finder import UPRIGHT, BuiltinFinder
from ..faces.tracking import track
from ..media.rates import frame_rate
from ..motion.controls import Controls, to_expression
from ..motion.keypoints import rotation_degrees
from ..motion.sequence import MotionFrame, MotionSequence
from ..motion.smoothers import gaussian
from ..render.extractor import Extraction
from .measures import MEASURES, controls_of_measures, measure
from .renderer import UNITS_PER_EYE_DISTANCE
from .rig import NECK

DRIVER_FRAMING = CropOptions(scale=2.2, shift_y=-0.1, upright=False)
SMOOTHING = 0.028  # seconds, standard deviation of the Gaussian over landmarks

# What counts as one step away from rest when the neutral frame is chosen, in eye distances and degrees.
GAP_STEP, WIDTH_STEP, EYE_STEP, TURN_STEP = 0.05, 0.03, 0.03, 10.0
OPEN_EYE = 0.8  # the quantile of a clip's eye openings that counts as open

WINK = 0.5  # difference of the two eyes' blinks from which it is believed; below half of it, both blink alike
CLOSED = 0.4  # blink from which the gaze cannot be seen

GAP, WIDTH = MEASURES.index("gap"), MEASURES.index("width")
EYES = [MEASURES.index("eye_left"), MEASURES.index("eye_right")]
GAZE = [MEASURES.index("gaze_x"), MEASURES.index("gaze_y")]


class LandmarkExtractor:
    """Reads motion from clips by tracking landmarks (implements lp_core.extractor.MotionExtractor).

    Args:
        finder: who finds the face before it is tracked; the built-in finder, for upright and tilted
            faces, when None.
    """

    def __init__(self, finder: FaceFinder | None = None) -> None:
        self.finder = finder or BuiltinFinder(UPRIGHT)

    def extract(
        self,
        frames: Iterable[Tensor],
        fps: float | Fraction,
        neutral: int | None = None,
        on_frames: Callable[[int], None] | None = None,
    ) -> Extraction:
        """The motion of the face in a clip; see lp_core.extractor.MotionExtractor.

        Of the frames only their landmarks are kept, so memory does not grow with the pictures.
        """
        rate = frame_rate(fps)
        clip = _Clip(frames, on_frames)
        seen = list(track(clip.pictures(), self.finder))
        if neutral is not None and not 0 <= neutral < len(seen):
            raise ValueError(f"The neutral frame {neutral} is outside the clip's frames 0 … {len(seen) - 1}.")
        if clip.first is None:
            raise ValueError("The driving clip has no frames.")
        faceless = tuple(index for index, landmarks in enumerate(seen) if landmarks is None)
        if len(faceless) == len(seen):
            raise NoFaceError(f"No face was found in any of the clip's {len(seen)} frames.", clip.first)
        landmarks = gaussian(filled(seen), SMOOTHING * float(rate))
        motion, chosen = motion_of(landmarks, rate, neutral)
        return Extraction(motion, chosen, faceless)


class _Clip:
    """The pictures of a clip one by one, its first kept for an error's sake."""

    def __init__(self, frames: Iterable[Tensor], on_frames: Callable[[int], None] | None) -> None:
        self._frames, self._on_frames = frames, on_frames
        self.first: Tensor | None = None

    def pictures(self) -> Iterator[Tensor]:
        for batch in self._frames:
            if batch.ndim != 4 or batch.shape[-1] != 3:
                raise ValueError(f"Frames come as batches (B, H, W, 3); got {tuple(batch.shape)}.")
            self.first = batch[0] if self.first is None else self.first
            yield from batch
            if self._on_frames is not None:
                self._on_frames(len(batch))


def filled(seen: list[Tensor | None]) -> Tensor:
    """Landmarks (T, 478, 3): where there are none, interpolated between the neighbours, held at the ends."""
    known = [index for index, landmarks in enumerate(seen) if landmarks is not None]
    points = torch.stack([landmarks for landmarks in seen if landmarks is not None])
    places = torch.arange(len(seen), dtype=torch.float32)
    after = torch.searchsorted(torch.tensor(known), torch.arange(len(seen))).clamp(max=len(known) - 1)
    before = torch.where(torch.tensor(known)[after] <= places, after, (after - 1).clamp(min=0))
    start, end = torch.tensor(known)[before], torch.tensor(known)[after]
    share = ((places - start) / (end - start).clamp(min=1)).clamp(0, 1)
    return torch.lerp(points[before], points[after], share[:, None, None])


def motion_of(landmarks: Tensor, fps: Fraction, neutral: int | None = None) -> tuple[MotionSequence, int | None]:
    """The motion of tracked landmarks (T, 478, 3) in picture pixels, and the index of its neutral frame.

    A single picture, unless it is named neutral itself, is measured from a calm mean face that looks ahead; then
    there is no neutral frame, and the index is None.
    """
    pose = fit_pose(landmarks)
    measures = measure(pose.to_face(landmarks))
    degrees = rotation_degrees(pose.rotation)
    scale, translation = in_driver_crop(pose, landmarks)
    if len(landmarks) == 1 and neutral is None:
        expression, at_rest = expressions(measures, calm_measures())
        rest = MotionFrame(at_rest, torch.zeros(3), scale[0], translation[0])
        return MotionSequence(expression, degrees, scale, translation, fps, rest), None
    chosen = neutral_frame(measures, degrees) if neutral is None else neutral
    expression, at_rest = expressions(measures, usual_measures(measures, chosen))
    rest = MotionFrame(at_rest, degrees[chosen], scale[chosen], translation[chosen])
    return MotionSequence(expression, degrees, scale, translation, fps, rest), chosen


def neutral_frame(measures: Tensor, degrees: Tensor) -> int:
    """The frame nearest to rest, of measures (T, 16) and rotations (T, 3) in degrees.

    Mouth closed, width and eyes as usual in the clip, head least turned from how it is usually held.
    """
    eyes = measures[:, EYES].mean(1)
    away = (measures[:, GAP] / GAP_STEP).abs() + (
        (measures[:, WIDTH] - measures[:, WIDTH].median()) / WIDTH_STEP
    ).abs()
    away = away + ((eyes - eyes.median()) / EYE_STEP).abs()
    turned = (degrees - degrees.median(0).values).norm(dim=1)
    return int((away + turned / TURN_STEP).argmin())


def usual_measures(measures: Tensor, neutral: int) -> Tensor:
    """What a clip's face usually measures (16,), of measures (T, 16).

    Mouth and brows as in the neutral frame, eyes as they usually stand open, gaze where it usually goes.
    """
    usual = measures[neutral].clone()
    usual[EYES] = measures[:, EYES].quantile(OPEN_EYE, dim=0)
    usual[GAZE] = measures[:, GAZE].median(0).values
    return usual


def calm_measures() -> Tensor:
    """What the mean face measures (16,) with its mouth closed."""
    calm = measure(face_model().mean[None])[0]
    calm[GAP] = 0.0
    return calm


def expressions(measures: Tensor, usual: Tensor) -> tuple[Tensor, Tensor]:
    """Expressions (T, 21, 3) of measures (T, 16), and that (21, 3) of a face that measures as usual (16,).

    The mouth's own opening at rest is written as the renderer writes a portrait's.
    """
    controls = _cleaned(controls_of_measures(measures - usual, usual[EYES]))
    opened = usual[GAP] - measure(face_model().mean[None])[0, GAP]
    at_rest = to_expression(Controls.still(1, jaw=opened[None]))
    return to_expression(controls) + at_rest, at_rest[0]


def _cleaned(controls: Controls) -> Controls:
    """The controls with both eyes blinking together unless they clearly differ, and no gaze behind closed lids."""
    left, right = controls.blink_left, controls.blink_right
    apart = (2 * (left - right).abs() / WINK - 1).clamp(0, 1)
    together = (left + right) / 2
    seen = torch.maximum(left, right) < CLOSED
    return replace(
        controls,
        blink_left=torch.lerp(together, left, apart),
        blink_right=torch.lerp(together, right, apart),
        pupil_x=_bridged(controls.pupil_x, seen),
        pupil_y=_bridged(controls.pupil_y, seen),
    )


def _bridged(values: Tensor, known: Tensor) -> Tensor:
    """Values (T,) interpolated over frames that are not known; zero when none is."""
    if not known.any():
        return torch.zeros_like(values)
    return filled([value.view(1, 1) if sure else None for value, sure in zip(values, known, strict=True)])[:, 0, 0]


def in_driver_crop(pose: FacePose, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (T, 1) and translation (T, 3) of poses in the crop that frames the face over the whole clip."""
    to_picture = torch.stack([crop_to_picture(points, DRIVER_FRAMING) for points in landmarks]).mean(0)
    to_crop, half = invert_affine(to_picture), CROP_SIZE / 2
    pixel = torch.linalg.det(to_crop[:, :2]).sqrt()
    neck = pose.to_picture(landmarks.new_tensor(NECK).expand(len(landmarks), 1, 3))[:, 0]
    places = neck[:, :2] @ to_crop[:, :2].T + to_crop[:, 2]
    translation = torch.cat([(places - (half - 0.5)) / half, torch.zeros_like(neck[:, 2:])], 1)
    return pose.scale[:, None] * pixel / half * UNITS_PER_EYE_DISTANCE, translation
