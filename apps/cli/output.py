"""Writing of the output video and motion."""

import argparse

from ...lp_core.media.audio import Audio
from ...lp_core.media.video import write_video
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.render.portrait import Portrait, RenderOptions
from ...lp_core.render.render import render
from .arguments import options_from
from .console import say, watched


def write(given: argparse.Namespace, portrait: Portrait, motion: MotionSequence, audio: Audio | None) -> None:
    """Writes the video, and the motion when an argument names a file for it."""
    if given.save_motion is not None:
        motion.save(given.save_motion)
    batches = render(portrait, motion, options_from(given, RenderOptions))
    frames = write_video(given.output, watched(given, batches, len(motion)), motion.fps, audio)
    if not given.quiet:
        say(
            f"{given.output}: {frames} frames at {float(motion.fps):g} a second, {portrait.renderer.name} renderer."
        )
