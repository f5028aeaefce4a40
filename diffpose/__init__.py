"""Speech to motion: the public names."""

from .generator import MotionGenerator, MotionOptions, choose_generator
from .steering.style import MotionStatistics, Style, motion_statistics

__all__ = [
    "MotionGenerator",
    "MotionOptions",
    "MotionStatistics",
    "Style",
    "choose_generator",
    "motion_statistics",
]
