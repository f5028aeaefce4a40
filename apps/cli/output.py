"""A portrait and its motion to the video that the arguments name."""

import argparse

from ...lp_core.media.audio import Audio
from ...lp_core.media.video import write_video
from ...lp_core.motion.sequence import MotionSequence
from ...lp_core.render.portrait import Portrait
from ...lp_core.render.render import render
from .console import say, watched
from .inputs import render_options


def write(given: argparse.Namespace, portrait: Portrait, motion: MotionSequence, audio: Audio | None) -> None:
    """Write the video, and the motion where that is asked for."""
    if given.save_motion is not None:
        motion.save(given.save_motion)
    batches = render(portrait, motion, render_options(given))
    frames = write_video(given.output, watched(given, batches, len(motion)), motion.fps, audio)
    if not given.quiet:
        say(
            f"{given.output}: {frames} frames at {float(motion.fps):g} a second, {portrait.renderer.name} renderer."
        )
