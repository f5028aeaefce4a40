"""What LivePortrait's warping and decoder cost against the plain form of the same networks, in one run.

    python tests/benchmarks/networks_speed.py [--threads 2] [--rounds 3] [--json FILE]

Process CPU seconds for one frame, the best of the rounds; the forms take turns, so that a busy machine slows all of
them alike. Weights are synthetic and full-size. `error` is the mean difference to the plain form's picture in grey
levels. On CUDA nothing is measured here yet.
"""

import argparse
import json
import sys
import time
from copy import deepcopy
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401  the pack under its import name
from plain_networks import plain_decoder, plain_warping
from safetensors.torch import load_file
from synthetic_weights import GOLDEN, golden_input, network, state

from talking_head.lp_core.nets.decoder import SpadeDecoder
from talking_head.lp_core.nets.warping import WarpingNetwork


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
def measure(rounds: int) -> dict[str, float]:
    """CPU seconds of each form, ratios to the plain one, and errors in grey levels."""
    keypoints = load_file(GOLDEN / "pipeline_frames.safetensors")
    inputs = golden_input("f_s", (1, 32, 16, 64, 64)), keypoints["x_s"], keypoints["x_d"]
    forms = {"plain_fp32": plain, "fp32": ours(torch.float32), "bf16": ours(torch.bfloat16)}
    pictures = {name: form(*inputs) for name, form in forms.items()}
    spent: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(rounds):
        for name, form in forms.items():
            start = time.process_time()
            form(*inputs)
            spent[name].append(time.process_time() - start)
    best = {name: min(times) for name, times in spent.items()}
    figures: dict[str, float] = {f"{name}_cpu_seconds": seconds for name, seconds in best.items()}
    for name in ("fp32", "bf16"):
        figures[f"{name}_times_as_fast"] = best["plain_fp32"] / best[name]
        off = (pictures[name] - pictures["plain_fp32"]).abs().mean()
        figures[f"{name}_error_grey_levels"] = 255 * float(off)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result = json.dumps({"torch": torch.__version__, "threads": given.threads, **measure(given.rounds)}, indent=1)
    print(result)
    if given.json:
        given.json.write_text(result)


if __name__ == "__main__":
    main()
