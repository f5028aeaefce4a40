"""SpeakLive: a portrait that says a voice at the voice's own pace, seen in the node while it does."""

from fractions import Fraction
from typing import Any

from ..diffpose.live import live_stream
from ..diffpose.procedural.generator import ProceduralGenerator
from ..diffpose.steering.options import MotionOptions
from ..lp_core.live.recording import RATE, Recording
from ..lp_core.live.session import LiveFrame, LiveHead, LiveSession, Tally, measured_latency, picture_bytes
from ..lp_core.live.voices import at_its_pace
from ..lp_core.media.audio import ArrivingAudio, Audio
from ..lp_core.media.rates import frame_count
from ..lp_core.render.portrait import Portrait
from . import host, widgets
from .node import Node
from .saved import prefix_input
from .wires import audio_of


class SpeakLive(Node):
    """PORTRAIT and AUDIO to previews in time and a file."""

    DESCRIPTION = (
        "Animates a portrait from a voice in real time: frames appear in the node as they are rendered and are "
        "dropped, never delayed, when the machine is too slow. Use it to test whether this machine is fast enough "
        "for talking-head live, which takes a microphone."
    )
    SEARCH_ALIASES = ("talking head", "live", "real time", "stream", "microphone", "preview", "low latency")
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "VIDEO", "INT", "FLOAT")
    RETURN_NAMES = ("filename", "video", "dropped_frames", "latency")
    OUTPUT_TOOLTIPS = (
        "Path of the video file.",
        "The written video; every dropped frame is replaced by the previous one.",
        "Number of frames dropped because they were late.",
        "Latency from a sound to its frame, in seconds.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The inputs, as ComfyUI asks for them."""
        return {
            "required": {
                "portrait": ("PORTRAIT", {"tooltip": "Portrait to be animated, from LoadPortrait."}),
                "audio": ("AUDIO", {"tooltip": "The voice; the run takes as long as its duration."}),
                "seed": widgets.seed("The same seed gives the same head, blinks and gaze."),
                "fps": widgets.frame_rate("Frame rate, in frames a second.", highest=60.0),
                "filename_prefix": prefix_input("talking_head_live"),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def run(
        self,
        portrait: Portrait,
        audio: dict[str, Any],
        seed: int,
        fps: float,
        filename_prefix: str,
        unique_id: str = "",
    ) -> dict[str, Any]:
        """The file, its video, and how it went."""
        voice = audio_of(audio).resampled(RATE)
        head, still = _head(portrait, voice, seed, fps), picture_bytes(portrait.picture)
        height, width, _ = still.shape
        place = host.save_place(filename_prefix, ".mp4", "output", (width, height))
        tally, seen = Tally(), _Seen(voice, head.schedule.fps, unique_id)
        recording = Recording(place.path, still, head.schedule.fps, voice.sample_rate, len(voice.waveform))
        with LiveSession(head, [tally, seen, recording]) as session:
            for piece in at_its_pace(voice.waveform, voice.sample_rate):
                session.push(piece)
                seen.show()
            session.finish()
        video = host.video_from_file(place.path)
        result = (str(place.path), video, tally.dropped, head.schedule.latency)
        return {"ui": {"images": [place.shown], "animated": (True,)}, "result": result}


def _head(portrait: Portrait, voice: Audio, seed: int, fps: float) -> LiveHead:
    """Who speaks, by the built-in generator, at the latency that this machine can hold."""
    trial, stream = (live_stream(ProceduralGenerator(), fps, MotionOptions(), seed) for _ in range(2))
    sound = ArrivingAudio(voice.sample_rate, len(voice.waveform))
    return LiveHead(portrait, stream, sound, measured_latency(portrait, trial))


class _Seen:
    """An audience that keeps the newest frame for the node's panel, which the run's own thread sends."""

    def __init__(self, voice: Audio, fps: Fraction, node: str) -> None:
        self._node = node
        self._progress = host.Progress(frame_count(voice.samples, voice.sample_rate, fps))
        self._newest: LiveFrame | None = None

    def sound(self, samples: object) -> None:
        """See Audience."""

    def frame(self, frame: LiveFrame) -> None:
        """See Audience."""
        if frame.picture is not None:
            self._newest = frame

    def end(self) -> None:
        """See Audience."""

    def show(self) -> None:
        """Send the newest frame, if it was not sent yet; Stop ends the run."""
        frame, self._newest = self._newest, None
        if frame is None or frame.picture is None:
            host.stop_if_asked()
        else:
            self._progress.step(frame.index + 1 - self._progress.done)
            host.show_frame(self._node, frame.picture.float() / 255)
