"""The standalone door: a portrait and a voice or a clip to a video, a voice live to a page, weights to a folder.

Reached as `talking-head …`, `python -m talking_head …` and, in a bare clone, `python <folder> …`.
"""

import argparse
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .apps.live.viewer import Viewer
    from .diffpose.generator import MotionGenerator, MotionOptions
    from .diffpose.steering.style import Style
    from .lp_core.faces.faces import Face
    from .lp_core.live.recording import Recording
    from .lp_core.live.session import LiveHead
    from .lp_core.media.audio import Audio
    from .lp_core.media.video import Video
    from .lp_core.motion.sequence import MotionSequence
    from .lp_core.render.portrait import Portrait, Renderer, RenderOptions
    from .lp_core.weights.registry import WeightEntry

ROOT = Path(__file__).resolve().parent
DEMO_PORTRAIT = ROOT / "workflows" / "demo_portrait.jpg"
DEMO_VOICE = ROOT / "workflows" / "demo_speech.wav"
STOPPED = 130  # the exit code of a program that Ctrl-C ended
USUAL_FPS = 25
DEFAULT_OUTPUT = Path("talking_head.mp4")
MODELS_VARIABLE = "TALKING_HEAD_MODELS"
READ_BY_LANDMARKS = "landmarks 1"  # how kept motion was read; another number reads all clips again


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0 done, 1 an error in a sentence, 2 wrong usage, 130 stopped."""
    given = _parser().parse_args(arguments)
    try:
        with _interrupted_when_told_to_end():
            given.run(given)
    except (ValueError, OSError) as error:
        _say(str(error), sys.stderr)
        return 1
    except KeyboardInterrupt:
        _say("stopped; no finished file was written.", sys.stderr)
        return STOPPED
    return 0


@contextmanager
def _interrupted_when_told_to_end() -> Iterator[None]:
    """A closed terminal, or `kill`, is as Ctrl-C: files are finished or cleared away."""
    names = ("SIGTERM", "SIGHUP", "SIGBREAK") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    usual = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]  # nohup's is not
    for number in usual:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


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
    drive.add_argument(
        "clip",
        type=Path,
        help="a video with a face, whose sound is kept; or motion (.safetensors, LivePortrait's .pkl)",
    )
    drive.add_argument(
        "--neutral", type=int, default=None, metavar="FRAME", help="the clip's calm frame; chosen when not given"
    )
    _add_common_options(drive)
    drive.set_defaults(run=_drive)

    dub = commands.add_parser("dub", help="a clip's face says something else; all but the mouth stays the clip's")
    dub.add_argument("clip", type=Path, help="a video with a face; it plays back and forth where it is too short")
    dub.add_argument("voice", type=Path, help="a sound file, or a video with sound")
    _add_output_options(dub)
    _add_drawing_options(dub)
    _add_generator_options(dub)
    dub.add_argument("--lips", type=float, default=1.0, help="strength of lip motion; 1 is natural")
    dub.set_defaults(run=_dub, animal=False)

    live = commands.add_parser("live", help="a portrait speaks along with a voice that is just being spoken")
    _add_live_options(live)
    live.set_defaults(run=_live)

    models = commands.add_parser(
        "models", help="published weights: which are here, and fetching those that are not"
    )
    _add_models_options(models)
    models.set_defaults(run=_models)

    convert = commands.add_parser("convert", help="a published motion network to safetensors, read safely and once")
    convert.add_argument("checkpoint", type=Path, help="JoyVASA's, DiffPoseTalk's, hazard-10's or Ditto's file")
    convert.add_argument("output", type=Path, help="the .safetensors file to write")
    convert.add_argument(
        "--pe-mode",
        choices=("legacy", "sequential"),
        help="how it numbers frames, which no published file tells; legacy when not given",
    )
    convert.set_defaults(run=_convert)

    doctor = commands.add_parser("doctor", help="what is installed, which weights are here, what to do")
    _add_models_folders(doctor)
    doctor.set_defaults(run=_doctor)
    return parser


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    _add_output_options(parser)
    parser.add_argument("--fps", default=None, help="frames a second, such as 25, 29.97 or 30000/1001")
    _add_portrait_options(parser)
    _add_render_options(parser)
    _add_motion_options(parser)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT, help="the video to write")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no closing line")


def _add_drawing_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--renderer", choices=("auto", "mesh", "liveportrait"), default="auto", help="what draws")
    _add_models_folders(parser)
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


def _add_portrait_options(parser: argparse.ArgumentParser) -> None:
    _add_drawing_options(parser)
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


def _add_models_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=Path,
        action="append",
        default=None,
        metavar="FOLDER",
        help=f"where published weights are; may be repeated. Else ${MODELS_VARIABLE}, else models/liveportrait "
        "and models/diffpose of the ComfyUI that this pack lies in, else folders in the user's cache",
    )


def _add_render_options(parser: argparse.ArgumentParser) -> None:
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


def _add_motion_options(parser: argparse.ArgumentParser) -> None:
    _add_strength_options(parser)
    parser.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="smooth all motion")
    parser.add_argument(
        "--save-motion", type=Path, default=None, metavar="FILE", help="keep the motion as safetensors"
    )


def _add_strength_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lips", type=float, default=1.0, help="strength of lip motion; 1 is natural")
    parser.add_argument("--blinks", type=float, default=1.0, help="strength of blinks")
    parser.add_argument("--brows", type=float, default=1.0, help="strength of brow motion")
    parser.add_argument("--gaze", type=float, default=1.0, help="strength of gaze shifts")
    parser.add_argument("--head", type=float, default=1.0, help="strength of head motion")


def _add_speech_options(parser: argparse.ArgumentParser) -> None:
    _add_common_options(parser)
    _add_generator_options(parser)
    _add_manner_options(parser)
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


def _add_manner_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pose", choices=("synthetic", "still"), default="synthetic", help="what the head does")
    parser.add_argument("--expression", type=float, default=1.0, help="strength of the whole face's expression")
    parser.add_argument("--lips-only", action="store_true", help="move nothing but the lips")
    parser.add_argument("--subtle", type=float, default=1.0, help="strength of small expressions beside the speech")
    parser.add_argument("--mood", default="neutral", help="a mood that is held, such as happy or sad")
    parser.add_argument("--mood-strength", type=float, default=1.0, help="how much of the mood")
    parser.add_argument(
        "--look", choices=("natural", "viewer"), default="natural", help="viewer locks the eyes on the viewer"
    )


def _add_live_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("portrait", type=Path, help="a picture with a face")
    voice = parser.add_mutually_exclusive_group()
    voice.add_argument("--voice", type=Path, default=None, metavar="FILE", help="a sound file, at its own pace")
    voice.add_argument(
        "--microphone",
        nargs="?",
        const="",
        default=None,
        metavar="DEVICE",
        help="this machine's microphone; without it or --voice, the page's is heard",
    )
    _add_output_options(parser)
    parser.set_defaults(output=None)
    parser.add_argument("--fps", default=None, help="frames a second, 25 when not given")
    parser.add_argument(
        "--latency", type=float, default=None, metavar="SECONDS", help="from a sound to its frame; else measured"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of the page; others let the network in")
    parser.add_argument("--port", type=int, default=8199, help="of the page; 0 takes a free one")
    parser.add_argument("--no-page", action="store_true", help="serve no page, only write the file")
    _add_portrait_options(parser)
    _add_render_options(parser)
    _add_generator_options(parser)
    _add_manner_options(parser)
    _add_strength_options(parser)


def _add_generator_options(parser: argparse.ArgumentParser) -> None:
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


def _add_models_options(parser: argparse.ArgumentParser) -> None:
    _add_models_folders(parser)
    parser.add_argument("--verify", action="store_true", help="compute checksums too, about a second per 500 MB")
    parser.add_argument(
        "--download",
        nargs="*",
        default=None,
        metavar="NAME",
        help="fetch what is missing or damaged of these, as liveportrait/animal or joyvasa; without names "
        "LivePortrait's for people",
    )
    parser.add_argument("--offline", action="store_true", help="never touch the network; so does $HF_HUB_OFFLINE=1")
    parser.add_argument("--endpoint", default=None, metavar="URL", help="a mirror of the Hub; so does $HF_ENDPOINT")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def _animate(given: argparse.Namespace) -> None:
    from .lp_core.media.audio import AudioFile
    from .lp_core.media.rates import frame_rate
    from .lp_core.motion.edits import smooth

    audio = AudioFile(given.voice)
    portrait = _portrait(given)
    style = _style(given.style, models_folders(given.models, "diffpose"))
    generator = _generator(given, portrait.picture, portrait.landmarks, portrait)
    motion = generator.generate(
        audio, frame_rate(given.fps or USUAL_FPS), _motion_options(given), given.seed, style
    )
    _write(given, portrait, smooth(_posed(given, motion), given.smooth), audio)


def _posed(given: argparse.Namespace, motion: "MotionSequence") -> "MotionSequence":
    """The motion with its head moved by a clip or by key poses, where those are given."""
    from .diffpose.pose_sources import cached_motion, keyframe_pose, parse_keyframes, reference_pose
    from .lp_core.motion.edits import mix

    if given.head_from is not None:
        kept = _cache() / "motion"
        kept.mkdir(parents=True, exist_ok=True)
        clip = cached_motion(given.head_from, kept, READ_BY_LANDMARKS, lambda: _clip_motion(given.head_from))
        pose = reference_pose(clip.resampled(motion.fps), len(motion))
    elif given.head_keys is not None:
        keys = parse_keyframes(given.head_keys.read_text(encoding="utf-8"))
        pose = keyframe_pose(keys, len(motion), motion.fps)
    else:
        return motion
    return mix(motion, pose, ("pose",), given.head_weight)


def _generator(
    given: argparse.Namespace, picture: "Tensor", landmarks: "Tensor", portrait: "Portrait | None" = None
) -> "MotionGenerator":
    """The generator that is wanted, for the face with landmarks (478, 3) in a picture."""
    from .diffpose.diffusion.samplers import Guidance, SampleOptions
    from .diffpose.generator import choose_generator
    from .diffpose.talker.driver import TalkerOptions
    from .diffpose.talker.installed import person_of

    folders, talker = models_folders(given.models, "diffpose"), None
    if given.motion == "talker":
        person = None if given.animal else person_of(picture, landmarks, folders)
        talker = TalkerOptions(given.talker_window, given.lip_reference, person=person)
    sampling = SampleOptions(steps=given.steps, guidance=Guidance(given.audio_guidance, given.style_guidance))
    return choose_generator(
        given.motion, given.device, folders, sampling, talker, portrait=portrait, precision=given.precision
    )


def _dub(given: argparse.Namespace) -> None:
    from .diffpose.generator import MotionOptions
    from .lp_core.choice import choose_renderer, extractor_for
    from .lp_core.media.audio import load_audio
    from .lp_core.media.video import read_video, write_video
    from .lp_core.render.dubbing import clip_faces, dub, play
    from .lp_core.render.extractor import frame_ranges

    clip, audio = read_video(given.clip), load_audio(given.voice)
    renderer = choose_renderer(given.renderer, given.device, models_folders(given.models))
    own = extractor_for(renderer).extract(_watched(given, clip.frames(), clip.frame_count), clip.fps).motion
    faces = clip_faces(frame for batch in clip.frames() for frame in batch)
    options = MotionOptions(lips=given.lips, lip_lead_ms=given.lip_lead, lips_only=True)
    style = _style(given.style, models_folders(given.models, "diffpose"))
    lips = _generator(given, *_first_seen(clip, faces)).generate(audio, clip.fps, options, given.seed, style)
    frames = (frame[None] for frame in dub(play(clip, len(own), len(lips)), faces, own, lips, renderer))
    written = write_video(given.output, _watched(given, frames, len(lips)), clip.fps, audio)
    if not given.quiet:
        passed = frame_ranges([index for index, face in enumerate(faces) if face is None])
        without = f" Frames {passed} of the clip have no face and passed through." if passed else ""
        told = f"{written} frames at {float(clip.fps):g} a second, {renderer.name} renderer."
        _say(f"{given.output}: {told}{without}")


def _first_seen(clip: "Video", faces: "Sequence[Face | None]") -> "tuple[Tensor, Tensor]":
    """The first frame of a clip that has a face, and that face's landmarks."""
    index, face = next((index, face) for index, face in enumerate(faces) if face is not None)
    return clip.stretch(index, index + 1)[0].float() / 255, face.landmarks


def _motion_options(given: argparse.Namespace) -> "MotionOptions":
    from .diffpose.generator import MotionOptions

    return MotionOptions(
        lips=given.lips,
        brows=given.brows,
        head=given.head,
        blinks=given.blinks,
        gaze=given.gaze,
        pose=given.pose,
        lip_lead_ms=given.lip_lead,
        lips_only=given.lips_only,
        expression=given.expression,
        subtle=given.subtle,
        mood=given.mood,
        mood_strength=given.mood_strength,
        look=given.look,
    )


def _style(path: Path | None, folders: tuple[Path, ...]) -> "Style | None":
    """The style in a file, or the manner of a clip's face."""
    from .diffpose.diffusion.installed import installed_style
    from .diffpose.steering.style import Style

    if path is None:
        return None
    if path.suffix == ".safetensors":
        return Style.load(path)
    return installed_style(_clip_motion(path), folders)


def _drive(given: argparse.Namespace) -> None:
    from .lp_core.motion.edits import head_pose, move_pupils, retarget_eyes, retarget_lips, scale_brows, smooth

    portrait = _portrait(given)
    motion, audio = _driver(given, portrait.renderer)
    motion = retarget_eyes(retarget_lips(motion, gain=given.lips), gain=given.blinks)
    motion = scale_brows(move_pupils(motion, gain=given.gaze), given.brows)
    motion = smooth(head_pose(motion, gain=given.head), given.smooth)
    resampled = motion if given.fps is None else motion.resampled(given.fps)
    _write(given, portrait, resampled, audio)


def _driver(given: argparse.Namespace, renderer: "Renderer") -> "tuple[MotionSequence, Audio | None]":
    """The motion that drives, and its sound: from a motion file, or read from a clip in the renderer's terms."""
    from .lp_core.choice import extractor_for
    from .lp_core.media.video import read_video
    from .lp_core.motion.templates import MOTION_SUFFIXES, load_motion

    if given.clip.suffix.lower() in MOTION_SUFFIXES:
        return load_motion(given.clip, given.neutral), None
    clip = read_video(given.clip)
    extraction = extractor_for(renderer).extract(clip.frames(), clip.fps, given.neutral)
    return extraction.motion, clip.audio()


def _clip_motion(path: Path) -> "MotionSequence":
    """The motion of the face in a clip."""
    from .lp_core.media.video import read_video
    from .lp_core.mesh.extractor import LandmarkExtractor

    clip = read_video(path)
    return LandmarkExtractor().extract(clip.frames(), clip.fps).motion


def _portrait(given: argparse.Namespace) -> "Portrait":
    from .lp_core.choice import choose_renderer
    from .lp_core.media.picture import limited, load_picture

    whole = load_picture(given.portrait)
    picture = limited(whole, given.max_side)
    face = _face(given, picture, len(picture) / len(whole))
    drawn_by = "liveportrait" if given.animal and given.renderer == "auto" else given.renderer
    folders, how = models_folders(given.models), given.accelerate
    renderer = choose_renderer(drawn_by, given.device, folders, given.animal, given.precision, acceleration=how)
    return renderer.portrait(picture, face)


def _face(given: argparse.Namespace, picture: "Tensor", shrunk: float) -> "Face":
    """The face that is meant, in pixels of a picture that was shrunk by a factor."""
    from .lp_core.faces.faces import BoxFinder, NoFaceError
    from .lp_core.faces.search import find_faces

    if given.animal and given.box is None:
        raise ValueError("An animal's face is not looked for; say where it is: --box LEFT TOP RIGHT BOTTOM.")
    left, top, right, bottom = (value * shrunk for value in given.box or (0, 0, 0, 0))
    box = (left, top, right, bottom) if given.box else None
    try:
        faces = find_faces(picture, BoxFinder() if given.animal else None, box)
    except NoFaceError as error:
        seen = _save_beside(given.output or DEFAULT_OUTPUT, error.looked_at)
        raise ValueError(f"{error} What was looked at: {seen}") from error
    return _chosen(faces, given.face)


def models_folders(named: list[Path] | None = None, kind: str = "liveportrait") -> tuple[Path, ...]:
    """Where weights of a kind, "liveportrait" or "diffpose", are looked for, best first; downloads go to the first.

    The folders that are named; else those in $TALKING_HEAD_MODELS, separated as in $PATH; else models/<kind> of the
    ComfyUI that the pack lies in; else ~/.cache/talking_head/<kind> ($XDG_CACHE_HOME is honoured).
    """
    listed = os.environ.get(MODELS_VARIABLE, "")
    if named or listed:
        return tuple(named or (Path(place) for place in listed.split(os.pathsep) if place))
    if ROOT.parent.name == "custom_nodes":
        return (ROOT.parent.parent / "models" / kind,)
    return (_cache() / kind,)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "talking_head"


def _chosen(faces: "tuple[Face, ...]", index: int) -> "Face":
    if not 0 <= index < len(faces):
        raise ValueError(
            f"There is no face {index}: the picture has {len(faces)}, counted from 0, the largest first."
        )
    return faces[index]


def _save_beside(output: Path, picture: "Tensor") -> Path:
    """Keep the picture that was searched beside where the video would have been."""
    from PIL import Image

    from .lp_core.media.files import appearing_whole

    place = output.with_suffix(".no_face.png")
    with appearing_whole(place) as part:
        Image.fromarray((picture * 255).round().byte().cpu().numpy()).save(part)
    return place


def _write(
    given: argparse.Namespace, portrait: "Portrait", motion: "MotionSequence", audio: "Audio | None"
) -> None:
    from .lp_core.media.video import write_video
    from .lp_core.render.render import render

    if given.save_motion is not None:
        motion.save(given.save_motion)
    batches = render(portrait, motion, _render_options(given))
    frames = write_video(given.output, _watched(given, batches, len(motion)), motion.fps, audio)
    if not given.quiet:
        _say(
            f"{given.output}: {frames} frames at {float(motion.fps):g} a second, {portrait.renderer.name} renderer."
        )


def _render_options(given: argparse.Namespace) -> "RenderOptions":
    from .lp_core.render.portrait import RenderOptions

    return RenderOptions(
        batch_size=given.batch,
        paste_back=not given.crop,
        relative=not given.absolute,
        regions=tuple(given.regions),
        multiplier=given.multiplier,
        stitching=not given.no_stitching,
        close_mouth=given.close_mouth,
    )


def _watched(given: argparse.Namespace, batches: "Iterable[Tensor]", frames: int | None) -> "Iterator[Tensor]":
    """The batches as they are taken, with a progress bar if wished."""
    from tqdm import tqdm

    with tqdm(total=frames, unit="frame", disable=given.quiet) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))


def _live(given: argparse.Namespace) -> None:
    import torch

    from .lp_core.live.session import Audience, LiveSession, Tally

    _check_live(given)
    torch.set_num_threads(max(torch.get_num_threads() // 2, 1))  # hearing and drawing go on side by side
    voice = _live_voice(given)
    head, picture = _live_head(given, voice)
    tally, viewer = Tally(), None
    audience: list[Audience] = [tally]
    with ExitStack() as served:
        if not given.no_page:
            viewer = served.enter_context(_viewer(given, head, picture))
            audience.append(viewer)
            _say(f"open {viewer.url} (Ctrl-C ends)")
        audience += _recordings(given, head, picture)
        # pressed again, Ctrl-C leaves the frames out that are still to be drawn; the file is finished all the same
        with suppress(KeyboardInterrupt), LiveSession(head, audience) as session:
            with closing(_arriving(given, voice, viewer)) as pieces, suppress(KeyboardInterrupt):
                for piece in pieces:
                    session.push(piece)
            session.finish()
    if not given.quiet:
        kept = f"{given.output}: " if given.output and tally.frames else ""
        counted = f"{tally.frames} frames, {tally.dropped} of them dropped"
        _say(f"{kept}{counted}, {head.schedule.latency:.2f} s from sound to frame.")


def _check_live(given: argparse.Namespace) -> None:
    """Say what is missing before anything is loaded."""
    from .apps.live.viewer import require_aiohttp
    from .lp_core.live.voices import sound_devices
    from .lp_core.media.files import folder_of
    from .lp_core.media.formats import format_of

    if given.no_page and given.voice is None and given.microphone is None:
        raise ValueError("Without a page there is nobody to hear; give --voice FILE or --microphone.")
    if given.microphone is not None:
        sound_devices()
    if not given.no_page:
        require_aiohttp()
    if given.output is not None:
        format_of(given.output)
        folder_of(given.output)


def _live_voice(given: argparse.Namespace) -> "Audio | None":
    """The file that is spoken, if it is one."""
    from .lp_core.live.recording import RATE
    from .lp_core.media.audio import load_audio

    return None if given.voice is None else load_audio(given.voice).resampled(RATE)


def _live_head(given: argparse.Namespace, voice: "Audio | None") -> "tuple[LiveHead, Tensor]":
    """Who speaks, at a latency that this machine can hold, and the picture that is seen before."""
    from .diffpose.live import live_stream
    from .lp_core.live.recording import RATE
    from .lp_core.live.session import LiveHead, measured_latency, picture_bytes
    from .lp_core.media.audio import ArrivingAudio
    from .lp_core.motion.sequence import MotionSequence
    from .lp_core.render.render import render

    portrait, options, fps = _portrait(given), _render_options(given), given.fps or USUAL_FPS
    generator = _generator(given, portrait.picture, portrait.landmarks, portrait)
    style = _style(given.style, models_folders(given.models, "diffpose"))
    trial, stream = (live_stream(generator, fps, _motion_options(given), given.seed, style) for _ in range(2))
    measured = measured_latency(portrait, trial, options)  # in any case: the first frames are slow
    latency = measured if given.latency is None else given.latency
    sound = ArrivingAudio(RATE, voice.channels if voice else 1)
    calm = next(render(portrait, MotionSequence.still(1, stream.fps), options))[0]
    return LiveHead(portrait, stream, sound, latency, options), picture_bytes(calm)


def _viewer(given: argparse.Namespace, head: "LiveHead", picture: "Tensor") -> "Viewer":
    from .apps.live.viewer import Viewer

    speaks_there = given.voice is None and given.microphone is None
    rate = head.sound.sample_rate
    return Viewer(picture, head.schedule, rate, microphone=speaks_there, host=given.host, port=given.port)


def _recordings(given: argparse.Namespace, head: "LiveHead", picture: "Tensor") -> "list[Recording]":
    """The file that is written along, if one is wanted."""
    from .lp_core.live.recording import Recording

    if given.output is None:
        return []
    sound = head.sound
    return [Recording(given.output, picture, head.schedule.fps, sound.sample_rate, sound.channels)]


def _arriving(
    given: argparse.Namespace, voice: "Audio | None", viewer: "Viewer | None"
) -> "Generator[Tensor, None, None]":
    """The voice as it is spoken: a file when somebody watches, a microphone here or at the page."""
    from .lp_core.live.recording import RATE
    from .lp_core.live.voices import at_its_pace, microphone

    if voice is not None:
        if viewer is not None:
            viewer.wait_until_watched()
        return at_its_pace(voice.waveform, voice.sample_rate)
    if given.microphone is not None or viewer is None:
        return microphone(RATE, given.microphone or None)
    return viewer.voice()


def _models(given: argparse.Namespace) -> None:
    """List the published weights, after fetching what was asked for."""
    from .lp_core.liveportrait.entries import HUMAN
    from .lp_core.weights.doctor import weights_table
    from .lp_core.weights.registry import State, check, entries_named

    entries = _published()
    if given.download is not None:
        for entry in entries_named(entries, given.download) or HUMAN:
            folders = _folders_of(entry, given)
            if check(entry, folders, verify=given.verify).state is not State.PRESENT:
                _download(entry, folders[0], given)
    for line in weights_table([check(entry, _folders_of(entry, given), verify=given.verify) for entry in entries]):
        print(line)  # noqa: T201 the table is what was asked for
    searched = dict.fromkeys(str(folder) for entry in entries for folder in _folders_of(entry, given))
    _say(f"looked in {', '.join(searched)}.")


def _convert(given: argparse.Namespace) -> None:
    from .diffpose.convert import convert

    convert(given.checkpoint, given.output, given.pe_mode)
    _say(f"wrote {given.output}")


def _doctor(given: argparse.Namespace) -> None:
    from .lp_core.weights.doctor import diagnosis

    for line in diagnosis([(entry, _folders_of(entry, given)) for entry in _published()]):
        print(line)  # noqa: T201 the report is what was asked for


def _published() -> "tuple[WeightEntry, ...]":
    """All weights that can be fetched."""
    from .diffpose.diffusion.installed import DIFFUSION
    from .diffpose.ditto.installed import DITTO
    from .diffpose.talker.installed import TALKER
    from .lp_core.liveportrait.entries import LIVEPORTRAIT

    return (*LIVEPORTRAIT, *DIFFUSION, *TALKER, *DITTO)


def _folders_of(entry: "WeightEntry", given: argparse.Namespace) -> tuple[Path, ...]:
    from .lp_core.liveportrait.entries import LIVEPORTRAIT

    return models_folders(given.models, "liveportrait" if entry in LIVEPORTRAIT else "diffpose")


def _download(entry: "WeightEntry", folder: Path, given: argparse.Namespace) -> None:
    from tqdm import tqdm

    from .lp_core.weights.download import download

    with tqdm(desc=entry.name, unit="B", unit_scale=True, delay=0.2, disable=given.quiet) as bar:

        def report(arrived: int, total: int | None) -> None:
            bar.total = total
            bar.update(arrived - bar.n)

        download(entry, folder, endpoint=given.endpoint, offline=given.offline or None, report=report)


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
