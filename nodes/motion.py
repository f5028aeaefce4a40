"""Where motion comes from: a voice, a file."""

from typing import Any

from ..diffpose.diffusion.samplers import STYLE_GUIDANCE, Guidance, SampleOptions
from ..diffpose.generator import GENERATORS, automatic_generator, choose_generator
from ..diffpose.speech.manifold import Projection
from ..diffpose.steering.options import MotionOptions
from ..diffpose.steering.style import Style
from ..diffpose.talker.driver import TalkerOptions
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.motion.templates import MOTION_SUFFIXES, load_motion
from ..lp_core.render.portrait import Portrait
from . import host, widgets
from .driving import frame_index, neutral_frame_input
from .node import Node
from .option_inputs import OptionInputs, same_names
from .page import CURVES, curves_shown, tell_generator
from .saved import ReadsFile, file_input, prefix_input, save
from .wires import audio_of

MOTION = OptionInputs(
    MotionOptions,
    same_names(
        "lips", "blinks", "gaze", "brows", "head", "pose", "lip_lead_ms", "expression", "lips_only",
        "rest_in_silence", "subtle", "mood", "mood_strength", "look",
    ),
)  # fmt: skip
GUIDANCE = OptionInputs(
    Guidance,
    {"audio_guidance": "audio", "style_guidance": "style"},
    {"style_guidance": {"default": STYLE_GUIDANCE}},
)
SAMPLING = OptionInputs(SampleOptions, same_names("steps"))


class AudioToMotion(Node):
    """AUDIO to MOTION."""

    DESCRIPTION = (
        "Generates lip, blink, gaze, brow and head motion from a voice. The same seed gives the same motion."
    )
    SEARCH_ALIASES = ("talking head", "lip sync", "speech to motion", "audio driven")
    HAS_INTERMEDIATE_OUTPUT = True  # newer versions show the curves again when the node is taken from the cache
    RETURN_TYPES = ("MOTION", "AUDIO", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "audio", "fps", "frames")
    OUTPUT_TOOLTIPS = (
        "The motion; it has the duration of the sound.",
        "The input sound, unchanged, for VideoCombine.",
        "Frame rate of the motion, in frames a second.",
        "Number of frames of the motion.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "audio": ("AUDIO", {"tooltip": "Speech at any sample rate, in any language."}),
                "motion": (list(GENERATORS), {"default": "auto", "tooltip": (
                    "Motion generator. procedural is built in; diffusion uses JoyVASA's networks; talker "
                    "generates the lips with LivePortraitTalker's networks; ditto generates all motion with "
                    "Ditto's; auto uses the best installed one."
                )}),
                "fps": widgets.frame_rate(
                    "Frame rate, in frames a second. 23.976, 29.97 and 59.94 mean the exact broadcast rates."
                ),
                "seed": widgets.seed(
                    "Random seed of blinks, glances and nods. The lips follow the voice with every seed."
                ),
                **MOTION.widgets(
                    "lips", "blinks", "gaze", "brows", "head", "pose", "lip_lead_ms", "expression", "lips_only",
                    "rest_in_silence",
                ),
                **GUIDANCE.widgets(),
                **SAMPLING.widgets(),
                **MOTION.widgets("subtle", "mood", "mood_strength", "look"),
            },
            "optional": {
                "style": ("STYLE", {"tooltip": "Style of motion of a person, from StyleEncode."}),
                "talker": ("TALKER_OPTIONS", {"tooltip": "Settings of the talker generator, from TalkerOptions."}),
                "speaker": ("SPEAKER", {"tooltip": (
                    "Speaker that the voice's features are mapped to, from BuildSpeaker."
                )}),
                "portrait": ("PORTRAIT", {"tooltip": (
                    "Portrait to be animated. The ditto generator starts from its face if liveportrait draws it; "
                    "the others ignore it."
                )}),
            },
        }  # fmt: skip

    @classmethod
    def IS_CHANGED(cls, motion: str | None, **_others: Any) -> str | None:
        """What changes when weights came or went, so that `auto` takes another generator."""
        return automatic_generator(host.model_folders("diffpose"))[0] if motion == "auto" else motion

    def run(
        self,
        audio: dict[str, Any],
        motion: str,
        fps: float,
        seed: int,
        style: Style | None = None,
        talker: TalkerOptions | None = None,
        speaker: Projection | None = None,
        portrait: Portrait | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """The motion, the sound untouched, the frame rate and the number of frames; the page shows the curves."""
        sampling = SAMPLING.value(options, guidance=GUIDANCE.value(options))
        folders = host.model_folders("diffpose")
        generator = choose_generator(motion, host.compute(), folders, sampling, talker, speaker, portrait)
        voice = audio_of(audio)
        made = generator.generate(voice, frame_rate(fps), MOTION.value(options), seed, style)
        tell_generator(motion)
        return {"ui": {CURVES: curves_shown(made, voice)}, "result": (made, audio, float(made.fps), len(made))}


class SaveMotion(Node):
    """MOTION to a file."""

    DESCRIPTION = "Saves motion to ComfyUI's output folder, for LoadMotion or the command line."
    SEARCH_ALIASES = ("talking head", "export motion")
    OUTPUT_NODE = True
    RETURN_TYPES = ("MOTION", "STRING")
    RETURN_NAMES = ("motion", "filename")
    OUTPUT_TOOLTIPS = ("The input motion, unchanged.", "Path of the file.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Style to be saved."}),
                "filename_prefix": prefix_input("motion/talking_head"),
            }
        }

    def run(self, motion: MotionSequence, filename_prefix: str) -> dict[str, Any]:
        """The motion and the path, and what the page shows."""
        return save(motion, motion.save, filename_prefix)


class LoadMotion(ReadsFile, Node):
    """A file to MOTION."""

    DESCRIPTION = "Loads motion saved by SaveMotion or the command line, or a LivePortrait motion template."
    SEARCH_ALIASES = ("talking head", "import motion")
    RETURN_TYPES = ("MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frames")
    OUTPUT_TOOLTIPS = (
        "The motion.",
        "Frame rate of the motion, in frames a second.",
        "Number of frames of the motion.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        file = file_input("A motion file (.safetensors) or LivePortrait template (.pkl)", MOTION_SUFFIXES)
        neutral = neutral_frame_input("-1: the calmest frame of a template; a motion file keeps its own.")
        return {"required": {"file": file, "neutral_frame": neutral}}

    def run(self, file: str, neutral_frame: int) -> tuple[MotionSequence, float, int]:
        """The motion, its frame rate and its number of frames."""
        motion = load_motion(host.find_file(file), frame_index(neutral_frame))
        return motion, float(motion.fps), len(motion)
