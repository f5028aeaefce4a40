"""Acceleration of networks: compiled by torch, or recorded as CUDA graphs; both for fixed shapes.

torch.compile is tested on CPUs; CUDA graphs have not been run on a GPU yet.
"""

import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

ACCELERATIONS = ("none", "compile", "graphs")
WARM_UPS = 3  # calls before a graph is recorded, since CUDA's libraries choose their algorithms in the first ones

Draw = Callable[..., Tensor]
"""A function from tensors of one device to a tensor that does the same work in every call."""

_log = logging.getLogger(__name__)


def accelerated(draw: Draw, how: str, device: torch.device, weights: nn.Module) -> Draw:
    """Returns `draw` accelerated; unchanged for "none", and, with a warning logged, for graphs without CUDA.

    Raises:
        ValueError: `how` is not one of ACCELERATIONS.
    """
    if how not in ACCELERATIONS:
        raise ValueError(f"There is no acceleration {how!r}; choose from {', '.join(ACCELERATIONS)}.")
    if how == "compile":
        return Compiled(draw)
    if how == "graphs" and device.type == "cuda":
        return Graphed(draw, weights)
    if how == "graphs":
        _log.warning("CUDA graphs need a CUDA device; LivePortrait draws without them on %s.", device.type)
    return draw


class Compiled:
    """A function that torch compiles in its first call, with the time logged; run uncompiled where that fails."""

    def __init__(self, draw: Draw) -> None:
        self._plain, self._compiled = draw, torch.compile(draw, dynamic=False)
        self._seen: set[tuple[torch.Size, ...]] = set()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Returns the result of the function."""
        shapes = tuple(one.shape for one in inputs)
        if shapes in self._seen or self._compiled is self._plain:
            return self._compiled(*inputs)
        _log.info("Compiling LivePortrait's networks; this may take minutes.")
        start = time.perf_counter()
        try:
            result = self._compiled(*inputs)
        except (RuntimeError, ImportError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            _log.warning("torch.compile cannot run here (%s); LivePortrait draws without it.", reason)
            self._compiled = self._plain
            return self._plain(*inputs)
        self._seen.add(shapes)
        _log.info("Compiled in %.0f s.", time.perf_counter() - start)
        return result


class Graphed:
    """A function whose work is recorded in its first call and replayed in later ones.

    A recording holds the addresses of its inputs and of the weights; when those have moved, it is recorded anew.

    Args:
        draw: the function to record.
        weights: the networks that it runs.
        record: called with the function and its inputs, returns the recorded function; CUDA graphs when None.
    """

    def __init__(
        self, draw: Draw, weights: nn.Module, record: Callable[[Draw, tuple[Tensor, ...]], Draw] | None = None
    ) -> None:
        self._draw, self._weights, self._record = draw, weights, record or recorded_on_cuda
        self._place = 0
        self._recordings: dict[tuple[torch.Size, ...], Draw] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Returns the result of the function."""
        place, shapes = next(self._weights.parameters()).data_ptr(), tuple(one.shape for one in inputs)
        if place != self._place:
            self._recordings.clear()
            self._place = place
        if shapes not in self._recordings:
            self._recordings[shapes] = self._record(self._draw, inputs)
        return self._recordings[shapes](*inputs)


def recorded_on_cuda(draw: Draw, inputs: tuple[Tensor, ...]) -> Draw:
    """Returns `draw` recorded as a CUDA graph, for inputs of the shapes and device of `inputs`."""
    own, beside = [one.clone() for one in inputs], torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            draw(*own)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = draw(*own)

    def played(*given: Tensor) -> Tensor:
        for place, one in zip(own, given, strict=True):
            place.copy_(one)
        graph.replay()
        return result.clone()

    return played
