"""The light driver: lip motion of a voice on a CPU, offline or streamed.

Mel windows → ExpNet → MappingNet → six lip keypoints, relative to the networks' output for silence. About 13
million parameters. A frame settles `TalkerOptions.latency` seconds after its moment.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, get_args

import torch
from torch import Tensor

from ...lp_core.media.rates import frame_count
from ...lp_core.motion.edits import shift
from ...lp_core.motion.keypoints import LIPS
from ...lp_core.motion.motion_filter import MAXIMUM_GAIN
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.options import check_options, option
from ..motion_generator import MotionGenerator, MotionRequest
from ..procedural.generator import ProceduralGenerator
from ..speech.manifold import SADTALKER_ENCODER, Projection
from ..speech.streaming import mono
from ..steering.apply import spoken
from .expression import COEFFICIENTS, ExpressionNetwork
from .mapping import CONTEXT_FRAMES, SHORT_WINDOW, TRAINED_WINDOW, MappingNetwork, lips_at
from .spectrum import (
    BANDS,
    COLUMNS,
    FPS,
    HOP,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    WINDOW,
    MelStream,
    mel_windows,
    silent_window,
    window_start,
)

LipReference = Literal["silence", "first frame", "mean", "none"]
LIP_REFERENCES: tuple[LipReference, ...] = get_args(LipReference)
AT_ONCE = 60 * SAMPLE_RATE  # samples of a whole voice processed together
SYLLABLE_PERIOD = 5  # frames after which the windows' offsets to the frames repeat: 16 columns


@dataclass(frozen=True, eq=False)
class TalkerOptions:
    """Options of the light driver's networks.

    Attributes:
        person: (64,) expression coefficients of the portrait (see `reconstruction`), which condition the networks;
            the mean face's when None.
    """

    window: int = option(
        SHORT_WINDOW,
        "Window length of the network, in frames: 28 as published, 29 as in training.",
        choices=(SHORT_WINDOW, TRAINED_WINDOW),
        unit="frames",
    )
    lip_reference: LipReference = option(  # noqa: RUF009 makes a dataclasses.field
        "silence",
        "Reference that lip motion is measured from: the networks' output for silence, the first frame as in the "
        "original, the mean over the clip, or none.",
        choices=LIP_REFERENCES,
    )
    ahead: int = option(
        SHORT_WINDOW - CONTEXT_FRAMES - 1,
        "Look-ahead into the voice, in frames of 40 ms; 13 is the most for a window of 28.",
        minimum=0,
        maximum=CONTEXT_FRAMES,
        unit="frames",
        label="look-ahead",
    )
    gain: tuple[float, float, float] = option(
        (1.0, 1.0, 1.0),
        "Factors on the lips' motion along x, y and z: 1 leaves it unchanged.",
        minimum=-MAXIMUM_GAIN,
        maximum=MAXIMUM_GAIN,
        step=0.05,
    )
    person: Tensor | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.person is not None and (self.person.ndim != 1 or len(self.person) < COEFFICIENTS):
            raise ValueError(
                f"A person is {COEFFICIENTS} expression coefficients; got shape {tuple(self.person.shape)}."
            )

    @property
    def latency(self) -> Fraction:
        """Greatest time from a frame's moment until a stream returns it, seconds: 0.6525 for 13 frames ahead."""
        late = max(
            HOP * (window_start(frame + self.ahead) + COLUMNS - 1) + WINDOW // 2 - SAMPLES_PER_FRAME * frame
            for frame in range(CONTEXT_FRAMES, CONTEXT_FRAMES + SYLLABLE_PERIOD)
        )
        return Fraction(late, SAMPLE_RATE)


class Talker(MotionGenerator):
    """Motion generator with lips by the networks, and the rest by the built-in generator.

    The lips do not depend on the seed.

    Args:
        expression: ExpNet.
        mapping: MappingNet.
        options: options of the networks.
        speaker: projection of ExpNet's audio embeddings to those of one speaker; none when None.
    """

    def __init__(
        self,
        expression: ExpressionNetwork,
        mapping: MappingNetwork,
        options: TalkerOptions | None = None,
        speaker: Projection | None = None,
    ) -> None:
        self.expression = expression
        self.mapping = mapping
        self.options = options or TalkerOptions()
        self.speaker = speaker

    def _generated(self, request: MotionRequest) -> MotionSequence:
        audio, rate, wanted = request.audio, request.fps, request.options
        frames = frame_count(audio.samples, audio.sample_rate, rate)
        size = wanted.lips * wanted.expression * request.gains.mouth_amplitude
        deltas = size * self.lip_deltas(audio.mono(SAMPLE_RATE))
        lips = shift(lip_motion(deltas).resampled(rate, frames), -wanted.lip_lead_ms / 1000)
        if wanted.rest_in_silence:
            activity = spoken(audio, frames, rate, wanted.lip_lead_ms).to(lips.expression)
            lips = replace(lips, expression=activity[:, None, None] * lips.expression)
        if wanted.lips_only:
            return lips
        rest = ProceduralGenerator().generate(audio, rate, replace(wanted, lips=0.0), request.seed, request.style)
        return replace(rest, expression=rest.expression + lips.expression)

    def lip_deltas(self, samples: Tensor) -> Tensor:
        """Lip motion (T, 6, 3) in crop units, 25 frames a second, of mono sound (S,) at 16 kHz."""
        mean = self.options.lip_reference == "mean"
        stream = TalkerStream(self, replace(self.options, lip_reference="none") if mean else self.options)
        deltas = torch.cat([*(stream.push(part) for part in samples.split(AT_ONCE)), stream.finish()])
        return deltas - deltas.mean(0) if mean else deltas

    def silent_lips(self, window: int) -> Tensor:
        """Lip keypoints (6, 3) of long silence."""
        coefficients = self.coefficients(silent_window())
        return lips_at(self.mapping, coefficients, range(1), window)[0]

    @torch.no_grad()
    def coefficients(self, windows: Tensor) -> Tensor:
        """Expression coefficients (T, 64) of mel windows (T, 80, 16)."""
        embeddings = self.expression.audio_encoder(windows)
        if self.speaker is not None:
            embeddings = self.speaker.of(embeddings, SADTALKER_ENCODER)
        person = torch.zeros(COEFFICIENTS) if self.options.person is None else self.options.person[:COEFFICIENTS]
        return self.expression.coefficients(embeddings, person)


class TalkerStream:
    """Lip motion of a streamed voice, independent of the chunk size.

    Raises:
        ValueError: the options measure the lips from the mean, which needs the whole voice.
    """

    def __init__(self, talker: Talker, options: TalkerOptions | None = None) -> None:
        self.options = options or talker.options
        if self.options.lip_reference == "mean":
            raise ValueError(
                "A stream does not know the mean of what is still to come; choose another lip reference."
            )
        self._talker = talker
        self._mel = MelStream()
        self._samples = 0
        self._columns, self._first_column = torch.zeros(0, BANDS), 0
        self._coefficients, self._first_frame = torch.zeros(0, COEFFICIENTS), 0
        self._given = 0  # frames returned
        self._reference = talker.silent_lips(self.options.window) if self._measures_silence else None

    @property
    def _measures_silence(self) -> bool:
        return self.options.lip_reference == "silence"

    def push(self, samples: Tensor) -> Tensor:
        """Lip motion (N, 6, 3), N ≥ 0, of the frames settled by mono sound (S,) at 16 kHz.

        Raises:
            ValueError: the sound has another shape, or contains NaN or infinity.
        """
        sound = mono(samples)
        self._samples += len(sound)
        self._take_columns(self._mel.push(sound))
        self._take_coefficients(self._heard_frames())
        return self._give(self._first_frame + len(self._coefficients) - self.options.ahead)

    def finish(self) -> Tensor:
        """Lip motion (N, 6, 3) of the remaining frames; the last one may extend beyond the sound."""
        frames = frame_count(self._samples, SAMPLE_RATE, Fraction(FPS))
        self._take_columns(self._mel.push(torch.zeros(frames * SAMPLES_PER_FRAME - self._samples)))
        self._take_columns(self._mel.finish())
        self._take_coefficients(frames)
        return self._give(frames)

    def _heard_frames(self) -> int:
        """Number of frames with complete windows."""
        columns = self._first_column + len(self._columns)
        frame = self._first_frame + len(self._coefficients)
        while window_start(frame) + COLUMNS <= columns:
            frame += 1
        return frame

    def _take_columns(self, columns: Tensor) -> None:
        self._columns = torch.cat([self._columns, columns])

    def _take_coefficients(self, until: int) -> None:
        """Compute the coefficients of all frames before `until`, and release the used columns."""
        frames = range(self._first_frame + len(self._coefficients), until)
        if not frames:
            return
        windows = mel_windows(self._columns, frames, self._first_column)
        self._coefficients = torch.cat([self._coefficients, self._talker.coefficients(windows)])
        used = max(window_start(until) - self._first_column, 0)
        self._columns, self._first_column = self._columns[used:], self._first_column + min(used, len(self._columns))

    @torch.no_grad()
    def _give(self, until: int) -> Tensor:
        """Lip motion (N, 6, 3) of the frames before `until` that were not returned yet."""
        frames = range(self._given, max(until, self._given))
        lips = lips_at(
            self._talker.mapping,
            self._coefficients,
            frames,
            self.options.window,
            self.options.ahead,
            self._first_frame,
        )
        self._given = frames.stop
        used = max(self._given - CONTEXT_FRAMES - self._first_frame, 0)
        self._coefficients, self._first_frame = self._coefficients[used:], self._first_frame + used
        return (lips - self._measured_from(lips)) * torch.tensor(self.options.gain)

    def _measured_from(self, lips: Tensor) -> Tensor:
        if self._reference is None and self.options.lip_reference == "first frame" and len(lips):
            self._reference = lips[0]
        return torch.zeros(len(LIPS), 3) if self._reference is None else self._reference


def lip_motion(deltas: Tensor) -> MotionSequence:
    """Motion at 25 frames a second with only the lip keypoints moved, by (T, 6, 3) in crop units."""
    still = MotionSequence.still(len(deltas), FPS)
    return replace(still, expression=still.expression.index_copy(1, torch.tensor(LIPS), deltas))
