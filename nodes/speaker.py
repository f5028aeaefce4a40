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
    "Strength of the mapping to this speaker: 0 leaves the voice's features unchanged, 1 replaces them by the "
    "speaker's."
)})  # fmt: skip
NEIGHBOUR_COUNT = ("INT", {"default": NEIGHBOURS, "min": 1, "max": 100, "tooltip": (
    "Number of nearest neighbours in the bank that each feature is reconstructed from; 1 uses the nearest one "
    "itself."
)})  # fmt: skip
SPEAKER_OUT = "The speaker, for AudioToMotion or LearnedPose."


class BuildSpeaker(Node):
    """AUDIO to SPEAKER."""

    DESCRIPTION = (
        "Builds a bank of a speaker's voice features. Features of other voices, singing or noisy speech are "
        "mapped to it before a generator uses them, so that the lips move as for that speaker."
    )
    SEARCH_ALIASES = ("talking head", "speech bank", "manifold projection", "locally linear embedding")
    RETURN_TYPES = ("SPEAKER", "INT")
    RETURN_NAMES = ("speaker", "sounds")
    OUTPUT_TOOLTIPS = (SPEAKER_OUT, "Number of features in the bank.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "audio": ("AUDIO", {"tooltip": "Clear speech of this speaker alone: a minute or more."}),
                "encoder": (list(ENCODERS), {"default": ENCODERS[0], "tooltip": (
                    "Audio features of the bank, which must be those of the motion generator: mel for procedural, "
                    "sadtalker for talker, hubert for diffusion, apc for Live Speech Portraits' head motion."
                )}),
                "strength": STRENGTH,
                "neighbours": NEIGHBOUR_COUNT,
                "distance": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1000.0, "step": 0.01, "tooltip": (
                    "Smallest distance between features kept in the bank; closer ones are left out. 0 leaves out "
                    "exact repetitions only."
                )}),
                "limit": ("INT", {"default": BANK_LIMIT, "min": 1, "max": 100_000, "tooltip": (
                    "Maximum number of features in the bank, drawn at random; fewer are faster."
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

    DESCRIPTION = "Saves a speaker's feature bank to ComfyUI's output folder, for LoadSpeaker."
    SEARCH_ALIASES = ("talking head", "export speaker", "speech bank")
    OUTPUT_NODE = True
    RETURN_TYPES = ("SPEAKER", "STRING")
    RETURN_NAMES = ("speaker", "filename")
    OUTPUT_TOOLTIPS = ("The input speaker, unchanged.", "Path of the file.")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "speaker": ("SPEAKER", {"tooltip": "Speaker to be saved; strength and neighbours are not stored."}),
                "filename_prefix": prefix_input("speaker/talking_head"),
            }
        }

    def run(self, speaker: Projection, filename_prefix: str) -> dict[str, Any]:
        """The speaker and the path, and what the page shows."""
        return save(speaker, speaker.bank.save, filename_prefix)


class LoadSpeaker(ReadsFile, Node):
    """A file to SPEAKER."""

    DESCRIPTION = (
        "Loads a speaker's feature bank saved by SaveSpeaker, or Live Speech Portraits' APC_feature_base.npy."
    )
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

    DESCRIPTION = "Projects the lips of a motion onto the mouth shapes of a person in a clip."
    SEARCH_ALIASES = ("talking head", "mouth shapes", "manifold projection")
    RETURN_TYPES = ("MOTION",)
    RETURN_NAMES = ("motion",)
    OUTPUT_TOOLTIPS = ("The motion with the person's mouth shapes; head, eyes and brows are unchanged.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "motion": ("MOTION", {"tooltip": "Motion with the lips to be changed."}),
                "person": ("MOTION", {"tooltip": (
                    "Motion of the person speaking, from DriveFromVideo; half a minute or more covers most mouth "
                    "shapes."
                )}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "tooltip": (
                    "Blend of the lips: 0 changes nothing, 1 uses the person's shapes alone."
                )}),
            }
        }  # fmt: skip

    def run(self, motion: MotionSequence, person: MotionSequence, strength: float) -> tuple[MotionSequence]:
        """The motion with the person's mouth shapes."""
        return (project_lips(motion, person, strength),)
