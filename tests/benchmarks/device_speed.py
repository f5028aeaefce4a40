"""LivePortrait's warping and decoder on one device: every way to run them, every batch, and the way to the host.

    python tests/benchmarks/device_speed.py [--device cuda] [--batches 1 4 8 16] [--ways eager …] [--save]

Milliseconds of wall time for a frame, medians of rounds in which all ways take turns, each waited for. Weights are
synthetic and full-size. The plain form is the networks as the original computes them, under autocast. `--ways`
takes some of them only: compiling needs a compiler and minutes.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest
from figures import Figure, arguments, report
from liveportrait_goldens import full_networks
from plain_networks import plain_decoder, plain_warping
from safetensors.torch import load_file
from synthetic_weights import GOLDEN, golden_input, state
from torch import Tensor, nn

from talking_head.diffpose import choose_generator
from talking_head.lp_core import RenderOptions, find_faces, load_audio, load_picture, render
from talking_head.lp_core.compute.device import PRECISIONS, choose_device, choose_dtype
from talking_head.lp_core.compute.transfer import as_bytes, on_host
from talking_head.lp_core.liveportrait.renderer import LivePortraitRenderer, WarpingDecoder

Draw = Callable[[Tensor, Tensor, Tensor], Tensor]
PIXELS_FIRST = {4: torch.channels_last, 5: torch.channels_last_3d}
TO_HOST: dict[str, Callable[[Iterable[Tensor]], Iterator[Tensor]]] = {
    "floats, each waited for": lambda batches: (batch.cpu() for batch in batches),
    "bytes, each waited for": lambda batches: (as_bytes(batch).cpu() for batch in batches),
    "bytes through pinned memory, on a stream": lambda batches: on_host(batches, eight_bits=True),
}


def plain(device: torch.device, dtype: torch.dtype) -> Draw:
    """The networks as the original computes them."""
    warping, decoder = (
        {key: tensor.to(device) for key, tensor in state(name).items()}
        for name in ("warping_module", "spade_generator")
    )

    def draw(*inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return plain_decoder(decoder, plain_warping(warping, *inputs)).float()

    return draw


def warping_decoder(
    device: torch.device, dtype: torch.dtype, acceleration: str = "none", pixels_first: bool = False
) -> Draw:
    """The pack's own, which also look for NaN; `pixels_first` keeps a pixel's channels together in memory."""
    networks = full_networks()
    both = nn.ModuleList([networks.warping, networks.decoder])
    paint = WarpingDecoder(networks.warping, networks.decoder, device, dtype, acceleration).paint
    both.to(device)
    for weight in both.parameters() if pixels_first else ():
        if weight.dim() in PIXELS_FIRST:
            weight.data = weight.data.contiguous(memory_format=PIXELS_FIRST[weight.dim()])
    return paint


WAYS: dict[str, Callable[[torch.device, torch.dtype], Draw]] = {
    "plain": plain,
    "eager": warping_decoder,
    "channels-last": lambda device, dtype: warping_decoder(device, dtype, pixels_first=True),
    "compiled": lambda device, dtype: warping_decoder(device, dtype, "compile"),
    "graphed": lambda device, dtype: warping_decoder(device, dtype, "graphs"),
}


def finish(device: torch.device) -> None:
    """Wait for all that was asked of a device."""
    if device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


def seconds_for(action: Callable[[], object], device: torch.device) -> float:
    """Wall time of an action until its device is done."""
    finish(device)
    start = time.perf_counter()
    action()
    finish(device)
    return time.perf_counter() - start


def batch_figures(batch: int, draws: dict[str, Draw], device: torch.device, rounds: int) -> list[Figure]:
    """What a frame costs each way in batches of one size."""
    keypoints = load_file(GOLDEN / "pipeline_frames.safetensors")
    driving = keypoints["x_d"][:1].expand(batch, -1, -1)
    inputs = [one.to(device) for one in (golden_input("f_s", (1, 32, 16, 64, 64)), keypoints["x_s"], driving)]
    for draw in draws.values():
        draw(*inputs)  # compiles, records, chooses kernels
    turns = [
        {way: seconds_for(lambda draw=draw: draw(*inputs), device) for way, draw in draws.items()}
        for _ in range(rounds)
    ]
    milliseconds = {way: 1000 / batch * statistics.median(turn[way] for turn in turns) for way in draws}
    return [
        Figure(f"warping and decoder {way}, batches of {batch}", value, "ms a frame", True)
        for way, value in milliseconds.items()
    ]


def to_host_figures(device: torch.device, dtype: torch.dtype, batch: int, frames: int) -> list[Figure]:
    """Frames a second of LivePortrait's renderer until they are on the host, each way to get there."""
    picture = load_picture(conftest.ROOT / "workflows" / "demo_portrait.jpg")
    voice = load_audio(conftest.ROOT / "workflows" / "demo_speech.wav")
    motion = choose_generator("procedural").generate(voice, 25)[:frames]
    renderer = LivePortraitRenderer(full_networks(), device, dtype)
    portrait = renderer.portrait(picture, find_faces(picture)[0])
    options = RenderOptions(batch_size=batch, paste_back=False)
    list(on_host(render(portrait, motion[:batch], options)))
    return [
        Figure(
            f"frames to the host: {way}",
            len(motion) / seconds_for(lambda bring=bring: list(bring(render(portrait, motion, options))), device),
            "frames/s",
            True,
        )
        for way, bring in TO_HOST.items()
    ]


def memory_figures(device: torch.device) -> list[Figure]:
    """The most memory that was taken on a GPU."""
    if device.type != "cuda":
        return []
    return [Figure("peak GPU memory of all that", torch.cuda.max_memory_allocated(device) / 2**20, "MB", True)]


@torch.inference_mode()
def measure(given: argparse.Namespace) -> list[Figure]:
    """Everything on one device."""
    device = choose_device(given.device)
    dtype = choose_dtype(given.precision, device)
    draws = {way: WAYS[way](device, dtype) for way in given.ways}
    figures = [one for batch in given.batches for one in batch_figures(batch, draws, device, given.rounds)]
    return [*figures, *to_host_figures(device, dtype, max(given.batches), given.frames), *memory_figures(device)]


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=list(WAYS))
    parser.add_argument("--frames", type=int, default=96, help="that are brought to the host")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    report(__file__, measure(given), given.save, str(choose_device(given.device)))


if __name__ == "__main__":
    main()
