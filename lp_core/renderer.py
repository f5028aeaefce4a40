"""The choice of a renderer, and the loop that draws a motion with it."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .motion import MotionSequence
from .portrait import Portrait, Renderer, RenderOptions
from .retarget import relative_to

RENDERERS = ("auto", "mesh", "liveportrait")


def choose_renderer(name: str = "auto", device: torch.device | str = "auto") -> Renderer:
    """The renderer called `name`; `auto` is the built-in mesh renderer, which needs no weights.

    Raises:
        ValueError: an unknown name, or a renderer whose weights are not there.
    """
    from .mesh.renderer import MeshRenderer

    if name not in RENDERERS:
        raise ValueError(f"There is no renderer {name!r}; choose from {', '.join(RENDERERS)}.")
    if name == "liveportrait":
        raise ValueError("LivePortrait's weights are not installed; choose the renderer `mesh`, which needs none.")
    return MeshRenderer(choose_device(device))


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
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"The device {device!r} cannot be used ({reason}); give auto, cpu, cuda or mps."
        ) from error


def render(
    portrait: Portrait,
    motion: MotionSequence | Iterable[MotionSequence],
    options: RenderOptions | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> Iterator[Tensor]:
    """Batches of frames (B, H, W, 3) in 0…1, drawn as they are asked for.

    Args:
        portrait: who is drawn, by the renderer that prepared it.
        motion: a motion, or stretches of one as they arrive from a stream.
        options: batch size, paste-back and so on.
        on_frames: called after each batch with the number of frames drawn in it; may raise to stop.
    """
    settings = options or RenderOptions()
    for stretch in [motion] if isinstance(motion, MotionSequence) else motion:
        for start in range(0, len(stretch), settings.batch_size):
            batch = stretch[start : start + settings.batch_size]
            own = relative_to(batch, portrait.rest) if settings.relative else batch
            frames = portrait.renderer.draw(portrait, own, settings)
            if on_frames is not None:
                on_frames(len(frames))
            yield frames
