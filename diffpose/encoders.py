"""Speech encoders by name, for speakers' banks, generators and learned head poses.

| name | network | features a second | files |
|---|---|---|---|
| mel | the built-in generator's normalised mel spectrum | 100 | none |
| sadtalker | the audio encoder of the light driver | 25 | SadTalker's file |
| hubert | the diffusion generator's own HuBERT | 50 | JoyVASA's files |
| apc | Live Speech Portraits' encoder | 120 | APC_epoch_160.model |
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..lp_core.compute.compute import ON_CPU, Compute
from ..lp_core.liveportrait.checkpoint import build_network
from ..lp_core.media.audio import Audio
from ..lp_core.weights.folders import models_folders
from ..lp_core.weights.registry import first_file, searched
from .container import read_container
from .speech.analysis import analyse
from .speech.encoder import SAMPLE_RATE, SpeechEncoder, at_level
from .speech.manifold import APC_ENCODER, HUBERT_ENCODER, MEL_ENCODER, SADTALKER_ENCODER, Projection

ENCODERS = (MEL_ENCODER, SADTALKER_ENCODER, HUBERT_ENCODER, APC_ENCODER)
APC_FILES = ("APC_epoch_160.model", "lsp/APC_epoch_160.model", "APC_epoch_160.safetensors")


class ProjectedEncoder(SpeechEncoder):
    """A speech encoder with features projected to those of a bank's speaker.

    Args:
        encoder: the speech encoder.
        speaker: projection to the speaker's features.
    """

    def __init__(self, encoder: SpeechEncoder, speaker: Projection) -> None:
        super().__init__(
            encoder.network, encoder.device, lambda _network, _device: encoder.ensure_loaded, encoder.dtype
        )
        self._speaker = speaker

    def handed_on(self, units: Tensor) -> Tensor:
        """See `SpeechEncoder`."""
        return self._speaker.of(units, HUBERT_ENCODER)


@torch.no_grad()
def hear(
    audio: Audio,
    encoder: str,
    folders: Sequence[Path] | None = None,
    compute: Compute = ON_CPU,
) -> Tensor:
    """Speech features (T, C) float32 of a voice from one of ENCODERS.

    Args:
        audio: the voice, any rate and channels.
        encoder: its name.
        folders: models folders with its weights, best first; those of `models_folders` when None.
        compute: device, precision and placement of HuBERT; the others run on the CPU.

    Raises:
        ValueError: the name is unknown, or the sound is too short to encode.
        FileNotFoundError: its weights are missing.
    """
    if encoder not in ENCODERS:
        raise ValueError(f"There is no speech encoder {encoder!r}; choose from {', '.join(ENCODERS)}.")
    samples = audio.mono(SAMPLE_RATE)
    if encoder == MEL_ENCODER:
        return torch.from_numpy(analyse(samples).mels)
    places = models_folders("diffpose") if folders is None else folders
    if encoder == HUBERT_ENCODER:
        return _by_hubert(samples, places, compute)
    return (_by_apc if encoder == APC_ENCODER else _by_sadtalker)(samples, places)


def _by_sadtalker(samples: Tensor, folders: Sequence[Path]) -> Tensor:
    from .talker.installed import installed_expression
    from .talker.spectrum import windows_of

    return installed_expression(folders).audio_encoder(windows_of(samples))


def _by_hubert(samples: Tensor, folders: Sequence[Path], compute: Compute) -> Tensor:
    from .diffusion.installed import load_installed

    model, encoder, _ = load_installed(folders, compute)
    return encoder.utterance_units(at_level(samples[None], model.card.speech.level))[0].cpu()


def _by_apc(samples: Tensor, folders: Sequence[Path]) -> Tensor:
    from .talker.apc import Apc, speech_columns

    path = first_file(folders, APC_FILES)
    if path is None:
        raise FileNotFoundError(
            f"Live Speech Portraits' speech encoder {APC_FILES[0]} is not in {searched(folders)}; copy it there "
            "from the project's data folder."
        )
    # The file also holds the head that predicts future columns in training.
    recurrent = {key: value for key, value in read_container(path).tensors.items() if key.startswith("rnns.")}
    return build_network(recurrent, Apc, source=str(path))(speech_columns(samples))[0]
