"""The published networks of the diffusion generator: their registry entries, and loading from models folders."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from ...lp_core.compute.compute import ON_CPU, Compute
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.weights.registry import PublishedFile, check, first_file, hub_entry, lacking, whole_files
from ..speech.encoder import FPS, SpeechEncoder, speech_encoder
from ..steering.style import Style, motion_statistics
from .checkpoints import DiffusionModel, load_diffusion, load_style_encoder
from .normalise import JoyvasaSpace
from .style_encoder import StyleEncoder
from .template import load_joyvasa_space

# The commit is the one that several public projects pin; none of them gives a size or a checksum, so these are
# read from the Hub while downloading.
_JOYVASA = ("jdh-algo/JoyVASA", "b8f13fe9c23679c56f21b1baafb92ed00dc087c3")


MOTION_GENERATOR = hub_entry(
    "joyvasa",
    "motion_generator",
    "JoyVASA: speech to motion, with its own speech encoder inside",
    "MIT",
    PublishedFile(*_JOYVASA, "motion_generator/motion_generator_hubert_chinese.pt"),
    folder="JoyVASA",
    others=("motion_generator_hubert_chinese.safetensors",),
)
MOTION_TEMPLATE = hub_entry(
    "joyvasa",
    "motion_template",
    "JoyVASA: what the numbers of its motion mean",
    "MIT",
    PublishedFile(*_JOYVASA, "motion_template/motion_template.pkl"),
    folder="JoyVASA",
)
DIFFUSION = (MOTION_GENERATOR, MOTION_TEMPLATE)
"""Weight files of the diffusion generator."""

STYLE_ENCODERS = ("style_encoder.safetensors", "style_encoder.pt")
"""Path of a style encoder of LivePortrait motion in a models folder; none is published."""


def unusable_weights(folders: Sequence[Path]) -> str:
    """A phrase that names the weight files missing or damaged in the models folders; empty when all are present."""
    return lacking(DIFFUSION, folders)


def load_installed(
    folders: Sequence[Path], compute: Compute = ON_CPU
) -> tuple[DiffusionModel, SpeechEncoder, JoyvasaSpace]:
    """The denoiser, its speech encoder and its motion space; cached for later calls.

    Args:
        folders: models folders, best first.
        compute: device and placement of the networks, precision of the speech encoder.

    Raises:
        FileNotFoundError: a file is missing or damaged; the message names each.
        CheckpointError: a file holds another network than its name says.
        ValueError: the motion generator's file has no speech encoder.
    """
    advice = (
        f"Download them from https://huggingface.co/{_JOYVASA[0]}, or choose the motion `procedural`, which needs "
        "none."
    )
    generator, template = whole_files(DIFFUSION, folders, "The diffusion generator's", advice)
    return _loaded(generator, template, compute)


def installed_style_encoder(folders: Sequence[Path]) -> tuple[StyleEncoder, JoyvasaSpace] | None:
    """A style encoder of LivePortrait motion and its motion space; None when none is installed.

    Raises:
        FileNotFoundError: it is present, but the motion template that it needs is not.
        ValueError: it encodes motion of another space.
    """
    path = first_file(folders, STYLE_ENCODERS)
    if path is None:
        return None
    unusable = lacking((MOTION_TEMPLATE,), folders)
    if unusable:
        raise FileNotFoundError(f"The style encoder {path} needs JoyVASA's motion template, but {unusable}.")
    encoder, space = load_style_encoder(path), load_joyvasa_space(str(check(MOTION_TEMPLATE, folders).path))
    if encoder.layout.motion_dims != space.dims:
        raise ValueError(
            f"The style encoder {path} takes {encoder.layout.motion_dims} numbers per frame, such as FLAME's; "
            f"LivePortrait's motion has {space.dims}. Take it out of the folder to use statistics instead."
        )
    return encoder, space


def installed_style(motion: MotionSequence, folders: Sequence[Path], strength: float = 1.0) -> Style:
    """The style of a motion of at least a second: its statistics, and a code when a style encoder is installed.

    Raises:
        ValueError: the motion is shorter than a second, or the style encoder is not of LivePortrait motion.
    """
    statistics, found = motion_statistics(motion), installed_style_encoder(folders)
    if found is None:
        return Style(statistics=statistics, strength=strength)
    encoder, space = found
    timed = motion.resampled(FPS)
    # Measured from the networks' mean face, whatever the motion's own rest frame.
    centred = replace(timed, expression=timed.expression - timed.rest.expression + space.rest_expression)
    return Style(encoder.encode(space.normalised(centred)), statistics, strength)


@lru_cache(maxsize=1)
def _loaded(generator: str, template: str, compute: Compute) -> tuple[DiffusionModel, SpeechEncoder, JoyvasaSpace]:
    model = load_diffusion(generator)
    if not model.encoder:
        raise ValueError(f"{generator} carries no speech encoder (audio_encoder.*); use the published file.")
    speech = model.card.speech
    encoder = speech_encoder(model.encoder, speech.encoder, speech.heads or None, compute)
    model = replace(model, ensure_loaded=compute.placed(model.denoiser))
    return model, encoder, load_joyvasa_space(template)
