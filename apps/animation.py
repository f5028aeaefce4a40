"""A portrait with its motion, and the pipeline from files to a video in one call."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from torch import Tensor

from ..diffpose.generator import MotionGenerator, choose_generator
from ..diffpose.steering.options import MotionOptions
from ..diffpose.steering.style import Style
from ..lp_core.media.audio import Audio, AudioFile
from ..lp_core.media.rates import frame_rate
from ..lp_core.media.video import VideoOptions, write_video
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.render.portrait import Portrait, RenderOptions
from ..lp_core.render.render import render

__all__ = ["Animation", "animate"]

FPS = 25


@dataclass(frozen=True, eq=False)
class Animation:
    """A portrait with its motion; frames are drawn lazily, and none is kept.

    Attributes:
        portrait: drawn by the renderer that prepared it.
        motion: T frames of motion.
        audio: sound of the same duration; None for a silent video.
        options: how frames are drawn.
    """

    portrait: Portrait
    motion: MotionSequence
    audio: Audio | None = None
    options: RenderOptions = field(default_factory=RenderOptions)

    @property
    def fps(self) -> Fraction:
        """Exact frames per second."""
        return self.motion.fps

    def __len__(self) -> int:
        return len(self.motion)

    def frames(self, on_frames: Callable[[int], None] | None = None) -> Iterator[Tensor]:
        """Batches of frames (B, H, W, 3) float32 RGB in 0…1 on the renderer's device, drawn anew at each call.

        Args:
            on_frames: called after each batch with the number of frames in it; may raise to stop.
        """
        return render(self.portrait, self.motion, self.options, on_frames)

    def write(
        self,
        path: str | os.PathLike[str],
        options: VideoOptions | None = None,
        on_frames: Callable[[int], None] | None = None,
    ) -> int:
        """Encodes the frames with the sound into a file, whole or not at all; returns the number of frames.

        Args:
            path: the file; its suffix selects the format, such as .mp4, .webm, .mov, .gif or .webp.
            options: quality, speed, format and metadata.
            on_frames: as for `frames`.

        Raises:
            ValueError: the suffix is of no video format, or the format does not have an option.
            OSError: the folder does not exist or cannot be written to, or writing failed.
        """
        return write_video(path, self.frames(on_frames), self.fps, self.audio, options)


def animate(
    portrait: Portrait | str | os.PathLike[str],
    voice: Audio | str | os.PathLike[str],
    fps: float | str | Fraction = FPS,
    motion_options: MotionOptions | None = None,
    render_options: RenderOptions | None = None,
    seed: int = 0,
    style: Style | None = None,
    generator: MotionGenerator | None = None,
) -> Animation:
    """Animates a portrait with a voice: ceil(duration · fps) frames, with the voice as their sound.

    The motion is generated before this returns; frames are drawn by `Animation.frames` and `Animation.write`.

    Args:
        portrait: a picture file, of which the largest face is used, or a portrait from `Portrait.load`.
        voice: a sound file or a video with sound, read piece by piece, or a sound.
        fps: frames per second.
        motion_options: which parts move and how much; natural motion when None.
        render_options: how frames are drawn; the whole picture when None.
        seed: 0 or more; the same seed gives the same motion, bit for bit.
        style: style of the motion; a typical talker's when None.
        generator: motion generator; `choose_generator()` for this portrait when None.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file cannot be read, or the generator does not accept the frame rate, seed or style.
        NoFaceError: there is no face in the picture.
    """
    audio = voice if isinstance(voice, Audio) else AudioFile(voice)
    face = portrait if isinstance(portrait, Portrait) else Portrait.load(portrait)
    made_by = generator or choose_generator(portrait=face)
    motion = made_by.generate(audio, frame_rate(fps), motion_options, seed, style)
    return Animation(face, motion, audio, render_options or RenderOptions())
