"""Where motion comes from: a voice, a file."""

from typing import Any

from ..diffpose.diffusion.samplers import Guidance, SampleOptions
from ..diffpose.generator import GENERATORS, automatic_generator, choose_generator
from ..diffpose.speech.manifold import Projection
from ..diffpose.steering.options import LOOKS, MAXIMUM_STRENGTH, MOODS, POSES, MotionOptions
from ..diffpose.steering.style import Style
from ..diffpose.talker.driver import TalkerOptions
from ..lp_core.media.rates import frame_rate
from ..lp_core.motion.sequence import MotionSequence
from ..lp_core.motion.templates import MOTION_SUFFIXES, load_motion
from ..lp_core.render.portrait import Portrait
from . import host, widgets
from .driving import frame_index, neutral_frame_input
from .node import Node
from .page import CURVES, curves_shown, tell_generator
from .saved import ReadsFile, file_input, prefix_input, save
from .wires import audio_of


def _strength(what: str) -> tuple[str, dict[str, Any]]:
    tooltip = f"Strength of {what}: 1 as it comes, 0 none."
    return ("FLOAT", {"default": 1.0, "min": 0.0, "max": MAXIMUM_STRENGTH, "step": 0.05, "tooltip": tooltip})


class AudioToMotion(Node):
    """AUDIO to MOTION."""

    DESCRIPTION = "Turns a voice into lips, blinks, gaze and head motion. The same seed gives the same motion."
    SEARCH_ALIASES = ("talking head", "lip sync", "speech to motion", "audio driven")
    HAS_INTERMEDIATE_OUTPUT = True  # newer versions show the curves again when the node is taken from the cache
    RETURN_TYPES = ("MOTION", "AUDIO", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "audio", "fps", "frames")
    OUTPUT_TOOLTIPS = (
        "The motion, as long as the sound.",
        "The sound as it came in, for VideoCombine.",
        "Frames a second of the motion.",
        "How many frames the motion has.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "audio": ("AUDIO", {"tooltip": "A voice, at any sample rate, in any language."}),
                "motion": (list(GENERATORS), {"default": "auto", "tooltip": (
                    "What makes the motion. procedural is built in; diffusion uses JoyVASA's networks; auto takes "
                    "the best one that is installed. talker makes the lips by LivePortraitTalker's networks, ditto "
                    "all by Ditto's."
                )}),
                "fps": widgets.frame_rate(
                    "Frames a second. 23.976, 29.97 and 59.94 are taken as the exact broadcast rates."
                ),
                "seed": widgets.seed(
                    "Chooses blinks, glances and nods; the lips follow the voice with every seed."
                ),
                "lips": _strength("lip motion"),
                "blinks": _strength("blinking, as how often"),
                "gaze": _strength("glances"),
                "brows": _strength("brow motion"),
                "head": _strength("head motion"),
                "pose": (list(POSES), {"default": POSES[0], "tooltip": (
                    "synthetic moves the head with the speech; still leaves it as it is in the portrait."
                )}),
                "lip_lead_ms": ("FLOAT", {"default": 30.0, "min": -300.0, "max": 300.0, "step": 5.0, "tooltip": (
                    "How far the lips are ahead of the sound, milliseconds; a little looks natural."
                )}),
                "expression": _strength("the whole face's expression, lips and brows included"),
                "lips_only": ("BOOLEAN", {"default": False, "tooltip": (
                    "Moves the lips and nothing else, whatever the other strengths say."
                )}),
                "rest_in_silence": ("BOOLEAN", {"default": True, "tooltip": (
                    "Lets the lips rest while nobody speaks; off leaves them to the network. "
                    "procedural rests in any case."
                )}),
                "audio_guidance": ("FLOAT", {"default": 2.0, "min": 0.0, "max": 10.0, "step": 0.1, "tooltip": (
                    "How closely diffusion follows the voice: 1 plainly, more exaggerates."
                )}),
                "style_guidance": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.1, "tooltip": (
                    "How closely diffusion follows a learned style, times the style's strength."
                )}),
                "steps": ("INT", {"default": 10, "min": 1, "max": 1000, "tooltip": (
                    "Denoising steps of diffusion: 10 is quick, 50 fine; never more than it was trained with."
                )}),
                "subtle": _strength(
                    "small expressions beside the speech: brow flashes on emphasis, lid tension, one-sided smiles"
                ),
                "mood": (list(MOODS), {"default": MOODS[0], "tooltip": (
                    "A mood that the face holds through speech and silence."
                )}),
                "mood_strength": _strength("the mood"),
                "look": (list(LOOKS), {"default": LOOKS[0], "tooltip": (
                    "natural is the generator's own gaze; viewer locks the eyes on the viewer while the head turns."
                )}),
            },
            "optional": {
                "style": ("STYLE", {"tooltip": "Somebody's manner of moving, from StyleEncode."}),
                "talker": ("TALKER_OPTIONS", {"tooltip": "How talker is run, from TalkerOptions."}),
                "speaker": ("SPEAKER", {"tooltip": "Whose sounds the voice is brought to, from BuildSpeaker."}),
                "portrait": ("PORTRAIT", {"tooltip": (
                    "Who is going to speak: ditto sets out from that face when liveportrait draws it."
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
        lips: float,
        blinks: float,
        gaze: float,
        brows: float,
        head: float,
        pose: str,
        lip_lead_ms: float,
        expression: float,
        lips_only: bool,
        rest_in_silence: bool,
        audio_guidance: float,
        style_guidance: float,
        steps: int,
        subtle: float,
        mood: str,
        mood_strength: float,
        look: str,
        style: Style | None = None,
        talker: TalkerOptions | None = None,
        speaker: Projection | None = None,
        portrait: Portrait | None = None,
    ) -> dict[str, Any]:
        """The motion, the sound untouched, the frame rate and the number of frames; the page shows the curves."""
        options = MotionOptions(
            lips, brows, head, blinks, gaze, pose, lip_lead_ms, lips_only, expression, rest_in_silence,
            subtle, mood, mood_strength, look,
        )  # fmt: skip
        sampling = SampleOptions(steps=steps, guidance=Guidance(audio_guidance, style_guidance))
        folders = host.model_folders("diffpose")
        generator = choose_generator(motion, host.compute(), folders, sampling, talker, speaker, portrait)
        voice = audio_of(audio)
        made = generator.generate(voice, frame_rate(fps), options, seed, style)
        tell_generator(motion)
        return {"ui": {CURVES: curves_shown(made, voice)}, "result": (made, audio, float(made.fps), len(made))}


class SaveMotion(Node):
    """MOTION to a file."""

    DESCRIPTION = "Saves motion to ComfyUI's output folder, for LoadMotion or the command line."
    SEARCH_ALIASES = ("talking head", "export motion")
    OUTPUT_NODE = True
    RETURN_TYPES = ("MOTION", "STRING")
    RETURN_NAMES = ("motion", "filename")
    OUTPUT_TOOLTIPS = ("The motion as it came in.", "The file that was written.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "What is saved."}),
                "filename_prefix": prefix_input("motion/talking_head"),
            }
        }

    def run(self, motion: MotionSequence, filename_prefix: str) -> dict[str, Any]:
        """The motion and the path, and what the page shows."""
        return save(motion, motion.save, filename_prefix)


class LoadMotion(ReadsFile, Node):
    """A file to MOTION."""

    DESCRIPTION = "Loads motion that SaveMotion or the command line wrote, or a LivePortrait motion template."
    SEARCH_ALIASES = ("talking head", "import motion")
    RETURN_TYPES = ("MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frames")
    OUTPUT_TOOLTIPS = ("The motion.", "Frames a second of the motion.", "How many frames the motion has.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        file = file_input("A motion file (.safetensors) or LivePortrait template (.pkl)", MOTION_SUFFIXES)
        neutral = neutral_frame_input("-1: a template's calmest one; a motion file keeps its own.")
        return {"required": {"file": file, "neutral_frame": neutral}}

    def run(self, file: str, neutral_frame: int) -> tuple[MotionSequence, float, int]:
        """The motion, its frame rate and its number of frames."""
        motion = load_motion(host.find_file(file), frame_index(neutral_frame))
        return motion, float(motion.fps), len(motion)
