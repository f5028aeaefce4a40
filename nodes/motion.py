"""Where motion comes from: a voice, a clip, a file."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..diffpose.generator import GENERATORS, choose_generator
from ..diffpose.options import MAXIMUM_STRENGTH, POSES, MotionOptions
from ..diffpose.samplers import Guidance, SampleOptions
from ..diffpose.style import Style
from ..lp_core.extractor import Extraction
from ..lp_core.motion import MotionSequence, frame_rate
from ..lp_core.renderer import choose_renderer, extractor_for
from ..lp_core.templates import MOTION_SUFFIXES, load_motion
from . import host
from .node import Node
from .wires import audio_of, frames_of, sound_of, stack_of

if TYPE_CHECKING:
    from ..lp_core.video import Video

_log = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif")
EXTRACTORS = ("auto", "landmarks", "liveportrait")
FACELESS = ("interpolate", "hold", "fail")
CHOSEN = -1  # as the neutral frame: it is chosen
FRAMES_AT_ONCE = 16


def _neutral_frame(otherwise: str) -> tuple[str, dict[str, Any]]:
    tooltip = f"Frame in which the face is at rest, counted from 0, which the motion is measured from. {otherwise}"
    return ("INT", {"default": CHOSEN, "min": CHOSEN, "max": 1_000_000, "tooltip": tooltip})


def _strength(what: str) -> tuple[str, dict[str, Any]]:
    tooltip = f"Strength of {what}: 1 as it comes, 0 none."
    return ("FLOAT", {"default": 1.0, "min": 0.0, "max": MAXIMUM_STRENGTH, "step": 0.05, "tooltip": tooltip})


class AudioToMotion(Node):
    """AUDIO to MOTION."""

    DESCRIPTION = "Turns a voice into lips, blinks, gaze and head motion. The same seed gives the same motion."
    SEARCH_ALIASES = ("talking head", "lip sync", "speech to motion", "audio driven")
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
                    "the best one that is installed."
                )}),
                "fps": ("FLOAT", {"default": 25.0, "min": 1.0, "max": 120.0, "step": 0.001, "tooltip": (
                    "Frames a second. 23.976, 29.97 and 59.94 are taken as the exact broadcast rates."
                )}),
                "seed": ("INT", {
                    "default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True,
                    "tooltip": "Chooses blinks, glances and nods; the lips follow the voice with every seed.",
                }),
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
            },
            "optional": {
                "style": ("STYLE", {"tooltip": "Somebody's manner of moving, from StyleEncode."}),
            },
        }  # fmt: skip

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
        style: Style | None = None,
    ) -> tuple[MotionSequence, dict[str, Any], float, int]:
        """The motion, the sound untouched, the frame rate and the number of frames."""
        options = MotionOptions(
            lips, brows, head, blinks, gaze, pose, lip_lead_ms, lips_only, expression, rest_in_silence
        )
        sampling = SampleOptions(steps=steps, guidance=Guidance(audio_guidance, style_guidance))
        generator = choose_generator(motion, host.device(), host.model_folders("diffpose"), sampling)
        made = generator.generate(audio_of(audio), frame_rate(fps), options, seed, style)
        return made, audio, float(made.fps), len(made)


class DriveFromVideo(Node):
    """A clip to MOTION."""

    DESCRIPTION = (
        "Reads the motion of a face in a clip, measured from its most neutral frame, to move a portrait by."
    )
    SEARCH_ALIASES = ("talking head", "driving video", "motion capture", "expression from video")
    RETURN_TYPES = ("MOTION", "AUDIO", "FLOAT", "INT", "STRING")
    RETURN_NAMES = ("motion", "audio", "fps", "frames", "report")
    OUTPUT_TOOLTIPS = (
        "The motion of the clip's face.",
        "The clip's sound, for VideoCombine; nothing when the clip is silent.",
        "Frames a second of the motion.",
        "How many frames the motion has.",
        "How many frames were read, the neutral one, and those without a face.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "video": (host.list_files("input", VIDEO_SUFFIXES), {"video_upload": True, "tooltip": (
                    "A clip with one face, from ComfyUI's input folder. Not looked at when frames are connected."
                )}),
                "target_fps": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 120.0, "step": 0.001, "tooltip": (
                    "Frames a second to bring the motion to; 0 keeps the clip's."
                )}),
                "frames_fps": ("FLOAT", {"default": 25.0, "min": 1.0, "max": 120.0, "step": 0.001, "tooltip": (
                    "Frames a second of the frames input; a file tells its own."
                )}),
                "extractor": (list(EXTRACTORS), {"default": EXTRACTORS[0], "tooltip": (
                    "What reads the motion: landmarks for the mesh renderer, liveportrait for LivePortrait's; auto "
                    "as LoadPortrait's renderer auto."
                )}),
                "neutral_frame": _neutral_frame("-1: the calmest one."),
                "faceless": (list(FACELESS), {"default": FACELESS[0], "tooltip": (
                    "What frames without a face do: move on between their neighbours, hold the last face, or stop "
                    "the run."
                )}),
                "whole_frames": ("BOOLEAN", {"default": False, "tooltip": (
                    "No face is looked for, since the clip is cropped around one already or shows an animal; "
                    "liveportrait only."
                )}),
            },
            "optional": {
                "frames": ("IMAGE", {"tooltip": "The clip as pictures from another node, in place of a file."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, video: str | None) -> bool | str:
        """Whether the clip exists; files uploaded a moment ago are not in the list yet."""
        return file_exists(video)

    @classmethod
    def IS_CHANGED(cls, video: str | None, **_others: Any) -> str:
        """What changes when the file does."""
        return host.fingerprint(video)

    def run(
        self,
        video: str,
        target_fps: float,
        frames_fps: float,
        extractor: str,
        neutral_frame: int,
        faceless: str,
        whole_frames: bool,
        frames: Tensor | None = None,
    ) -> tuple[MotionSequence, dict[str, Any] | None, float, int, str]:
        """The motion, the sound or None, the frame rate, the number of frames, and what was seen."""
        if frames is not None:
            parts = (frames_of(part) for part in stack_of(frames).split(FRAMES_AT_ONCE))
            rate, count, audio = frame_rate(frames_fps), len(frames), None
        else:
            clip = clip_named(video)
            parts, rate, count, audio = clip.frames(), clip.fps, clip.frame_count or 1, clip.audio()
        name = "mesh" if extractor == "landmarks" else extractor
        renderer = choose_renderer(name, host.device(), host.model_folders("liveportrait"))
        reader, progress = extractor_for(renderer, whole_frames), host.Progress(count)
        extraction = reader.extract(parts, rate, _index(neutral_frame), progress.step)
        motion = _settled(extraction, faceless)
        motion = motion.resampled(target_fps) if target_fps else motion
        report = _report(extraction, renderer.name)
        return motion, audio and sound_of(audio), float(motion.fps), len(motion), report


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
                "filename_prefix": ("STRING", {"default": "motion/talking_head", "tooltip": (
                    "Name in the output folder, with a subfolder if wished; a number is added."
                )}),
            }
        }  # fmt: skip

    def run(self, motion: MotionSequence, filename_prefix: str) -> dict[str, Any]:
        """The motion and the path, and what the page shows."""
        place = host.save_place(filename_prefix, ".safetensors")
        motion.save(place.path)
        return {"ui": {"text": [str(place.path)]}, "result": (motion, str(place.path))}


class LoadMotion(Node):
    """A file to MOTION."""

    DESCRIPTION = "Loads motion that SaveMotion or the command line wrote, or a LivePortrait motion template."
    SEARCH_ALIASES = ("talking head", "import motion")
    RETURN_TYPES = ("MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frames")
    OUTPUT_TOOLTIPS = ("The motion.", "Frames a second of the motion.", "How many frames the motion has.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        files = [name for kind in ("output", "input") for name in host.list_files(kind, MOTION_SUFFIXES)]
        tooltip = (
            "A motion file (.safetensors) or LivePortrait template (.pkl) in ComfyUI's output or input folder; "
            "reload the page to list new ones."
        )
        neutral = _neutral_frame("-1: a template's calmest one; a motion file keeps its own.")
        return {"required": {"file": (files, {"tooltip": tooltip}), "neutral_frame": neutral}}

    @classmethod
    def VALIDATE_INPUTS(cls, file: str | None) -> bool | str:
        """Whether the file exists; one saved a moment ago is not in the list yet."""
        return file_exists(file)

    @classmethod
    def IS_CHANGED(cls, file: str | None, **_others: Any) -> str:
        """What changes when the file does."""
        return host.fingerprint(file)

    def run(self, file: str, neutral_frame: int) -> tuple[MotionSequence, float, int]:
        """The motion, its frame rate and its number of frames."""
        motion = load_motion(host.find_file(file), _index(neutral_frame))
        return motion, float(motion.fps), len(motion)


def file_exists(name: str | None) -> bool | str:
    """True, or the sentence that ComfyUI shows; linked or empty names are left to the run."""
    if not name:
        return True
    try:
        host.find_file(name)
    except FileNotFoundError as error:
        return str(error)
    return True


def clip_named(name: str) -> "Video":
    """The video of that name in ComfyUI's input folder."""
    from ..lp_core.video import read_video

    if not name:
        raise ValueError("There is no driving clip: choose or upload a video, or connect frames.")
    return read_video(host.find_file(name))


def extracted(frames: Iterator[Tensor], fps: Fraction, count: int) -> MotionSequence:
    """The motion of the face in frames, of which there are about `count`."""
    from ..lp_core.mesh.extractor import LandmarkExtractor

    extraction = LandmarkExtractor().extract(frames, fps, on_frames=host.Progress(count).step)
    if extraction.faceless:
        _log.warning(
            "No face was seen in %d of the clip's %d frames; the motion is bridged there.",
            len(extraction.faceless), len(extraction.motion),
        )  # fmt: skip
    return extraction.motion


def _index(neutral_frame: int) -> int | None:
    """The neutral frame that a widget names; None leaves the choice."""
    return None if neutral_frame == CHOSEN else neutral_frame


def _settled(extraction: Extraction, faceless: str) -> MotionSequence:
    """The motion with frames without a face treated in one of the ways of FACELESS."""
    if extraction.faceless and faceless == "fail":
        raise ValueError(
            f"The clip has no face in {len(extraction.faceless)} of its {len(extraction.motion)} frames: "
            f"{_listed(extraction.faceless)}. Cut them out, or set faceless to interpolate or hold."
        )
    return extraction.held() if faceless == "hold" else extraction.motion


def _report(extraction: Extraction, renderer: str) -> str:
    """What was read from a clip, in a sentence."""
    without = f"frames {_listed(extraction.faceless)} have no face" if extraction.faceless else "all have a face"
    rest = "a calm face" if extraction.neutral is None else f"frame {extraction.neutral}"
    return f"{len(extraction.motion)} frames read for the {renderer} renderer, measured from {rest}; {without}."


def _listed(frames: tuple[int, ...]) -> str:
    """Frame numbers as in "3-5, 9"."""
    starts = [frame for frame in frames if frame - 1 not in frames]
    ends = [frame for frame in frames if frame + 1 not in frames]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))
