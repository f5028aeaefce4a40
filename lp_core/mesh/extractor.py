"""Motion extraction without network weights: landmarks, measured in the face frame, converted to controls.

Convention: rotation, scale and translation are those of mesh.renderer.rest_frame, in one fixed crop over the whole
clip, as LivePortrait's driving crop is (its spec, section 5): the neck is the origin of rotations.
"""

from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ..faces.crop import CROP_SIZE, CropOptions, invert_affine, steady_crop
from ..faces.face_model import FacePose, face_model, fit_pose
from ..faces.faces import FaceFinder
from ..faces.finder import UPRIGHT, BuiltinFinder
from ..faces.tracking import track
from ..motion.controls import Controls, to_expression
from ..motion.keypoints import rotation_degrees
from ..motion.retarget import calmest_frame
from ..motion.sequence import MotionFrame, MotionSequence
from ..motion.smoothers import gaussian
from ..render.extractor import ClipPictures, Extraction, MotionExtractor
from .measures import MEASURES, controls_of_measures, measure
from .renderer import UNITS_PER_EYE_DISTANCE
from .rig import NECK

DRIVER_FRAMING = CropOptions(scale=2.2, shift_y=-0.1, upright=False)
SMOOTHING = 0.028  # seconds, standard deviation of the Gaussian over landmarks

OPEN_EYE = 0.8  # quantile of a clip's eye openings that defines an open eye

WINK = 0.5  # difference of the two eyes' blinks from which it is kept; below half of it both are averaged
CLOSED = 0.4  # blink from which the gaze is not visible

GAP = MEASURES.index("gap")
EYES = [MEASURES.index("eye_left"), MEASURES.index("eye_right")]
GAZE = [MEASURES.index("gaze_x"), MEASURES.index("gaze_y")]


class LandmarkExtractor(MotionExtractor):
    """Extracts motion from clips by landmark tracking; of the frames only the landmarks are kept.

    Args:
        finder: face finder for the start of tracking; the built-in finder, for upright and tilted faces, when
            None.
    """

    def __init__(self, finder: FaceFinder | None = None) -> None:
        self.finder = finder or BuiltinFinder(UPRIGHT)

    def _extracted(self, clip: ClipPictures, fps: Fraction, neutral: int | None) -> Extraction:
        seen = list(track(iter(clip), self.finder))
        faceless = clip.check(seen, neutral)
        landmarks = gaussian(filled(seen), SMOOTHING * float(fps))
        motion, chosen = motion_of(landmarks, fps, neutral)
        return Extraction(motion, chosen, faceless)


def filled(seen: list[Tensor | None]) -> Tensor:
    """Landmarks (T, 478, 3), interpolated linearly over frames without any, and held at the ends."""
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

    The motion of a single picture, unless `neutral` is given, is relative to a neutral mean face that looks ahead;
    then there is no neutral frame, and the index is None.
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
    """The frame nearest to rest, of measures (T, 16) and rotations (T, 3) in degrees; see `calmest_frame`."""
    from_any, _ = expressions(measures, usual_measures(measures, 0))
    return calmest_frame(from_any, degrees)


def usual_measures(measures: Tensor, neutral: int) -> Tensor:
    """The rest measures (16,) of a clip's face, from measures (T, 16).

    Mouth and brows as in the neutral frame, eyes as usually open, and the usual gaze.
    """
    usual = measures[neutral].clone()
    usual[EYES] = measures[:, EYES].quantile(OPEN_EYE, dim=0)
    usual[GAZE] = measures[:, GAZE].median(0).values
    return usual


def calm_measures() -> Tensor:
    """The measures (16,) of the mean face with its mouth closed."""
    calm = measure(face_model().mean[None])[0]
    calm[GAP] = 0.0
    return calm


def expressions(measures: Tensor, usual: Tensor) -> tuple[Tensor, Tensor]:
    """Expressions (T, 21, 3) of measures (T, 16), and the rest expression (21, 3) of the usual measures (16,).

    The mouth's opening at rest is encoded as the renderer does for a portrait.
    """
    controls = _cleaned(controls_of_measures(measures - usual, usual[EYES]))
    opened = usual[GAP] - measure(face_model().mean[None])[0, GAP]
    at_rest = to_expression(Controls.still(1, jaw=opened[None]))
    return to_expression(controls) + at_rest, at_rest[0]


def _cleaned(controls: Controls) -> Controls:
    """The controls with equal blinks of both eyes unless they clearly differ, and no gaze behind closed lids."""
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
    """Values (T,) interpolated over frames that are not `known`; zero when none is."""
    if not known.any():
        return torch.zeros_like(values)
    return filled([value.view(1, 1) if sure else None for value, sure in zip(values, known, strict=True)])[:, 0, 0]


def in_driver_crop(pose: FacePose, landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Scale (T, 1) and translation (T, 3) of poses, in the one crop of the whole clip."""
    to_picture = steady_crop(list(landmarks), DRIVER_FRAMING)
    to_crop, half = invert_affine(to_picture), CROP_SIZE / 2
    pixel = torch.linalg.det(to_crop[:, :2]).sqrt()
    neck = pose.to_picture(landmarks.new_tensor(NECK).expand(len(landmarks), 1, 3))[:, 0]
    places = neck[:, :2] @ to_crop[:, :2].T + to_crop[:, 2]
    translation = torch.cat([(places - (half - 0.5)) / half, torch.zeros_like(neck[:, 2:])], 1)
    return pose.scale[:, None] * pixel / half * UNITS_PER_EYE_DISTANCE, translation
