"""The generator for private weights of hazard-10's DiffLiveHead; offline only: it smooths the whole motion."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ...lp_core.media.audio import Audio
from ...lp_core.motion.sequence import MotionSequence
from ..diffusion.card import check_kind
from ..diffusion.checkpoints import DiffusionModel
from ..diffusion.generator import as_wanted
from ..diffusion.samplers import Guidance, SampleOptions, seeded_noise
from ..diffusion.windows import Person, WindowedMotion, silent_context, trained_plan
from ..motion_generator import MotionGenerator, MotionRequest
from ..speech.encoder import FPS, SAMPLE_RATE, SpeechEncoder
from ..speech.streaming import WindowedFeatures
from .motion import PERIODS, LiveHeadPerson, LiveHeadSpace, finished

GUIDANCE = 1.65  # its demo's 0.65 in the convention used here


class LiveHeadGenerator(MotionGenerator):
    """Motion generator with hazard-10's denoiser.

    The original driver lets the sound run ahead of the motion by 81 samples a window. Windows here are aligned with
    the motion, so the output for a whole clip is not numerically equal to the original's.

    Args:
        model: the denoiser.
        encoder: wav2vec2-base-960h.
        person: the speaker's shape, mouth opening and mean motion.
        options: sampling of each window; ten steps and GUIDANCE when None.

    Raises:
        ValueError: the denoiser is of another project.
    """

    def __init__(
        self,
        model: DiffusionModel,
        encoder: SpeechEncoder,
        person: LiveHeadPerson,
        options: SampleOptions | None = None,
    ) -> None:
        check_kind(model.card.kind, "difflivehead", "is driven by another generator")
        self._model, self._encoder, self._who = model, encoder, person
        wanted = options or SampleOptions(guidance=Guidance(GUIDANCE))
        # The network has no style input to guide.
        self._options = wanted.guided_by_style(None)

    def _generated(self, request: MotionRequest) -> MotionSequence:
        vectors, random = self._vectors(request.audio, request.seed), np.random.default_rng(request.seed)
        noise = torch.from_numpy(random.standard_normal((len(vectors), 2), np.float32))
        shown = finished(vectors, noise, _periods(random))
        motion = LiveHeadSpace(self._who.mean).motion(shown, Fraction(FPS))
        return as_wanted(motion, request, request.gains)

    def _vectors(self, audio: Audio, seed: int) -> Tensor:
        """Generated vectors (T, 25) of a voice."""
        model, plan = self._model, trained_plan(self._model)
        layout = model.card.layout
        features = WindowedFeatures(self._encoder, model.card.speech, layout.context_frames + layout.new_frames)
        windows = WindowedMotion(
            model,
            features,
            plan,
            self._options,
            draw=seeded_noise(seed, (1, plan.frames, layout.motion_dims)),
            person=self._person(),
            silence=silent_context(model, self._encoder),
            centred=True,
        )
        pieces = []
        for sound in audio.mono_pieces(SAMPLE_RATE):
            features.push(sound)
            pieces.append(windows.settled())
        return torch.cat((*pieces, windows.rest()))

    def _person(self) -> Person:
        """The person token's inputs, limited to those in the network's layout."""
        inputs = {
            "shape": self._who.shape,
            "mouth_open_ratio": torch.tensor([self._who.mouth_open_ratio]),
            "mean_expression": self._who.mean,
        }
        like = self._model.denoiser.audio_map.weight
        sizes = self._model.card.layout.token.sizes()
        return Person(**{name: value[None].to(like) for name, value in inputs.items() if name in sizes})


def _periods(random: np.random.Generator) -> Iterator[int]:
    while True:
        yield int(random.integers(PERIODS[0], PERIODS[1] + 1))
