"""Choice of device and number format for networks, their placement, and the batch size that fits the memory."""

from collections.abc import Callable

import torch
from torch import nn

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FRAME_BYTES = 400 << 20  # for one frame in warping and decoder, single precision; half of it in half precision
USABLE_SHARE = 0.6  # of the free memory, for a batch
LARGEST_BATCH = 16  # frames; larger batches are not faster on a GPU

EnsureLoaded = Callable[[int], None]
"""Called right before networks run, with the bytes they will need besides their weights: moves them to their
device if they have been moved off it."""
ModelPlacement = Callable[[nn.Module, torch.device], EnsureLoaded]
"""Manages the placement of networks on a device; returns their `EnsureLoaded`. ComfyUI's unloads them when other
models need the memory, so their weights may be on another device after each call of `EnsureLoaded`."""


def place_permanently(networks: nn.Module, device: torch.device) -> EnsureLoaded:
    """The default `ModelPlacement`: moves networks to their device, in place, and leaves them there."""
    networks.to(device)
    return already_loaded


def already_loaded(_working_bytes: int = 0) -> None:
    """The `EnsureLoaded` of networks that are never moved; does nothing."""


def choose_device(device: torch.device | str = "auto") -> torch.device:
    """Returns the device of a name; `auto` is CUDA (or ROCm) where available, else Apple's GPU, else the CPU.

    Raises:
        ValueError: torch does not know the device, or the machine does not have it.
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
    """Returns the dtype of convolutions at a precision.

    `auto` is fp16 on CUDA, bf16 on CPUs that compute in it (AVX-512 BF16 or AMX) and fp32 elsewhere. Both lower
    precisions change a picture by less than half a grey level on average.

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
    """Returns whether the CPU has bfloat16 instructions, rather than emulating them."""
    flags = torch.backends.cpu.get_cpu_capability()
    return flags.startswith("AVX512") and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fitting_batch(device: torch.device, dtype: torch.dtype, most: int) -> int:
    """Returns how many frames to draw at once: at most `most` and LARGEST_BATCH, as many as fit a GPU's memory."""
    if device.type != "cuda":
        return most
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's cache, free to use
    return batch_for(free + kept, dtype, most)


def batch_for(free: int, dtype: torch.dtype, most: int) -> int:
    """Returns the number of frames that fit `free` bytes, 1 … min(`most`, LARGEST_BATCH)."""
    return max(1, min(most, LARGEST_BATCH, int(free * USABLE_SHARE) // frame_bytes(dtype)))


def frame_bytes(dtype: torch.dtype) -> int:
    """Returns the bytes that warping and decoder hold for one frame."""
    return FRAME_BYTES * dtype.itemsize // torch.float32.itemsize
