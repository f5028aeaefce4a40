"""ComfyUI's door to the pack: the tables of nodes and the folder of browser scripts."""

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

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]

host.report_clashes(NODE_CLASS_MAPPINGS)
host.answer_posts(preview.ROUTE, preview.GALLERY.answer)
host.answer_posts(demo_files.ROUTE, demo_files.answer)
host.serve_pictures(templates.PICTURES_ROUTE, templates.PICTURES)
