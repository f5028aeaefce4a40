"""The portrait, generator and style of the parsed arguments."""

import argparse
from pathlib import Path

from torch import Tensor

from ...diffpose.diffusion.installed import installed_style
from ...diffpose.diffusion.samplers import Guidance, SampleOptions
from ...diffpose.generator import MotionGenerator, choose_generator
from ...diffpose.steering.style import Style
from ...diffpose.talker.driver import TalkerOptions
from ...diffpose.talker.installed import person_of
from ...lp_core.choice import choose_renderer
from ...lp_core.compute.compute import Compute
from ...lp_core.faces.faces import BoxFinder, NoFaceError
from ...lp_core.media.files import appearing_whole
from ...lp_core.media.video import read_video
from ...lp_core.mesh.extractor import LandmarkExtractor
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.render.portrait import Portrait
from ...lp_core.weights.folders import models_folders
from .arguments import DEFAULT_OUTPUT, options_from

USUAL_FPS = 25


def portrait_of(given: argparse.Namespace) -> Portrait:
    """Returns the portrait of the chosen face, prepared by the chosen renderer."""
    if given.animal and given.box is None:
        raise ValueError("An animal's face is not looked for; say where it is: --box LEFT TOP RIGHT BOTTOM.")
    drawn_by = "liveportrait" if given.animal and given.renderer == "auto" else given.renderer
    folders = models_folders("liveportrait", given.models)
    renderer = choose_renderer(drawn_by, options_from(given, Compute), folders, given.animal)
    finder = BoxFinder() if given.animal else None
    try:
        return Portrait.load(given.portrait, renderer, given.face, given.box, finder, given.max_side)
    except NoFaceError as error:
        seen = _save_beside(given.output or DEFAULT_OUTPUT, error.looked_at)
        raise ValueError(f"{error} What was looked at: {seen}") from error


def _save_beside(output: Path, picture: Tensor) -> Path:
    """Saves the searched picture beside the output file; returns its path."""
    from PIL import Image

    place = output.with_suffix(".no_face.png")
    with appearing_whole(place) as part:
        Image.fromarray((picture * 255).round().byte().cpu().numpy()).save(part)
    return place


def generator_of(
    given: argparse.Namespace, picture: Tensor, landmarks: Tensor, portrait: Portrait | None = None
) -> MotionGenerator:
    """Returns the chosen generator, for the face with landmarks (478, 3) in a picture (H, W, 3)."""
    folders, talker = models_folders("diffpose", given.models), None
    if given.motion == "talker":
        person = None if given.animal else person_of(picture, landmarks, folders)
        talker = options_from(given, TalkerOptions, person=person)
    sampling = options_from(given, SampleOptions, guidance=options_from(given, Guidance))
    compute = options_from(given, Compute)
    return choose_generator(given.motion, compute, folders, sampling, talker, portrait=portrait)


def style_of(path: Path | None, folders: tuple[Path, ...]) -> Style | None:
    """Returns the style of a style file, or of the face in a clip; None without a path."""
    if path is None:
        return None
    if path.suffix == ".safetensors":
        return Style.load(path)
    return installed_style(clip_motion(path), folders)


def clip_motion(path: Path) -> MotionSequence:
    """Returns the motion of the face in a clip."""
    clip = read_video(path)
    return LandmarkExtractor().extract(clip.frames(), clip.fps).motion
