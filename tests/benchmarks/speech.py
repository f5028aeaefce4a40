"""The built-in generator, measured on synthetic voices that its net never heard.

    python tests/benchmarks/speech.py [SOUND FILES] [--save]

Tells bilabials closed at 25 frames a second, F/V tucked, correlation with the targets and with the judge (a net of
another seed, other voices and other languages), the sync meter on matched and mismatched sound, and processor time.
Give sound files to have their figures told too. Needs espeak-ng.
"""

import itertools
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import conftest  # noqa: E402, F401  (gives the pack its import name)
from figures import Figure, arguments, median_of, report  # noqa: E402
from sync import JUDGE, heard_mouth, sync  # noqa: E402

from talking_head.diffpose.procedural.generator import ProceduralGenerator  # noqa: E402
from talking_head.diffpose.procedural.visemes import SHAPES, load_viseme_net, visemes  # noqa: E402
from talking_head.diffpose.speech.analysis import SAMPLE_RATE, analyse  # noqa: E402
from talking_head.diffpose.training.shipped.espeak import Phoneme, speak  # noqa: E402
from talking_head.diffpose.training.shipped.phonemes import BILABIALS, segments, shape_targets  # noqa: E402
from talking_head.diffpose.training.shipped.sentences import UNHEARD_VOICES  # noqa: E402
from talking_head.lp_core.media.audio import Audio, load_audio  # noqa: E402
from talking_head.lp_core.motion.controls import Controls, from_expression  # noqa: E402

FPS = Fraction(25)
CLOSED = 0.02  # eye distances
SLACK = 0.03  # seconds around a sound in which its shape counts
# Not among the sentences that the nets were trained on.
SENTENCES = (
    "Maybe Bobby's mother will bump her thumb on the lamp. Poor Pam, no problem, my baby brother map pins up.",
    "Every evening, five brave families leave the village and drive over the river to visit a friend for coffee.",
    "What would people in a big public library prefer: a warm room, a comfortable armchair, or both?",
)


@dataclass(frozen=True, eq=False)
class Talk:
    """One utterance and the motion made for it."""

    audio: Audio
    phonemes: tuple[Phoneme, ...]
    controls: Controls


def talk(text: str, voice: str) -> Talk:
    spoken = speak(text, voice)
    noise = np.random.default_rng(0).normal(0, 1e-4, len(spoken.samples))
    audio = Audio(torch.from_numpy((spoken.samples + noise).astype(np.float32))[None], spoken.rate)
    motion = ProceduralGenerator().generate(audio, FPS, seed=1)
    return Talk(audio, spoken.phonemes, from_expression(motion.expression))


def extremes(talk: Talk, symbols: tuple[str, ...], amounts: np.ndarray, pick) -> list[float]:
    """The extreme of frame amounts (T,) around every sound of the given symbols."""
    found = []
    for segment in segments(talk.phonemes):
        if segment.symbol in symbols:
            first, last = np.ceil((segment.start - SLACK) * FPS), np.floor((segment.end + SLACK) * FPS)
            found.append(float(pick(amounts[max(0, int(first)) : int(last) + 1])))
    return found


def shown(controls: Controls) -> np.ndarray:
    return torch.stack([controls.jaw, controls.wide], -1).numpy()


def closures(talks: list[Talk]) -> list[Figure]:
    gaps = [gap for one in talks for gap in extremes(one, BILABIALS, one.controls.jaw.numpy(), np.min)]
    press = [amount for one in talks for amount in extremes(one, BILABIALS, one.controls.press.numpy(), np.max)]
    tuck = [amount for one in talks for amount in extremes(one, ("f", "v"), one.controls.tuck.numpy(), np.max)]
    vowels = [gap for one in talks for gap in extremes(one, ("ɑ", "æ", "a"), one.controls.jaw.numpy(), np.max)]
    closed = f"M, B, P with closed lips at {FPS} frames/s, voices not trained on"
    return [
        Figure(closed, share(gaps, lambda gap: gap <= CLOSED), f"% of {len(gaps)}", True),
        Figure("M, B, P: median gap", float(np.median(gaps)), "eye distances"),
        Figure("M, B, P pressed above 0.8", share(press, lambda amount: amount > 0.8), f"% of {len(press)}"),
        Figure("F, V tucked above 0.5", share(tuck, lambda amount: amount > 0.5), f"% of {len(tuck)}"),
        Figure("F, V: median tuck", float(np.median(tuck)), ""),
        Figure("open vowels: median of the largest opening", float(np.median(vowels)), "eye distances"),
    ]


def share(values: list[float], fits) -> float:
    return 100 * float(np.mean([fits(value) for value in values]))


def against_targets(talks: list[Talk]) -> list[Figure]:
    """Correlations over all utterances together."""
    speeches = [analyse(one.audio.mono(SAMPLE_RATE)) for one in talks]
    wanted = np.concatenate(
        [shape_targets(one.phonemes, len(speech)) for one, speech in zip(talks, speeches, strict=True)]
    ).T
    given, heard = ([visemes(speech, net) for speech in speeches] for net in (None, load_viseme_net(JUDGE)))
    figures = []
    for row, name in enumerate(SHAPES):
        ours, judge = (np.concatenate([getattr(shapes, name) for shapes in each]) for each in (given, heard))
        of_target, of_judge = np.corrcoef([ours, wanted[row], judge])[0, 1:]
        figures += [
            Figure(f"the net's {name} and the target", of_target, "r"),
            Figure(f"the net's {name} and the judge", of_judge, "r"),
        ]
    return figures


def in_sync(clips: list[tuple[str, np.ndarray, np.ndarray]]) -> list[Figure]:
    """Every mouth against every sound."""
    table = np.array([[sync(mouth, heard).score for _, _, heard in clips] for _, mouth, _ in clips])
    lags = [sync(mouth, heard).lag for _, mouth, heard in clips]
    matched, others = np.diag(table), table[~np.eye(len(clips), dtype=bool)]
    wins = (table.argmax(1) == np.arange(len(clips))).sum()
    figures = [
        Figure("sync with the own voice, mean", matched.mean(), "r"),
        Figure("sync with the own voice, least", matched.min(), "r"),
        Figure("sync with other voices, mean", others.mean(), "r"),
        Figure("sync with other voices, most", others.max(), "r"),
        Figure("the right voice wins", int(wins), f"times of {len(clips)}"),
    ]
    for (name, _, _), value, lag in zip(clips, matched, lags, strict=True):
        figures.append(Figure(f"sync of {name} at {lag} frames", value, "r"))
    return figures


def work(audio: Audio) -> Figure:
    six = Audio(audio.waveform[:, : 6 * audio.sample_rate], audio.sample_rate)
    seconds = median_of(lambda: ProceduralGenerator().generate(six, FPS), repeats=5)
    return Figure(f"{float(six.duration):.1f} s of speech to motion", 1000 * seconds, "ms CPU")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("sounds", nargs="*", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    talks = [talk(text, voice) for text, voice in itertools.product(SENTENCES, UNHEARD_VOICES)]
    different = talks[:: len(UNHEARD_VOICES) + 1]  # other words, other voice
    clips = [(f"espeak {i}", shown(t.controls), heard_mouth(t.audio, FPS)) for i, t in enumerate(different)]
    for path in given.sounds:
        audio = load_audio(path)
        motion = ProceduralGenerator().generate(audio, FPS, seed=1)
        clips.append((path.name, shown(from_expression(motion.expression)), heard_mouth(audio, FPS)))
    figures = [*closures(talks), *against_targets(talks), *in_sync(clips), work(talks[0].audio)]
    report(__file__, figures, given.save)


if __name__ == "__main__":
    main()
