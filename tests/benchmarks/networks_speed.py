"""What LivePortrait's warping and decoder cost against the plain form of the same networks, in one run.

    python tests/benchmarks/networks_speed.py [--threads 1] [--rounds 3] [--save]

Process CPU seconds for one frame on one thread (threads that wait for others would count too), the best of the
rounds; the forms take turns, so that a busy machine slows all of them alike. Weights are synthetic and full-size;
errors are mean differences to the plain form's picture.
"""

import sys
import time
from copy import deepcopy
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from figures import Figure, arguments, report
from plain_networks import plain_decoder, plain_warping
from safetensors.torch import load_file
from synthetic_weights import GOLDEN, golden_input, network, state

from talking_head.lp_core.liveportrait.nets.decoder import SpadeDecoder
from talking_head.lp_core.liveportrait.nets.warping import WarpingNetwork


def plain(volume: torch.Tensor, source: torch.Tensor, driving: torch.Tensor) -> torch.Tensor:
    """The picture as the original computes it."""
    return plain_decoder(state("spade_generator"), plain_warping(state("warping_module"), volume, source, driving))


def ours(dtype: torch.dtype):
    """The pack's two networks in one precision, as one function."""
    warping, decoder = deepcopy(network(WarpingNetwork)), deepcopy(network(SpadeDecoder))
    for net in (warping, decoder):
        net.prepare(torch.device("cpu"), dtype)
    return lambda *inputs: decoder(warping(*inputs).features).float()


@torch.inference_mode()
def measure(rounds: int) -> list[Figure]:
    """CPU seconds of each form, ratios to the plain one, and errors in grey levels."""
    keypoints = load_file(GOLDEN / "pipeline_frames.safetensors")
    inputs = golden_input("f_s", (1, 32, 16, 64, 64)), keypoints["x_s"], keypoints["x_d"]
    forms = {"plain": plain, "fp32": ours(torch.float32), "bf16": ours(torch.bfloat16)}
    pictures = {name: form(*inputs) for name, form in forms.items()}
    spent: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            start = time.process_time()
            form(*inputs)
            spent[name].append(time.process_time() - start)
    best = {name: min(times) for name, times in spent.items()}
    figures = [Figure("a frame of warping and decoder in the plain form", best["plain"], "s CPU")]
    for name in ("fp32", "bf16"):
        ratio = best["plain"] / best[name]
        error = 255 * float((pictures[name] - pictures["plain"]).abs().mean())
        title = f"LivePortrait's warping and decoder in {name}, synthetic weights"
        figures += [
            Figure(f"a frame in {name}", best[name], "s CPU"),
            Figure(title, ratio, "times as fast as a plain PyTorch form", True),
            Figure(f"mean error of {name}", error, "grey levels", name == "bf16"),
        ]
    return figures


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    report(__file__, measure(given.rounds), given.save)


if __name__ == "__main__":
    main()
