"""Portrait and motion to frames: the public names."""

from .choice import choose_renderer
from .faces.crop import Crop, CropOptions
from .faces.faces import Face, FaceFinder, NoFaceError
from .faces.search import find_faces
from .media.audio import Audio, load_audio
from .media.picture import as_picture, load_picture
from .media.rates import frame_count, frame_rate
from .media.video import Video, VideoOptions, read_video, write_video
from .motion.controls import Controls, from_expression, to_expression
from .motion.sequence import MotionFrame, MotionSequence, join
from .render.portrait import Portrait, Renderer, RenderOptions
from .render.render import render

__all__ = [
    "Audio",
    "Controls",
    "Crop",
    "CropOptions",
    "Face",
    "FaceFinder",
    "MotionFrame",
    "MotionSequence",
    "NoFaceError",
    "Portrait",
    "RenderOptions",
    "Renderer",
    "Video",
    "VideoOptions",
    "as_picture",
    "choose_renderer",
    "find_faces",
    "frame_count",
    "frame_rate",
    "from_expression",
    "join",
    "load_audio",
    "load_picture",
    "read_video",
    "render",
    "to_expression",
    "write_video",
]
