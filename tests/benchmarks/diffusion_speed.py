"""How long the diffusion generator takes, stage by stage, as JSON: networks of the published sizes, random weights.

    python tests/benchmarks/diffusion_speed.py [cpu | cuda]

Every time is in milliseconds, the median of a few runs after one to warm up: CPU time of one thread on the CPU,
wall time with synchronisation on a GPU. A real-time factor is time spent over time of sound: below 1 keeps up.

* `features_4s`: HuBERT base over 4 s of sound; the live preset hears as much at once.
* `step_100`, `step_7`: one denoising step, with and without the voice as guidance needs it, of 100 and of 7 frames.
* `live_hop`: one hop of the live preset (5 frames, 200 ms of sound) with everything, at the default steps.
* `offline_rtf`, `live_rtf`: real-time factors of whole generation, offline and live.
* `first_frames_after`: sound that must arrive plus `live_hop`.
"""

import json
import platform
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from diffpose_goldens import JOYVASA, POSE_SIZES, card, encoder_shapes

from talking_head.diffpose.denoiser import Denoiser, WindowInput
from talking_head.diffpose.features import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, SpeechEncoder, speech_encoder
from talking_head.diffpose.generate import DiffusionGenerator
from talking_head.diffpose.normalise import JoyvasaSpace
from talking_head.diffpose.samplers import Guidance, SampleOptions
from talking_head.diffpose.schedule import Schedule
from talking_head.diffpose.weights import DiffusionModel
from talking_head.diffpose.windows import LIVE, trained_plan
from talking_head.lp_core.audio import Audio

HUBERT_BASE = {"hidden": 768, "layers": 12, "feed_forward": 3072, "channels": 512, "taps": 128, "groups": 16}
JOYVASA_CLASS = {"width": 512, "layers": 8, "new_frames": 100, "context_frames": 10, "audio_dims": 768}
REPEATS = 3


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
    return model, speech_encoder(tensors, device=device), JoyvasaSpace.from_template(template)


def median_ms(action, device: torch.device, repeats: int = REPEATS) -> float:
    """Median milliseconds of an action, after one call to warm up."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    action()
    spent = []
    for _ in range(repeats):
        start = clock()
        action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        spent.append((clock() - start) * 1e3)
    return statistics.median(spent)


def step_ms(model: DiffusionModel, frames: int, device: torch.device) -> float:
    """One denoising step of a guided window."""
    layout, guidance = model.card.layout, Guidance()

    def random(count: int, width: int) -> torch.Tensor:
        return torch.randn(1, count, width, device=device)

    inputs = WindowInput(
        random(frames, layout.width),
        random(layout.context_frames, layout.width),
        random(layout.context_frames, layout.motion_dims),
    )
    window, motion = model.denoiser.window(inputs, guidance.dropped()), random(frames, layout.motion_dims)
    motion = motion.expand(len(guidance.dropped()), -1, -1)
    return median_ms(lambda: model.denoiser.new_frames(motion, 25, window), device, 10)


def live_hop_ms(generator: DiffusionGenerator, device: torch.device) -> float:
    """One hop of a stream that has been running for as long as it remembers."""
    stream = generator.stream()
    stream.push(torch.zeros(SAMPLE_RATE * 5))
    return median_ms(lambda: stream.push(torch.zeros(LIVE.hop * SAMPLES_PER_FRAME)), device)


def measured(device: torch.device) -> dict[str, float]:
    """All figures."""
    model, encoder, space = published_sizes(device)
    sound = 0.1 * torch.randn(1, 4 * SAMPLE_RATE)
    generator = DiffusionGenerator(model, encoder, space, SampleOptions())
    features = median_ms(lambda: encoder.frames(sound), device)
    offline = median_ms(lambda: generator.generate(Audio(sound, SAMPLE_RATE), FPS), device, 1)
    live = live_hop_ms(generator, device)
    return {
        "features_4s": features,
        "step_100": step_ms(model, trained_plan(model).frames, device),
        "step_7": step_ms(model, LIVE.frames, device),
        "live_hop": live,
        "offline_rtf": offline / 4000,
        "live_rtf": live / (LIVE.hop * 1000 / FPS),
        "first_frames_after": LIVE.frames * 1000 / FPS + live,
    }


def main() -> None:
    """Print the figures."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    figures = {name: round(value, 3) for name, value in measured(device).items()}
    machine = platform.machine() if device.type == "cpu" else torch.cuda.get_device_name(device)
    print(json.dumps({"machine": machine, "torch": torch.__version__} | figures, indent=2))


if __name__ == "__main__":
    main()
