"""How long the diffusion generator takes, stage by stage.

    python tests/benchmarks/diffusion_speed.py [cpu | cuda] [FOLDER] [--save]

Networks have the published sizes and random weights, or are JoyVASA's when a models folder holds them.

Every time is the median of a few runs after one to warm up: CPU time of one thread on the CPU, wall time with
synchronisation on a GPU. Below 1 second of work for a second of sound keeps up; the stages of offline work, from
hearing to strengths, add up to the whole, but for a little. `LIVE` hears 4 s anew for every hop
of 5 frames and takes the default steps; `LIVE_ON_CPU` goes on hearing and hops by 8 frames. How far the latter is
from the former is told with published weights only, since random ones tell nothing about it: root mean square over
the root mean square variation in time.
"""

import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from diffpose_goldens import JOYVASA, POSE_SIZES, card, encoder_shapes
from figures import Figure, arguments, median_of, report

from talking_head.diffpose.diffusion.checkpoints import DiffusionModel
from talking_head.diffpose.diffusion.denoiser import Denoiser, WindowInput
from talking_head.diffpose.diffusion.generator import DiffusionGenerator, as_wanted
from talking_head.diffpose.diffusion.installed import load_installed
from talking_head.diffpose.diffusion.normalise import JoyvasaSpace
from talking_head.diffpose.diffusion.samplers import Guidance, SampleOptions, guided, sample, seeded_noise
from talking_head.diffpose.diffusion.schedule import Schedule
from talking_head.diffpose.diffusion.windows import LIVE, LIVE_ON_CPU, WindowPlan, trained_plan
from talking_head.diffpose.motion_generator import MotionRequest
from talking_head.diffpose.speech.encoder import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, SpeechEncoder, speech_encoder
from talking_head.diffpose.speech.incremental import IncrementalFeatures
from talking_head.diffpose.speech.streaming import StreamingFeatures, WindowedFeatures
from talking_head.diffpose.steering.options import MotionOptions
from talking_head.diffpose.steering.style import Style
from talking_head.lp_core.compute.compute import Compute
from talking_head.lp_core.media.audio import Audio, load_audio

HUBERT_BASE = {"hidden": 768, "layers": 12, "feed_forward": 3072, "channels": 512, "taps": 128, "groups": 16}
JOYVASA_CLASS = {"width": 512, "layers": 8, "new_frames": 100, "context_frames": 10, "audio_dims": 768}
REPEATS = 3
HEARD = 100  # frames of training
FACTOR = "s of work for a second of sound"
DEMO = Path(__file__).resolve().parents[2] / "workflows" / "demo_speech.wav"


def published_sizes(device: torch.device) -> tuple[DiffusionModel, SpeechEncoder, JoyvasaSpace]:
    """Networks as large as JoyVASA's, with random weights."""
    shapes = encoder_shapes(prefix="", **HUBERT_BASE)
    tensors = {name: 0.02 * torch.randn(shape) for name, shape in shapes.items()}
    described = card("joyvasa", **(JOYVASA | {"layers": 1, "width": 16}))
    layout = replace(described.layout, **JOYVASA_CLASS)
    network = Denoiser(layout).eval().requires_grad_(False).to(device)
    model = DiffusionModel(replace(described, layout=layout), network, Schedule.named("cosine", 50), {})
    template = {"mean_exp": torch.zeros(63), "std_exp": torch.full((63,), 0.01)}
    for name, size in POSE_SIZES.items():
        template |= {f"min_{name}": torch.full((size,), -1.0), f"max_{name}": torch.full((size,), 1.0)}
    return model, speech_encoder(tensors, compute=Compute(device)), JoyvasaSpace.from_template(template)


def median_ms(action, device: torch.device, repeats: int = REPEATS) -> float:
    """Median milliseconds of an action, after one call to warm up."""
    if device.type == "cpu":
        return 1000 * median_of(action, repeats)

    def finished() -> None:
        action()
        torch.cuda.synchronize()

    return 1000 * median_of(finished, repeats, time.perf_counter)


def window_input(model: DiffusionModel, frames: int, device: torch.device) -> WindowInput:
    """A window of random speech."""
    layout = model.card.layout

    def random(count: int, width: int) -> torch.Tensor:
        return torch.randn(1, count, width, device=device)

    return WindowInput(
        random(frames, layout.width),
        random(layout.context_frames, layout.width),
        random(layout.context_frames, layout.motion_dims),
    )


def step_ms(model: DiffusionModel, frames: int, device: torch.device) -> float:
    """One denoising step of a guided window."""
    guidance = Guidance()
    inputs = window_input(model, frames, device)
    noise = torch.randn(1, frames, model.card.layout.motion_dims, device=device)
    window = model.denoiser.window(inputs, guidance.dropped())
    motion = noise.expand(len(guidance.dropped()), -1, -1)
    return median_ms(lambda: model.denoiser.new_frames(motion, 25, window), device, 10)


def sampling_ms(model: DiffusionModel, device: torch.device) -> tuple[float, float]:
    """Making one guided window of training ready, and walking from noise to its motion in the default steps."""
    options, frames = SampleOptions(), trained_plan(model).frames
    inputs = window_input(model, frames, device)
    window = model.denoiser.window(inputs, options.guidance.dropped())
    draw = seeded_noise(0, (1, frames, model.card.layout.motion_dims))
    predictor = guided(lambda motion, step: model.denoiser.new_frames(motion, step, window), options.guidance)
    noise = draw().to(device)
    return (
        median_ms(lambda: model.denoiser.window(inputs, options.guidance.dropped()), device),
        median_ms(lambda: sample(predictor, noise, draw, model.schedule, options), device),
    )


def stages(
    model: DiffusionModel, encoder: SpeechEncoder, space: JoyvasaSpace, device: torch.device
) -> list[Figure]:
    """What offline generation spends on each stage, of a window of four seconds."""
    sound = Audio(0.1 * torch.randn(1, 4 * SAMPLE_RATE), SAMPLE_RATE)
    request = MotionRequest(sound, Fraction(FPS), MotionOptions(), 0, Style())
    vectors = torch.randn(HEARD, model.card.layout.motion_dims)
    motion = space.motion(vectors, Fraction(FPS))
    ready, sampling = sampling_ms(model, device)
    spent = {
        "hearing by HuBERT base": median_ms(lambda: encoder.frames(sound.waveform), device),
        "making the window ready": ready,
        "sampling in 10 steps": sampling,
        "vectors to motion": median_ms(lambda: space.motion(vectors, Fraction(FPS)), device),
        "strengths, silence, small expressions": median_ms(
            lambda: as_wanted(motion, request, request.gains), device
        ),
    }
    return [Figure(f"offline stage: {name}", value / 4000, FACTOR) for name, value in spent.items()]


def live_hop_ms(generator: DiffusionGenerator, plan: WindowPlan, device: torch.device) -> float:
    """One hop of a stream that has been running for as long as it remembers."""
    stream = generator.stream(plan=plan)
    stream.push(torch.zeros(SAMPLE_RATE * 5))
    return median_ms(lambda: stream.push(torch.zeros(plan.hop * SAMPLES_PER_FRAME)), device)


def features_error(encoder: SpeechEncoder, model: DiffusionModel, sound: torch.Tensor) -> float:
    """How far the settled features of LIVE_ON_CPU are from those of hearing anew."""
    plan, speech = LIVE_ON_CPU, model.card.speech

    def settled(features: StreamingFeatures) -> torch.Tensor:
        features.push(sound)
        pieces = []
        for start in range(0, len(sound) // SAMPLES_PER_FRAME - plan.frames, plan.hop):
            pieces.append(features.between(start, start + plan.frames)[0, : plan.hop])
            features.forget(start + plan.hop)
        return torch.cat(pieces)

    remembering = settled(IncrementalFeatures(encoder, speech, HEARD - plan.frames))
    return relative_error(remembering, settled(WindowedFeatures(encoder, speech, HEARD)))


def motion_error(generator: DiffusionGenerator, sound: torch.Tensor) -> float:
    """The same for the expression that is generated."""

    def expression(plan: WindowPlan) -> torch.Tensor:
        motion = generator.stream(seed=1, plan=plan).push(sound)
        return motion.expression.flatten(1)

    return relative_error(expression(LIVE_ON_CPU), expression(replace(LIVE_ON_CPU, incremental=False)))


def relative_error(values: torch.Tensor, expected: torch.Tensor) -> float:
    """Of values (T, C), over how much the expected ones vary in time."""
    return float((values - expected).norm() / (expected - expected.mean(0)).norm())


def differences(model: DiffusionModel, encoder: SpeechEncoder, space: JoyvasaSpace) -> list[Figure]:
    """How far the cheap live preset is from the exact one."""
    voice = load_audio(DEMO).mono(SAMPLE_RATE)
    quick = DiffusionGenerator(model, encoder, space, SampleOptions(steps=4))
    return [
        Figure("features of `LIVE_ON_CPU` off those of hearing anew", features_error(encoder, model, voice), ""),
        Figure("motion of `LIVE_ON_CPU` off that of hearing anew", motion_error(quick, voice), ""),
    ]


def measured(
    model: DiffusionModel, encoder: SpeechEncoder, space: JoyvasaSpace, device: torch.device
) -> list[Figure]:
    """All speeds."""
    sound = 0.1 * torch.randn(1, 4 * SAMPLE_RATE)
    generator = DiffusionGenerator(model, encoder, space, SampleOptions())
    features = median_ms(lambda: encoder.frames(sound), device)
    offline = median_ms(lambda: generator.generate(Audio(sound, SAMPLE_RATE), FPS), device, 1)
    quick = DiffusionGenerator(model, encoder, space, SampleOptions(steps=4))
    live, cpu = live_hop_ms(generator, LIVE, device), live_hop_ms(quick, LIVE_ON_CPU, device)
    hop, cpu_hop = LIVE.hop * 1000 / FPS, LIVE_ON_CPU.hop * 1000 / FPS
    return [
        *stages(model, encoder, space, device),
        Figure("hearing 4 s of sound by HuBERT base", features, "ms"),
        Figure("one guided denoising step of 100 frames", step_ms(model, trained_plan(model).frames, device), "ms"),
        Figure("one guided denoising step of 7 frames", step_ms(model, LIVE.frames, device), "ms"),
        Figure("`diffusion` offline, synthetic weights", offline / 4000, FACTOR, True),
        Figure("`diffusion` live as trained (`LIVE`), synthetic weights", live / hop, FACTOR, True),
        Figure("one hop of `LIVE` (200 ms of sound)", live, "ms"),
        Figure("first frames of `LIVE` after", LIVE.frames * 1000 / FPS + live, "ms"),
        Figure("`diffusion` live on one CPU core (`LIVE_ON_CPU`, 4 steps)", cpu / cpu_hop, FACTOR, True),
        Figure("one hop of `LIVE_ON_CPU` (320 ms of sound)", cpu, "ms"),
        Figure("first frames of `LIVE_ON_CPU` after", LIVE_ON_CPU.frames * 1000 / FPS + cpu, "ms"),
    ]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("device", nargs="?", default="cpu")
    parser.add_argument("folders", nargs="*", type=Path, help="a models folder with JoyVASA's weights")
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = torch.device(given.device)
    networks = load_installed(tuple(given.folders), Compute(device)) if given.folders else published_sizes(device)
    figures = measured(*networks, device) + (differences(*networks) if given.folders else [])
    report(__file__, figures, given.save, given.device)


if __name__ == "__main__":
    main()
