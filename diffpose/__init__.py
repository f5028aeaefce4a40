"""Speech to motion: the public names."""

from .diffusion.samplers import Guidance, SampleOptions
from .generator import MotionGenerator, MotionOptions, choose_generator
from .live import LiveGenerator, live_stream
from .steering.style import MotionStatistics, Style, motion_statistics

__all__ = [
    "Guidance",
    "LiveGenerator",
    "MotionGenerator",
    "MotionOptions",
    "MotionStatistics",
    "SampleOptions",
    "Style",
    "choose_generator",
    "live_stream",
    "motion_statistics",
]
