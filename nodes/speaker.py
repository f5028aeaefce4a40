"""A speaker's sounds: out of a voice, in files, and another person's lips brought to them."""

from typing import Any

from ..diffpose.encoders import ENCODERS, hear
from ..diffpose.speech.manifold import BANK_LIMIT, NEIGHBOURS, Projection, SpeechBank, build_bank, project_lips
from ..lp_core.motion.sequence import MotionSequence
from . import host
from .node import Node
from .saved import ReadsFile, file_input, prefix_input, save
from .wires import audio_of

BANK_SUFFIXES = (".safetensors", ".npy")
STRENGTH = ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
    "How near voices are brought to this speaker's sounds: 0 leaves them, 1 says all in the speaker's sounds."
)})  # fmt: skip
NEIGHBOUR_COUNT = ("INT", {"default": NEIGHBOURS, "min": 1, "max": 100, "tooltip": (
    "How many of the speaker's sounds each sound is put together from; 1 takes the nearest as it is."
)})  # fmt: skip
SPEAKER_OUT = "The speaker, for AudioToMotion or LearnedPose."


class BuildSpeaker(Node):
    """AUDIO to SPEAKER."""

    DESCRIPTION = (
        "Remembers how somebody's voice sounds to a motion generator, so that singing, noise, another voice or a "
        "foreign one moves the lips as that person's would."
    )
    SEARCH_ALIASES = ("talking head", "speech bank", "manifold projection", "locally linear embedding")
    RETURN_TYPES = ("SPEAKER", "INT")
    RETURN_NAMES = ("speaker", "sounds")
    OUTPUT_TOOLTIPS = (SPEAKER_OUT, "How many different sounds were kept.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "audio": ("AUDIO", {"tooltip": "The person speaking, clearly and alone: a minute or more."}),
                "encoder": (list(ENCODERS), {"default": ENCODERS[0], "tooltip": (
                    "How the voice is heard, which must be as the motion hears it: mel for procedural, sadtalker "
                    "for talker, hubert for diffusion, apc for Live Speech Portraits' head motion."
                )}),
                "strength": STRENGTH,
                "neighbours": NEIGHBOUR_COUNT,
                "distance": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1000.0, "step": 0.01, "tooltip": (
                    "Sounds nearer to a kept one than this are left out; 0 leaves out repetitions alone."
                )}),
                "limit": ("INT", {"default": BANK_LIMIT, "min": 1, "max": 100_000, "tooltip": (
                    "How many sounds are kept at most, drawn by chance; fewer are quicker."
                )}),
            }
        }  # fmt: skip

    def run(
        self, audio: dict[str, Any], encoder: str, strength: float, neighbours: int, distance: float, limit: int
    ) -> tuple[Projection, int]:
        """The speaker, and how many sounds were kept."""
        heard = hear(audio_of(audio), encoder, host.model_folders("diffpose"), host.compute())
        bank = build_bank(heard, encoder, distance, limit)
        return Projection(bank, strength, neighbours), len(bank.features)


class SaveSpeaker(Node):
    """SPEAKER to a file."""

    DESCRIPTION = "Saves a speaker's sounds to ComfyUI's output folder, for LoadSpeaker."
    SEARCH_ALIASES = ("talking head", "export speaker", "speech bank")
    OUTPUT_NODE = True
    RETURN_TYPES = ("SPEAKER", "STRING")
    RETURN_NAMES = ("speaker", "filename")
    OUTPUT_TOOLTIPS = ("The speaker as it came in.", "The file that was written.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "speaker": ("SPEAKER", {"tooltip": "Whose sounds are saved; strength and neighbours are not."}),
                "filename_prefix": prefix_input("speaker/talking_head"),
            }
        }

    def run(self, speaker: Projection, filename_prefix: str) -> dict[str, Any]:
        """The speaker and the path, and what the page shows."""
        return save(speaker, speaker.bank.save, filename_prefix)


class LoadSpeaker(ReadsFile, Node):
    """A file to SPEAKER."""

    DESCRIPTION = "Loads a speaker's sounds that SaveSpeaker wrote, or Live Speech Portraits' APC_feature_base.npy."
    SEARCH_ALIASES = ("talking head", "import speaker", "speech bank")
    RETURN_TYPES = ("SPEAKER",)
    RETURN_NAMES = ("speaker",)
    OUTPUT_TOOLTIPS = (SPEAKER_OUT,)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "file": file_input("A speaker's file (.safetensors, .npy)", BANK_SUFFIXES),
                "strength": STRENGTH,
                "neighbours": NEIGHBOUR_COUNT,
            }
        }

    def run(self, file: str, strength: float, neighbours: int) -> tuple[Projection]:
        """The speaker in the file."""
        return (Projection(SpeechBank.load(host.find_file(file)), strength, neighbours),)


class ProjectLips(Node):
    """A MOTION's lips brought to a person's own mouth shapes."""

    DESCRIPTION = "Lets the lips of a motion take only shapes that a person's mouth takes in a clip."
    SEARCH_ALIASES = ("talking head", "mouth shapes", "manifold projection")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = ("The motion with the person's mouth shapes; head, eyes and brows stay.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Whose lips are changed."}),
                "person": ("MOTION", {"tooltip": (
                    "The person speaking, from DriveFromVideo: half a minute or more has most mouth shapes."
                )}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
                    "How far the lips go over to the person's shapes; 0 changes nothing."
                )}),
            }
        }  # fmt: skip

    def run(self, motion: MotionSequence, person: MotionSequence, strength: float) -> tuple[MotionSequence]:
        """The motion with the person's mouth shapes."""
        return (project_lips(motion, person, strength),)
