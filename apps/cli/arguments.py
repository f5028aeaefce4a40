"""The arguments that several commands have."""

import argparse
from pathlib import Path

from ...lp_core.weights.folders import MODELS_VARIABLE

DEFAULT_OUTPUT = Path("talking_head.mp4")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what `animate`, `demo` and `drive` have in common."""
    add_output_options(parser)
    parser.add_argument("--fps", default=None, help="frames a second, such as 25, 29.97 or 30000/1001")
    add_portrait_options(parser)
    add_render_options(parser)
    add_motion_options(parser)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the file to write, and silence."""
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT, help="the video to write")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no closing line")


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """Add what draws, from which weights, where and how precisely."""
    parser.add_argument("--renderer", choices=("auto", "mesh", "liveportrait"), default="auto", help="what draws")
    add_models_folders(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps …")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "fp16", "bf16"),
        default="auto",
        help="number format of LivePortrait's convolutions and of speech encoders; auto is fp16 on CUDA, and bf16 "
        "for convolutions on CPUs that have it",
    )
    parser.add_argument(
        "--accelerate",
        choices=("none", "compile", "graphs"),
        default="none",
        help="LivePortrait's networks compiled by torch (minutes at first) or as CUDA graphs; untried on CUDA",
    )


def add_portrait_options(parser: argparse.ArgumentParser) -> None:
    """Add what draws, and which face of the picture."""
    add_drawing_options(parser)
    parser.add_argument("--face", type=int, default=0, help="which face of the picture; 0 is the largest")
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        default=None,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="where the face is, in pixels of the picture; it is looked for when not given",
    )
    parser.add_argument(
        "--animal", action="store_true", help="an animal, by LivePortrait's networks for them; needs --box"
    )
    parser.add_argument(
        "--max-side", type=int, default=1280, help="larger pictures are shrunk to so many pixels a side"
    )


def add_models_folders(parser: argparse.ArgumentParser) -> None:
    """Add the folders of published weights."""
    parser.add_argument(
        "--models",
        type=Path,
        action="append",
        default=None,
        metavar="FOLDER",
        help=f"where published weights are; may be repeated. Else ${MODELS_VARIABLE}, else models/liveportrait "
        "and models/diffpose of the ComfyUI that this pack lies in, else folders in the user's cache",
    )


def add_render_options(parser: argparse.ArgumentParser) -> None:
    """Add the fields of RenderOptions."""
    parser.add_argument(
        "--crop", action="store_true", help="write the square around the face, not the whole picture"
    )
    parser.add_argument("--batch", type=int, default=8, help="frames drawn at once")
    parser.add_argument(
        "--regions",
        nargs="+",
        default=["all"],
        metavar="REGION",
        help="what of the motion is taken: all, or any of expression, lips, eyes, brows, pose together",
    )
    parser.add_argument(
        "--absolute", action="store_true", help="motion replaces the portrait's own pose and expression"
    )
    parser.add_argument("--multiplier", type=float, default=1.0, help="factor on all motion (liveportrait)")
    parser.add_argument("--no-stitching", action="store_true", help="let the shoulders go (liveportrait)")
    parser.add_argument("--close-mouth", action="store_true", help="close the portrait's open mouth (liveportrait)")


def add_motion_options(parser: argparse.ArgumentParser) -> None:
    """Add strengths and what is done with the finished motion."""
    add_strength_options(parser)
    parser.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="smooth all motion")
    parser.add_argument(
        "--save-motion", type=Path, default=None, metavar="FILE", help="keep the motion as safetensors"
    )


def add_strength_options(parser: argparse.ArgumentParser) -> None:
    """Add the strengths of lips, blinks, brows, gaze and head."""
    parser.add_argument("--lips", type=float, default=1.0, help="strength of lip motion; 1 is natural")
    parser.add_argument("--blinks", type=float, default=1.0, help="strength of blinks")
    parser.add_argument("--brows", type=float, default=1.0, help="strength of brow motion")
    parser.add_argument("--gaze", type=float, default=1.0, help="strength of gaze shifts")
    parser.add_argument("--head", type=float, default=1.0, help="strength of head motion")


def add_speech_options(parser: argparse.ArgumentParser) -> None:
    """Add all arguments of a command that turns a voice into a video."""
    add_common_options(parser)
    add_generator_options(parser)
    add_style_options(parser)
    head = parser.add_mutually_exclusive_group()
    head.add_argument(
        "--head-from", type=Path, default=None, metavar="CLIP", help="a clip whose head motion is taken"
    )
    head.add_argument(
        "--head-keys",
        type=Path,
        default=None,
        metavar="FILE",
        help="head poses as text, a line each: seconds: pitch, yaw, roll, and an easing if wished",
    )
    parser.add_argument("--head-weight", type=float, default=1.0, help="how much of that head motion; 0.5 mixes")


def add_style_options(parser: argparse.ArgumentParser) -> None:
    """Add pose, expression, mood and look."""
    parser.add_argument("--pose", choices=("synthetic", "still"), default="synthetic", help="what the head does")
    parser.add_argument("--expression", type=float, default=1.0, help="strength of the whole face's expression")
    parser.add_argument("--lips-only", action="store_true", help="move nothing but the lips")
    parser.add_argument("--subtle", type=float, default=1.0, help="strength of small expressions beside the speech")
    parser.add_argument("--mood", default="neutral", help="a mood that is held, such as happy or sad")
    parser.add_argument("--mood-strength", type=float, default=1.0, help="how much of the mood")
    parser.add_argument(
        "--look", choices=("natural", "viewer"), default="natural", help="viewer locks the eyes on the viewer"
    )


def add_generator_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes the motion, and its settings."""
    parser.add_argument(
        "--motion",
        choices=("auto", "procedural", "diffusion", "talker", "ditto"),
        default="auto",
        help="what makes the motion",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same motion")
    parser.add_argument("--style", type=Path, default=None, help="a style file, or a clip whose manner is taken")
    parser.add_argument("--lip-lead", type=float, default=30.0, metavar="MS", help="lips ahead of the sound")
    parser.add_argument(
        "--audio-guidance", type=float, default=2.0, help="how closely diffusion follows the voice; 1 is plainly"
    )
    parser.add_argument(
        "--style-guidance", type=float, default=1.0, help="how closely diffusion follows a learned style"
    )
    parser.add_argument("--steps", type=int, default=10, help="denoising steps of diffusion")
    parser.add_argument(
        "--lip-reference",
        choices=("silence", "first frame", "mean", "none"),
        default="silence",
        help="what the talker's lip motion is measured from",
    )
    parser.add_argument(
        "--talker-window",
        type=int,
        choices=(28, 29),
        default=28,
        help="frames the talker sees at once",
    )
