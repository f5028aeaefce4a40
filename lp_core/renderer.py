"""The loop that draws a motion, whoever the renderer is."""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

from .motion import MotionSequence
from .portrait import Portrait, RenderOptions
from .retarget import relative_to


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
