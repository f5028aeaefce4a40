"""The render loops, which draw motion batch by batch."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor

from ..faces.crop import paste
from ..motion.retarget import transfer
from ..motion.sequence import MotionFrame, MotionSequence
from .portrait import Portrait, Renderer, RenderOptions, StartingRenderer


def render(
    portrait: Portrait,
    motion: MotionSequence | Iterable[MotionSequence],
    options: RenderOptions | None = None,
    on_frames: Callable[[int], None] | None = None,
) -> Iterator[Tensor]:
    """Yields batches of frames (B, H, W, 3) in 0…1, drawn lazily.

    Args:
        portrait: the portrait to draw, by the renderer that prepared it.
        motion: a motion, or consecutive parts of one from a stream.
        options: batch size, paste-back and so on.
        on_frames: called after each batch with the number of frames drawn in it; may raise to stop.
    """
    settings = options or RenderOptions()
    for frames in _in_turn(_started(portrait, motion, settings), _ahead(portrait.renderer)):
        if on_frames is not None:
            on_frames(len(frames))
        yield frames


def _started(
    portrait: Portrait, motion: MotionSequence | Iterable[MotionSequence], options: RenderOptions
) -> Iterator[Callable[[], Tensor]]:
    """Yields functions that return a batch; drawing has started already where the renderer supports it."""
    renderer = portrait.renderer
    for stretch in [motion] if isinstance(motion, MotionSequence) else motion:
        for start in range(0, len(stretch), options.batch_size):
            own = own_motion(portrait, stretch[start : start + options.batch_size], options)
            if isinstance(renderer, StartingRenderer):
                yield renderer.start(portrait, own, options)
            else:
                yield partial(renderer.draw, portrait, own, options)


def _ahead(renderer: Renderer) -> int:
    return renderer.batches_ahead if isinstance(renderer, StartingRenderer) else 0


def _in_turn(started: Iterable[Callable[[], Tensor]], ahead: int) -> Iterator[Tensor]:
    """Yields the batches, waiting for each only after `ahead` later ones have been started."""
    pending: deque[Callable[[], Tensor]] = deque()
    for batch in started:
        pending.append(batch)
        if len(pending) > ahead:
            yield pending.popleft()()
    while pending:
        yield pending.popleft()()


def own_motion(portrait: Portrait, motion: MotionSequence, options: RenderOptions) -> MotionSequence:
    """The portrait's own frames under the driver's motion, transferred as the options specify."""
    rest = portrait.rest.to(motion.expression.device)
    return transfer(motion, rest, options.relative, options.regions, options.keep_identity)


def render_together(
    portraits: Sequence[Portrait], motions: Sequence[MotionSequence], options: RenderOptions | None = None
) -> Iterator[Tensor]:
    """Yields batches of frames (B, H, W, 3) in which several faces of one picture move, each by its own motion.

    Each face is drawn as a crop and pasted, in order, over those before it. The number of frames is that of the
    longest motion; the others hold their last frame.

    Args:
        portraits: faces of the same picture, of any renderers.
        motions: one for each portrait, all of one frame rate.
        options: as for `render`; frames are always the whole picture.

    Raises:
        ValueError: there are no portraits, not one motion for each, or pictures or frame rates differ.
    """
    settings = replace(options or RenderOptions(), paste_back=False)
    _check_together(portraits, motions)
    frames = max(len(motion) for motion in motions)
    lengthened = [motion.resampled(motion.fps, frames) for motion in motions]
    for start in range(0, frames, settings.batch_size):
        drawn = portraits[0].picture[None]
        for portrait, motion in zip(portraits, lengthened, strict=True):
            own = own_motion(portrait, motion[start : start + settings.batch_size], settings)
            crops = portrait.renderer.draw(portrait, own, settings)
            drawn = paste(crops, portrait.crop.to_picture, drawn, settings.mask)
        yield drawn


def render_over(
    portrait: Portrait, motion: MotionSequence, background: Tensor, options: RenderOptions | None = None
) -> Iterator[Tensor]:
    """Yields batches of frames (B, H, W, 3) with the face pasted over other frames of its picture.

    So several faces can be added to a picture one by one. The number of frames is that of the longer of motion and
    background; the other holds its last frame.

    Args:
        portrait: the portrait to draw.
        motion: its motion.
        background: (T, H, W, 3) frames of the portrait's picture, such as another face's.
        options: as for `render`; frames are always the whole picture.

    Raises:
        ValueError: the background does not have the picture's size.
    """
    if background.shape[1:] != portrait.picture.shape:
        raise ValueError(
            f"The background's frames are {tuple(background.shape[1:])} and the portrait's picture is "
            f"{tuple(portrait.picture.shape)}; give frames of the same picture."
        )
    settings = options or RenderOptions()
    lengthened = motion.resampled(motion.fps, max(len(motion), len(background)))
    done = 0
    for crops in render(portrait, lengthened, replace(settings, paste_back=False)):
        places = torch.arange(done, done + len(crops)).clamp(max=len(background) - 1)
        yield paste(crops, portrait.crop.to_picture, background[places].to(crops), settings.mask)
        done += len(crops)


def _check_together(portraits: Sequence[Portrait], motions: Sequence[MotionSequence]) -> None:
    if not portraits or len(portraits) != len(motions):
        raise ValueError(f"Give every portrait its motion; got {len(portraits)} portraits, {len(motions)} motions.")
    if any(portrait.picture.shape != portraits[0].picture.shape for portrait in portraits):
        raise ValueError("The portraits are of pictures of different sizes; prepare them from one picture.")
    if len({motion.fps for motion in motions}) > 1:
        raise ValueError("The motions have different frame rates; resample them to one.")


def clip_motion(portraits: Iterable[Portrait], fps: float | Fraction) -> MotionSequence:
    """The pose and expression of a clip's own face in each frame, from the portraits of its frames."""
    rests = [portrait.rest.to("cpu") for portrait in portraits]
    if not rests:
        raise ValueError("The clip has no frames.")
    values = {name: torch.stack([getattr(rest, name) for rest in rests]) for name in MotionFrame.SHAPES}
    return MotionSequence(**values, fps=Fraction(fps), rest=rests[0])


def render_clip(
    portraits: Iterable[Portrait], own: MotionSequence, options: RenderOptions | None = None
) -> Iterator[Tensor]:
    """Yields frames (1, H, W, 3) of a clip with another motion of its face: each frame is a portrait of its own.

    Args:
        portraits: portraits of the clip's frames, in order; consumed lazily, none is kept.
        own: motion of the clip's face, from `retarget.transfer_to_clip`.
        options: as for `render`; `relative`, `regions` and `anchored` have no effect here.
    """
    settings = replace(options or RenderOptions(), anchored=False)
    for index, portrait in zip(range(len(own)), portraits, strict=False):
        yield portrait.renderer.draw(portrait, own[index : index + 1], settings)
