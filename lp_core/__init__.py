"""Public names of the rendering library: portraits, motion, renderers, media."""

from .choice import choose_renderer, extractor_for
from .compute.compute import Compute
from .faces.crop import Crop, CropOptions
from .faces.faces import BoxFinder, Face, FaceFinder, NoFaceError
from .faces.search import find_faces
from .live.recording import Recording
from .live.session import Audience, LiveFrame, LiveHead, LiveSession, MotionStream, Tally, measured_latency
from .media.audio import ArrivingAudio, Audio, AudioFile, load_audio
from .media.picture import as_picture, load_picture
from .media.rates import frame_count, frame_rate
from .media.video import Video, VideoOptions, read_video, write_video
from .motion.controls import Controls, from_expression, to_expression
from .motion.sequence import MotionFrame, MotionSequence, join
from .motion.templates import load_motion
from .render.extractor import Extraction, MotionExtractor
from .render.portrait import Portrait, Renderer, RenderOptions
from .render.render import render, render_together
from .weights.folders import models_folders

__all__ = [
    "ArrivingAudio",
    "Audience",
    "Audio",
    "AudioFile",
    "BoxFinder",
    "Compute",
    "Controls",
    "Crop",
    "CropOptions",
    "Extraction",
    "Face",
    "FaceFinder",
    "LiveFrame",
    "LiveHead",
    "LiveSession",
    "MotionExtractor",
    "MotionFrame",
    "MotionSequence",
    "MotionStream",
    "NoFaceError",
    "Portrait",
    "Recording",
    "RenderOptions",
    "Renderer",
    "Tally",
    "Video",
    "VideoOptions",
    "as_picture",
    "choose_renderer",
    "extractor_for",
    "find_faces",
    "frame_count",
    "frame_rate",
    "from_expression",
    "join",
    "load_audio",
    "load_motion",
    "load_picture",
    "measured_latency",
    "models_folders",
    "read_video",
    "render",
    "render_together",
    "to_expression",
    "write_video",
]
