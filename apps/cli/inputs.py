"""What the arguments name: a portrait, a generator, a style, options of motion and drawing."""

import argparse
from pathlib import Path

from torch import Tensor

from ...diffpose.diffusion.installed import installed_style
from ...diffpose.diffusion.samplers import Guidance, SampleOptions
from ...diffpose.generator import MotionGenerator, MotionOptions, choose_generator
from ...diffpose.steering.style import Style
from ...diffpose.talker.driver import TalkerOptions
from ...diffpose.talker.installed import person_of
from ...lp_core.choice import choose_renderer
from ...lp_core.compute.compute import Compute
from ...lp_core.faces.faces import BoxFinder, Face, NoFaceError
from ...lp_core.faces.search import find_faces
from ...lp_core.media.files import appearing_whole
from ...lp_core.media.picture import limited, load_picture
from ...lp_core.media.video import read_video
from ...lp_core.mesh.extractor import LandmarkExtractor
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.render.portrait import Portrait, RenderOptions
from ...lp_core.weights.folders import models_folders
from .arguments import DEFAULT_OUTPUT

USUAL_FPS = 25


def portrait_of(given: argparse.Namespace) -> Portrait:
    """The portrait of the chosen face, by the chosen renderer."""
    whole = load_picture(given.portrait)
    picture = limited(whole, given.max_side)
    face = _face(given, picture, len(picture) / len(whole))
    drawn_by = "liveportrait" if given.animal and given.renderer == "auto" else given.renderer
    folders = models_folders("liveportrait", given.models)
    return choose_renderer(drawn_by, compute_of(given), folders, given.animal).portrait(picture, face)


def compute_of(given: argparse.Namespace) -> Compute:
    """The device, precision and acceleration that the arguments give."""
    return Compute(given.device, given.precision, given.accelerate)


def _face(given: argparse.Namespace, picture: Tensor, shrunk: float) -> Face:
    """The face that is meant, in pixels of a picture that was shrunk by a factor."""
    if given.animal and given.box is None:
        raise ValueError("An animal's face is not looked for; say where it is: --box LEFT TOP RIGHT BOTTOM.")
    left, top, right, bottom = (value * shrunk for value in given.box or (0, 0, 0, 0))
    box = (left, top, right, bottom) if given.box else None
    try:
        faces = find_faces(picture, BoxFinder() if given.animal else None, box)
    except NoFaceError as error:
        seen = _save_beside(given.output or DEFAULT_OUTPUT, error.looked_at)
        raise ValueError(f"{error} What was looked at: {seen}") from error
    return _chosen(faces, given.face)


def _chosen(faces: tuple[Face, ...], index: int) -> Face:
    if not 0 <= index < len(faces):
        raise ValueError(
            f"There is no face {index}: the picture has {len(faces)}, counted from 0, the largest first."
        )
    return faces[index]


def _save_beside(output: Path, picture: Tensor) -> Path:
    """Keep the picture that was searched beside where the video would have been."""
    from PIL import Image

    place = output.with_suffix(".no_face.png")
    with appearing_whole(place) as part:
        Image.fromarray((picture * 255).round().byte().cpu().numpy()).save(part)
    return place


def generator_of(
    given: argparse.Namespace, picture: Tensor, landmarks: Tensor, portrait: Portrait | None = None
) -> MotionGenerator:
    """The generator that is wanted, for the face with landmarks (478, 3) in a picture."""
    folders, talker = models_folders("diffpose", given.models), None
    if given.motion == "talker":
        person = None if given.animal else person_of(picture, landmarks, folders)
        talker = TalkerOptions(given.talker_window, given.lip_reference, person=person)
    sampling = SampleOptions(steps=given.steps, guidance=Guidance(given.audio_guidance, given.style_guidance))
    return choose_generator(given.motion, compute_of(given), folders, sampling, talker, portrait=portrait)


def style_of(path: Path | None, folders: tuple[Path, ...]) -> Style | None:
    """The style in a file, or the manner of a clip's face."""
    if path is None:
        return None
    if path.suffix == ".safetensors":
        return Style.load(path)
    return installed_style(clip_motion(path), folders)


def clip_motion(path: Path) -> MotionSequence:
    """The motion of the face in a clip."""
    clip = read_video(path)
    return LandmarkExtractor().extract(clip.frames(), clip.fps).motion


def motion_options(given: argparse.Namespace) -> MotionOptions:
    """The options of motion that the arguments give."""
    return MotionOptions(
        lips=given.lips,
        brows=given.brows,
        head=given.head,
        blinks=given.blinks,
        gaze=given.gaze,
        pose=given.pose,
        lip_lead_ms=given.lip_lead,
        lips_only=given.lips_only,
        expression=given.expression,
        subtle=given.subtle,
        mood=given.mood,
        mood_strength=given.mood_strength,
        look=given.look,
    )


def render_options(given: argparse.Namespace) -> RenderOptions:
    """The options of drawing that the arguments give."""
    return RenderOptions(
        batch_size=given.batch,
        paste_back=not given.crop,
        relative=not given.absolute,
        regions=tuple(given.regions),
        multiplier=given.multiplier,
        stitching=not given.no_stitching,
        close_mouth=given.close_mouth,
    )
