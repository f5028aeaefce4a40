"""Where and how precisely networks draw, who keeps them there, and how many frames fit there at once."""

from collections.abc import Callable

import torch
from torch import nn

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FRAME_BYTES = 400 << 20  # that warping and decoder hold for one frame in single precision, half of it in half
USABLE_SHARE = 0.6  # of the free memory that a batch may take
LARGEST_BATCH = 16  # frames; beyond it a GPU gains nothing more

EnsureLoaded = Callable[[int], None]
"""Called right before networks work, with the bytes they will need beside their weights: brings them to their
device if somebody took them off it."""
ModelPlacement = Callable[[nn.Module, torch.device], EnsureLoaded]
"""Takes networks in its care that shall work on a device. ComfyUI's, for one, unloads them when others need the
memory, so that weights may lie elsewhere after each call of the `EnsureLoaded` that it gives."""


def place_permanently(networks: nn.Module, device: torch.device) -> EnsureLoaded:
    """The plain `ModelPlacement`: networks are moved to their device, in place, and stay there."""
    networks.to(device)
    return already_loaded


def already_loaded(_working_bytes: int = 0) -> None:
    """The `EnsureLoaded` of networks that nobody moves."""


def choose_device(device: torch.device | str = "auto") -> torch.device:
    """The device called so; `auto` is CUDA (or ROCm) where there is one, else Apple's GPU, else the CPU.

    Raises:
        ValueError: torch knows no such device, or the machine has none.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        named = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"There is no kind of device called {device!r}; give cpu, cuda or mps.") from error
    try:
        return torch.empty(0, device=named).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"The device {device!r} cannot be used ({reason}); give cpu, cuda or mps.") from error


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The number format that convolutions of a precision are done in.

    `auto` is fp16 on CUDA, bf16 on CPUs that compute in it (AVX-512 BF16 or AMX) and fp32 elsewhere. Both lower
    ones change a picture by less than half a grey level on average.

    Raises:
        ValueError: an unknown precision, fp16 on a CPU, where it is slower than fp32, or bf16 on one without it.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"There is no precision {precision!r}; choose from {', '.join(PRECISIONS)}.")
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("A CPU is slower in fp16 than in fp32; choose bf16, fp32 or auto.")
    if precision == "bf16" and device.type == "cpu" and not cpu_has_bfloat16():
        raise ValueError("This CPU cannot compute in bf16 and would take minutes for a frame; choose fp32 or auto.")
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16, rather than emulating it."""
    flags = torch.backends.cpu.get_cpu_capability()
    return flags.startswith("AVX512") and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fitting_batch(device: torch.device, dtype: torch.dtype, most: int) -> int:
    """How many frames to draw at once: at most `most` and LARGEST_BATCH, as many as fit a GPU's free memory."""
    if device.type != "cuda":
        return most
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own, ready for use
    return batch_for(free + kept, dtype, most)


def batch_for(free: int, dtype: torch.dtype, most: int) -> int:
    """Frames that fit `free` bytes, 1 … the smaller of `most` and LARGEST_BATCH."""
    return max(1, min(most, LARGEST_BATCH, int(free * USABLE_SHARE) // frame_bytes(dtype)))


def frame_bytes(dtype: torch.dtype) -> int:
    """What warping and decoder hold for one frame."""
    return FRAME_BYTES * dtype.itemsize // torch.float32.itemsize
