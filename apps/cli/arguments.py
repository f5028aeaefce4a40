"""Arguments common to several commands; those of options are made from the fields of their dataclasses.

argparse rather than a library that makes a whole command line from dataclasses: flags have names of their own here
(`--batch`, `--crop` for `paste_back` off, `--lip-lead MS`), commands offer a few fields of several dataclasses, and
some flags exclude each other. With tyro, cyclopts or jsonargparse each of these would be stated once more.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ...diffpose.diffusion.samplers import STYLE_GUIDANCE, Guidance, SampleOptions
from ...diffpose.generator import GENERATORS, MOODS, MotionOptions
from ...diffpose.talker.driver import TalkerOptions
from ...lp_core.choice import RENDERERS
from ...lp_core.compute.compute import Compute
from ...lp_core.options import Option, options_of
from ...lp_core.render.portrait import RenderOptions
from ...lp_core.weights.folders import MODELS_VARIABLE

DEFAULT_OUTPUT = Path("talking_head.mp4")
STRENGTHS = {"lips": "--lips", "blinks": "--blinks", "brows": "--brows", "gaze": "--gaze", "head": "--head"}
STYLES = {
    "pose": "--pose",
    "expression": "--expression",
    "lips_only": "--lips-only",
    "subtle": "--subtle",
    "mood_strength": "--mood-strength",
    "look": "--look",
}

Value = TypeVar("Value")


def add_options(parser: argparse.ArgumentParser, kind: type, flags: Mapping[str, str]) -> None:
    """Adds arguments for fields of a dataclass, given as field to flag; `options_from` reads them."""
    for name, flag in flags.items():
        add_option(parser, kind, name, flag)


def add_option(parser: argparse.ArgumentParser, kind: type, name: str, flag: str, **changes: Any) -> None:
    """Adds the argument for a field of a dataclass.

    Args:
        parser: parser of the command.
        kind: the dataclass.
        name: name of the field.
        flag: flag of the argument, such as "--lips".
        changes: keywords of `add_argument` that replace those made from the field's option.
    """
    described = _described(options_of(kind)[name], flag)
    parser.add_argument(flag, dest=_destination(kind, name), **described | changes)


def options_from(given: argparse.Namespace, kind: type[Value], **others: Any) -> Value:
    """Returns a dataclass value of the arguments; fields without an argument are from `others` or defaults."""
    found = {name: getattr(given, _destination(kind, name), None) for name in options_of(kind)}
    chosen = {name: value for name, value in found.items() if value is not None}
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in chosen.items()}
    return kind(**tuples | others)


def _destination(kind: type, name: str) -> str:
    """Returns the argparse destination of a field, unique even when two dataclasses share a field's name."""
    return f"{kind.__name__}.{name}"


def _described(option: Option, flag: str) -> dict[str, Any]:
    """Returns the keywords of `add_argument` for an option; the flag of a field true by default clears it."""
    shown: dict[str, Any] = {"default": option.default, "help": option.help.replace("%", "%%")}
    if isinstance(option.default, bool):
        return {**shown, "action": "store_false" if option.default else "store_true"}
    if isinstance(option.default, tuple):
        return {**shown, "nargs": "+"}
    if option.choices:
        return {**shown, "type": type(option.default), "choices": option.choices}
    return {**shown, "type": type(option.default), "metavar": flag.lstrip("-").replace("-", "_").upper()}


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments common to `animate`, `demo` and `drive`."""
    add_output_arguments(parser)
    parser.add_argument("--fps", default=None, help="Frames a second, such as 25, 29.97 or 30000/1001.")
    add_portrait_arguments(parser)
    add_render_options(parser)
    add_options(parser, MotionOptions, STRENGTHS)
    parser.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="Smooth all motion.")
    parser.add_argument(
        "--save-motion", type=Path, default=None, metavar="FILE", help="Keep the motion as safetensors."
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the output file and `--quiet`."""
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT, help="The video to write.")
    parser.add_argument("--quiet", action="store_true", help="No progress bar and no closing line.")


def add_drawing_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds renderer, models folders, device and precision."""
    parser.add_argument("--renderer", choices=RENDERERS, default="auto", help="What draws the frames.")
    add_models_folders(parser)
    add_options(parser, Compute, {"device": "--device", "precision": "--precision", "acceleration": "--accelerate"})


def add_portrait_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of drawing, and the choice of the face in the picture."""
    add_drawing_arguments(parser)
    parser.add_argument("--face", type=int, default=0, help="Which face of the picture; 0 is the largest.")
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        default=None,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="Where the face is, in pixels of the picture; it is looked for when not given.",
    )
    parser.add_argument(
        "--animal",
        action="store_true",
        help="The picture shows an animal, drawn by LivePortrait's networks for animals; needs --box.",
    )
    parser.add_argument(
        "--max-side",
        type=int,
        default=1280,
        help="Larger pictures are shrunk to this many pixels on their longer side.",
    )


def add_models_folders(parser: argparse.ArgumentParser) -> None:
    """Adds the models folders."""
    parser.add_argument(
        "--models",
        type=Path,
        action="append",
        default=None,
        metavar="FOLDER",
        help=f"Where published weights are; may be repeated. Else ${MODELS_VARIABLE}, else models/liveportrait "
        "and models/diffpose of the ComfyUI that this pack lies in, else folders in the user's cache.",
    )


def add_render_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of rendering."""
    kind = RenderOptions
    add_option(
        parser, kind, "paste_back", "--crop", help="Write the square around the face, not the whole picture."
    )
    add_option(parser, kind, "batch_size", "--batch")
    add_option(parser, kind, "regions", "--regions", metavar="REGION")
    add_option(
        parser, kind, "relative", "--absolute", help="Motion replaces the portrait's own pose and expression."
    )
    add_option(parser, kind, "multiplier", "--multiplier")
    add_option(parser, kind, "stitching", "--no-stitching", help="Let the shoulders move. LivePortrait only.")
    add_option(parser, kind, "close_mouth", "--close-mouth")


def add_speech_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds all arguments of a command that turns a voice into a video."""
    add_common_arguments(parser)
    add_generator_arguments(parser)
    add_style_options(parser)
    head = parser.add_mutually_exclusive_group()
    head.add_argument(
        "--head-from", type=Path, default=None, metavar="CLIP", help="A clip whose head motion is taken."
    )
    head.add_argument(
        "--head-keys",
        type=Path,
        default=None,
        metavar="FILE",
        help="Head poses as text, a line each: seconds: pitch, yaw, roll, and an easing if wished.",
    )
    parser.add_argument("--head-weight", type=float, default=1.0, help="How much of that head motion; 0.5 mixes.")


def add_style_options(parser: argparse.ArgumentParser) -> None:
    """Adds pose, expression, mood and look."""
    add_options(parser, MotionOptions, STYLES)
    text = f"{options_of(MotionOptions)['mood'].help} One of {', '.join(MOODS)}."
    add_option(parser, MotionOptions, "mood", "--mood", choices=None, metavar="MOOD", help=text)


def add_generator_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the motion generator and its settings."""
    parser.add_argument("--motion", choices=GENERATORS, default="auto", help="What makes the motion.")
    parser.add_argument("--seed", type=int, default=0, help="The same seed gives the same motion.")
    parser.add_argument("--style", type=Path, default=None, help="A style file, or a clip whose style is taken.")
    add_option(parser, MotionOptions, "lip_lead_ms", "--lip-lead", metavar="MS")
    add_option(parser, Guidance, "audio", "--audio-guidance")
    add_option(parser, Guidance, "style", "--style-guidance", default=STYLE_GUIDANCE, type=float)
    add_option(parser, SampleOptions, "steps", "--steps")
    add_options(parser, TalkerOptions, {"lip_reference": "--lip-reference", "window": "--talker-window"})
