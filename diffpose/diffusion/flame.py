"""DiffPoseTalk: a voice to FLAME coefficients, saved as .npz for programs that draw FLAME heads.

LivePortrait cannot draw them: no published network converts between the two. The licences of DiffPoseTalk's weights
and of FLAME allow no commercial use.

    python -m talking_head.diffpose.diffusion.flame denoiser.pt stats_train.npz voice.wav motion.npz
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...lp_core.liveportrait.checkpoint import CheckpointError
from ...lp_core.media.audio import Audio, load_audio
from ...lp_core.media.files import appearing_whole
from ..speech.encoder import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, SpeechEncoder, levelled, speech_encoder
from ..speech.streaming import SpeechFeatures, UtteranceFeatures, WindowedFeatures
from ..steering.style import CODE_SIZE
from .card import check_kind
from .checkpoints import DiffusionModel, load_diffusion
from .normalise import FlameCoefficients, FlameSpace
from .samplers import Guidance, NoiseSource, SampleOptions, seeded_noise
from .windows import Person, WindowedMotion, WindowPlan, trained_plan

AUDIO_GUIDANCE, STYLE_GUIDANCE = 1.15, 3.0  # DiffPoseTalk's defaults


@dataclass(frozen=True, eq=False)
class Speaker:
    """Identity and style of a speaker.

    Attributes:
        shape: (100,) FLAME identity; None is the data's mean.
        style: (128,) code from DiffPoseTalk's style encoder; None is without style.
    """

    shape: Tensor | None = None
    style: Tensor | None = None

    def __post_init__(self) -> None:
        for name, size in (("shape", 100), ("style", CODE_SIZE)):
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != (size,):
                raise ValueError(f"A speaker's {name} is ({size},); got {tuple(value.shape)}.")


class FlameGenerator:
    """Generates FLAME coefficients of a voice, 25 frames a second.

    Args:
        model: a DiffPoseTalk denoiser.
        encoder: its speech encoder.
        space: statistics of its vectors.
        options: sampling of each window; ten steps and DiffPoseTalk's guidance when None.

    Raises:
        ValueError: the denoiser is of another project.
    """

    def __init__(
        self,
        model: DiffusionModel,
        encoder: SpeechEncoder,
        space: FlameSpace,
        options: SampleOptions | None = None,
    ) -> None:
        check_kind(model.card.kind, "diffposetalk", "does not write FLAME coefficients")
        self._model, self._encoder, self._space = model, encoder, space
        self._options = options or SampleOptions(guidance=Guidance(AUDIO_GUIDANCE, STYLE_GUIDANCE))

    def generate(
        self, audio: Audio, speaker: Speaker | None = None, seed: int = 0, draw: NoiseSource | None = None
    ) -> FlameCoefficients:
        """The coefficients of a head that speaks `audio`, one frame for every 40 ms begun.

        Args:
            audio: the voice, any rate and channels.
            speaker: identity and style; the data's mean identity without style when None.
            seed: 0 or more; the same seed gives the same motion.
            draw: source of noise (1, frames of a window, motion dims), used instead of the seed's.
        """
        plan, speaker = trained_plan(self._model), speaker or Speaker()
        noise = draw or seeded_noise(seed, (1, plan.frames, self._model.card.layout.motion_dims))
        features = self._features(audio.mono(SAMPLE_RATE), plan)
        options = self._guided(speaker)
        windows = WindowedMotion(self._model, features, plan, options, noise, self._person(speaker))
        return self._space.coefficients(windows.rest())

    def _features(self, sound: Tensor, plan: WindowPlan) -> SpeechFeatures:
        """Features of the levelled sound, encoded whole or window by window, as in the network's training."""
        level = levelled(sound[None])[0]
        as_is = replace(self._model.card.speech, level="as_is")
        if as_is.scope == "utterance":
            frames = plan.covering(-(-len(level) // SAMPLES_PER_FRAME))
            return UtteranceFeatures(self._encoder, as_is, level, frames)
        features = WindowedFeatures(self._encoder, as_is, plan.frames)
        features.push(level)
        return features

    def _guided(self, speaker: Speaker) -> SampleOptions:
        """The sampling options, with a style guidance of 0 for a speaker without a style."""
        if speaker.style is not None and self._model.card.layout.token.style:
            return self._options
        return self._options.guided_by_style(0.0 if self._model.card.layout.token.style else None)

    def _person(self, speaker: Speaker) -> Person:
        like = self._model.denoiser.audio_map.weight
        shape = self._space.shape_mean if speaker.shape is None else speaker.shape
        width = self._model.card.layout.token.style
        style = torch.zeros(width) if speaker.style is None else speaker.style
        return Person(self._space.normalised_shape(shape)[None].to(like), style[None].to(like) if width else None)


def save_coefficients(coefficients: FlameCoefficients, shape: Tensor, path: str | os.PathLike[str]) -> None:
    """Write exp (T, 50), pose (T, 6) in radians, shape (100,) and fps as .npz, atomically."""
    exp, pose, identity = (value.cpu().numpy() for value in (coefficients.expression, coefficients.pose, shape))
    with appearing_whole(path) as part, part.open("wb") as file:
        np.savez(file, exp=exp, pose=pose, shape=identity, fps=np.float32(FPS))


def load_flame_space(path: str | os.PathLike[str]) -> FlameSpace:
    """The space of DiffPoseTalk's stats_train.npz, read without unpickling anything.

    Raises:
        CheckpointError: the file is missing, damaged, or lacks an entry.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return FlameSpace.from_statistics({name: torch.from_numpy(archive[name]) for name in archive.files})
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise CheckpointError(f"The statistics {path} are not read: {error}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: write the coefficients of a voice."""
    parser = argparse.ArgumentParser(description="A voice to FLAME coefficients, by DiffPoseTalk's networks.")
    parser.add_argument("denoiser", type=Path, help="DiffPoseTalk's denoiser, published or converted")
    parser.add_argument("statistics", type=Path, help="its stats_train.npz")
    parser.add_argument("voice", type=Path, help="a sound file, or a video with sound")
    parser.add_argument("target", type=Path, help="the .npz file to write")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same motion")
    given = parser.parse_args(arguments)
    try:
        model, space = load_diffusion(given.denoiser), load_flame_space(given.statistics)
        encoder = speech_encoder(model.encoder, model.card.speech.encoder, model.card.speech.heads or None)
        made = FlameGenerator(model, encoder, space).generate(load_audio(given.voice), seed=given.seed)
        save_coefficients(made, space.shape_mean, given.target)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
