"""The standalone door: a portrait and a voice, or a driving clip, to a video, without ComfyUI.

Reached as `talking-head …`, `python -m talking_head …` and, in a bare clone, `python <folder> …`.
"""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .diffpose.generator import MotionOptions
    from .diffpose.style import Style
    from .lp_core.audio import Audio
    from .lp_core.face import Face
    from .lp_core.motion import MotionSequence
    from .lp_core.portrait import Portrait

ROOT = Path(__file__).resolve().parent
DEMO_PORTRAIT = ROOT / "workflows" / "demo_portrait.jpg"
DEMO_VOICE = ROOT / "workflows" / "demo_speech.wav"
STOPPED = 130  # the exit code of a program that Ctrl-C ended
USUAL_FPS = 25


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0 done, 1 an error in a sentence, 2 wrong usage, 130 stopped."""
    given = _parser().parse_args(arguments)
    try:
        given.run(given)
    except (ValueError, OSError) as error:
        _say(str(error), sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say("stopped; nothing was written.", sys.stderr)
        return STOPPED
    return 0


def _say(sentence: str, stream=None) -> None:
    print(f"talking-head: {sentence}", file=stream or sys.stdout)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="talking-head", description="A portrait and a voice in, a talking head out."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    animate = commands.add_parser("animate", help="a portrait speaks what a voice says")
    animate.add_argument("portrait", type=Path, help="a picture with a face")
    animate.add_argument("voice", type=Path, help="a sound file, or a video with sound")
    _add_speech_options(animate)
    animate.set_defaults(run=_animate)

    demo = commands.add_parser("demo", help="the bundled portrait speaks the bundled voice")
    _add_speech_options(demo)
    demo.set_defaults(run=_animate, portrait=DEMO_PORTRAIT, voice=DEMO_VOICE)

    drive = commands.add_parser("drive", help="a portrait does what a clip's face does")
    drive.add_argument("portrait", type=Path, help="a picture with a face")
    drive.add_argument("clip", type=Path, help="a video with a face; its sound is kept")
    _add_common_options(drive)
    drive.set_defaults(run=_drive)
    return parser


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=Path("talking_head.mp4"), help="the video to write")
    parser.add_argument("--renderer", choices=("auto", "mesh", "liveportrait"), default="auto", help="what draws")
    parser.add_argument("--fps", default=None, help="frames a second, such as 25, 29.97 or 30000/1001")
    parser.add_argument("--face", type=int, default=0, help="which face of the picture; 0 is the largest")
    parser.add_argument(
        "--max-side", type=int, default=1280, help="larger pictures are shrunk to so many pixels a side"
    )
    parser.add_argument(
        "--crop", action="store_true", help="write the square around the face, not the whole picture"
    )
    parser.add_argument("--batch", type=int, default=8, help="frames drawn at once")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps …")
    parser.add_argument("--lips", type=float, default=1.0, help="strength of lip motion; 1 is natural")
    parser.add_argument("--blinks", type=float, default=1.0, help="strength of blinks")
    parser.add_argument("--brows", type=float, default=1.0, help="strength of brow motion")
    parser.add_argument("--gaze", type=float, default=1.0, help="strength of gaze shifts")
    parser.add_argument("--head", type=float, default=1.0, help="strength of head motion")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="smooth all motion")
    parser.add_argument(
        "--save-motion", type=Path, default=None, metavar="FILE", help="keep the motion as safetensors"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no closing line")


def _add_speech_options(parser: argparse.ArgumentParser) -> None:
    _add_common_options(parser)
    parser.add_argument("--motion", choices=("auto", "procedural"), default="auto", help="what makes the motion")
    parser.add_argument("--pose", choices=("synthetic", "still"), default="synthetic", help="what the head does")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same motion")
    parser.add_argument("--style", type=Path, default=None, help="a style file, or a clip whose manner is taken")


def _animate(given: argparse.Namespace) -> None:
    from .diffpose.generator import choose_generator
    from .lp_core.audio import load_audio
    from .lp_core.edits import smooth

    audio = load_audio(given.voice)
    portrait = _portrait(given)
    motion = choose_generator(given.motion).generate(
        audio, given.fps or USUAL_FPS, _motion_options(given), given.seed, _style(given.style)
    )
    _write(given, portrait, smooth(motion, given.smooth), audio)


def _motion_options(given: argparse.Namespace) -> "MotionOptions":
    from .diffpose.generator import MotionOptions

    return MotionOptions(
        lips=given.lips, brows=given.brows, head=given.head, blinks=given.blinks, gaze=given.gaze, pose=given.pose
    )


def _style(path: Path | None) -> "Style | None":
    """The style in a file, or the manner of a clip's face."""
    from .diffpose.style import Style, motion_statistics

    if path is None:
        return None
    if path.suffix == ".safetensors":
        return Style.load(path)
    return Style(statistics=motion_statistics(_clip_motion(path)))


def _drive(given: argparse.Namespace) -> None:
    from .lp_core.edits import head_pose, move_pupils, retarget_eyes, retarget_lips, scale_brows, smooth
    from .lp_core.video import read_video

    portrait = _portrait(given)
    motion = _clip_motion(given.clip)
    motion = retarget_eyes(retarget_lips(motion, gain=given.lips), gain=given.blinks)
    motion = scale_brows(move_pupils(motion, gain=given.gaze), given.brows)
    motion = smooth(head_pose(motion, gain=given.head), given.smooth)
    resampled = motion if given.fps is None else motion.resampled(given.fps)
    _write(given, portrait, resampled, read_video(given.clip).audio())


def _clip_motion(path: Path) -> "MotionSequence":
    """The motion of the face in a clip."""
    from .lp_core.mesh.extractor import LandmarkExtractor
    from .lp_core.video import read_video

    clip = read_video(path)
    return LandmarkExtractor().extract(clip.frames(), clip.fps).motion


def _portrait(given: argparse.Namespace) -> "Portrait":
    from .lp_core.face import NoFaceError, find_faces
    from .lp_core.picture import limited, load_picture
    from .lp_core.renderer import choose_renderer

    picture = limited(load_picture(given.portrait), given.max_side)
    try:
        faces = find_faces(picture)
    except NoFaceError as error:
        seen = _save_beside(given.output, error.looked_at)
        raise ValueError(f"{error} What was looked at: {seen}") from error
    return choose_renderer(given.renderer, given.device).portrait(picture, _chosen(faces, given.face))


def _chosen(faces: "tuple[Face, ...]", index: int) -> "Face":
    if not 0 <= index < len(faces):
        raise ValueError(
            f"There is no face {index}: the picture has {len(faces)}, counted from 0, the largest first."
        )
    return faces[index]


def _save_beside(output: Path, picture: "Tensor") -> Path:
    """Keep the picture that was searched beside where the video would have been."""
    from PIL import Image

    from .lp_core.files import appearing_whole

    place = output.with_suffix(".no_face.png")
    with appearing_whole(place) as part:
        Image.fromarray((picture * 255).round().byte().cpu().numpy()).save(part)
    return place


def _write(
    given: argparse.Namespace, portrait: "Portrait", motion: "MotionSequence", audio: "Audio | None"
) -> None:
    from .lp_core.portrait import RenderOptions
    from .lp_core.prefetch import prefetch
    from .lp_core.renderer import render
    from .lp_core.video import write_video

    if given.save_motion is not None:
        motion.save(given.save_motion)
    batches = render(portrait, motion, RenderOptions(given.batch, paste_back=not given.crop))
    shown = batches if given.quiet else _with_progress(batches, len(motion))
    with closing(prefetch(shown)) as ahead:
        frames = write_video(given.output, ahead, motion.fps, audio)
    if not given.quiet:
        _say(
            f"{given.output}: {frames} frames at {float(motion.fps):g} a second, {portrait.renderer.name} renderer."
        )


def _with_progress(batches: "Iterable[Tensor]", frames: int) -> "Iterator[Tensor]":
    from tqdm import tqdm

    with tqdm(total=frames, unit="frame") as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


def _as_package() -> None:
    """Import a bare clone under the pack's name, so that its modules find each other by relative imports."""
    init = ROOT / "__init__.py"
    spec = importlib.util.spec_from_file_location("talking_head", init, submodule_search_locations=[str(ROOT)])
    if spec is None or spec.loader is None:
        raise ImportError(f"Cannot load the pack from {ROOT}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules["talking_head"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    if not __package__:
        _as_package()
    sys.exit(importlib.import_module("talking_head.__main__").main())
