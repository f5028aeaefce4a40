"""A talking head from a portrait and a voice: the names of the Python API, and ComfyUI's tables of nodes.

The names of the API are imported when they are first used, so that ComfyUI, which reads the tables alone, does not
wait for them. `talking_head.animate("portrait.jpg", "voice.wav").write("talking.mp4")` is the shortest way.
"""

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .nodes import demo_files, host, preview, templates
from .nodes.doctor import Doctor
from .nodes.driving import DriveFromVideo
from .nodes.dubbing import DubVideo
from .nodes.edit import PupilControl, RetargetEye, RetargetLip
from .nodes.experimental import BodySway, ReferenceSetRender
from .nodes.expression import ExpressionEdit
from .nodes.learned_pose import LearnedPose, SadTalkerPose
from .nodes.motion import AudioToMotion, LoadMotion, SaveMotion
from .nodes.node import Node
from .nodes.plot import MotionPlot
from .nodes.portrait import LoadPortrait
from .nodes.pose import MotionFilter, PoseKeyframes, ReferencePose, SyntheticPose
from .nodes.reenact import ReenactVideo
from .nodes.render import LivePortraitRender
from .nodes.render_to_file import RenderToFile
from .nodes.speak_live import SpeakLive
from .nodes.speaker import BuildSpeaker, LoadSpeaker, ProjectLips, SaveSpeaker
from .nodes.style import LoadStyle, MixStyles, SaveStyle, StyleEncode
from .nodes.talker import TalkerOptions
from .nodes.video import VideoCombine
from .nodes.voices import MixVoices

if TYPE_CHECKING:
    from .apps.animation import Animation, animate
    from .diffpose import (
        Guidance,
        LiveGenerator,
        MotionGenerator,
        MotionOptions,
        MotionStatistics,
        SampleOptions,
        Style,
        choose_generator,
        live_stream,
        motion_statistics,
    )
    from .lp_core import (
        ArrivingAudio,
        Audience,
        Audio,
        AudioFile,
        BoxFinder,
        Controls,
        Crop,
        CropOptions,
        Extraction,
        Face,
        FaceFinder,
        LiveFrame,
        LiveHead,
        LiveSession,
        MotionExtractor,
        MotionFrame,
        MotionSequence,
        MotionStream,
        NoFaceError,
        Portrait,
        Recording,
        Renderer,
        RenderOptions,
        Tally,
        Video,
        VideoOptions,
        as_picture,
        choose_renderer,
        extractor_for,
        find_faces,
        frame_count,
        frame_rate,
        from_expression,
        join,
        load_audio,
        load_motion,
        load_picture,
        measured_latency,
        read_video,
        render,
        render_together,
        to_expression,
        write_video,
    )

    __version__: str

NODES: dict[type[Node], str] = {
    LoadPortrait: "Load Portrait",
    AudioToMotion: "Audio to Motion",
    MixVoices: "Mix Voices",
    StyleEncode: "Style Encode",
    MixStyles: "Mix Styles",
    SaveStyle: "Save Style",
    LoadStyle: "Load Style",
    TalkerOptions: "Talker Options",
    BuildSpeaker: "Build Speaker",
    SaveSpeaker: "Save Speaker",
    LoadSpeaker: "Load Speaker",
    DriveFromVideo: "Drive from Video",
    LoadMotion: "Load Motion",
    SaveMotion: "Save Motion",
    RetargetLip: "Retarget Lip",
    RetargetEye: "Retarget Eye",
    PupilControl: "Pupil Control",
    ExpressionEdit: "Expression Edit",
    ProjectLips: "Project Lips",
    ReferencePose: "Reference Pose",
    PoseKeyframes: "Pose Keyframes",
    SyntheticPose: "Synthetic Pose",
    LearnedPose: "Learned Pose",
    SadTalkerPose: "SadTalker Pose",
    MotionFilter: "Motion Filter",
    MotionPlot: "Motion Plot",
    DubVideo: "Dub Video",
    ReferenceSetRender: "Reference Set Render",
    BodySway: "Body Sway",
    ReenactVideo: "Reenact Video",
    LivePortraitRender: "LivePortrait Render",
    RenderToFile: "Render to File (Talking Head)",
    SpeakLive: "Speak Live (Talking Head)",
    VideoCombine: "Video Combine (Talking Head)",
    Doctor: "Doctor (Talking Head)",
}
NODE_CLASS_MAPPINGS: dict[str, type] = {node.__name__: node for node in NODES}  # ids stand in every saved workflow
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {node.__name__: title for node, title in NODES.items()}
WEB_DIRECTORY = "./web/js"

API = ("apps.animation", "diffpose", "lp_core")  # modules whose public names are the API's, searched in this order

__all__ = [
    "NODE_CLASS_MAPPINGS",
    "NODE_DISPLAY_NAME_MAPPINGS",
    "WEB_DIRECTORY",
    "Animation",
    "ArrivingAudio",
    "Audience",
    "Audio",
    "AudioFile",
    "BoxFinder",
    "Controls",
    "Crop",
    "CropOptions",
    "Extraction",
    "Face",
    "FaceFinder",
    "Guidance",
    "LiveFrame",
    "LiveGenerator",
    "LiveHead",
    "LiveSession",
    "MotionExtractor",
    "MotionFrame",
    "MotionGenerator",
    "MotionOptions",
    "MotionSequence",
    "MotionStatistics",
    "MotionStream",
    "NoFaceError",
    "Portrait",
    "Recording",
    "RenderOptions",
    "Renderer",
    "SampleOptions",
    "Style",
    "Tally",
    "Video",
    "VideoOptions",
    "__version__",
    "animate",
    "as_picture",
    "choose_generator",
    "choose_renderer",
    "extractor_for",
    "find_faces",
    "frame_count",
    "frame_rate",
    "from_expression",
    "join",
    "live_stream",
    "load_audio",
    "load_motion",
    "load_picture",
    "measured_latency",
    "motion_statistics",
    "read_video",
    "render",
    "render_together",
    "to_expression",
    "write_video",
]


if not TYPE_CHECKING:  # type checkers know the imports above, and so see which names do not exist

    def __getattr__(name: str) -> Any:
        """The value of a public name that was not used before."""
        if name == "__version__":
            return _version()
        for module in map(_imported, API if name in __all__ else ()):
            if name in module.__all__:
                globals()[name] = getattr(module, name)  # found at once from now on
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _imported(module: str) -> Any:
    return import_module(f".{module}", __name__)


def _version() -> str:
    """The version in pyproject.toml, which ComfyUI's registry wants to be written there and is installed along."""
    project = Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'^version = "(.+)"$', project, re.MULTILINE)[0]


host.report_clashes(NODE_CLASS_MAPPINGS)
host.answer_posts(preview.ROUTE, preview.GALLERY.answer)
host.answer_posts(demo_files.ROUTE, demo_files.answer)
host.serve_pictures(templates.PICTURES_ROUTE, templates.PICTURES)
