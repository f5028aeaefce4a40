"""What nodes share that read a clip: from a file in ComfyUI's input folder, or its frames from a wire."""

from typing import TYPE_CHECKING, Any

from . import host
from .widgets import Widget, file_choice, frame_rate

if TYPE_CHECKING:
    from ..lp_core.media.video import Video

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif", ".ts", ".m2ts", ".mts", ".mpg", ".flv", ".3gp", ".ogv",
    ".wmv",
)  # fmt: skip
FRAMES_AT_ONCE = 16
FRAMES: Widget = ("IMAGE", {"tooltip": "Frames of the clip from another node, instead of a file."})
FRAMES_FPS = "Frame rate of the frames input, in frames a second; a file has its own."
_UNCONNECTED = object()


def video_input() -> Widget:
    """The widget that names the clip."""
    tooltip = "A clip with one face, from ComfyUI's input folder. Ignored when frames are connected."
    return file_choice(host.list_files("input", VIDEO_SUFFIXES), tooltip, video_upload=True)


def frames_fps_input() -> Widget:
    """The rate of frames from a wire."""
    return frame_rate(FRAMES_FPS)


def clip_named(name: str) -> "Video":
    """The video of that name in ComfyUI's input folder."""
    from ..lp_core.media.video import read_video

    if not name:
        raise ValueError("There is no driving clip: choose or upload a video, or connect frames.")
    return read_video(host.find_file(name))


class ReadsClip:
    """A node with the inputs `video` and `frames`. Before it runs, ComfyUI gives None for what is connected."""

    @classmethod
    def VALIDATE_INPUTS(cls, video: str | None, frames: Any = _UNCONNECTED) -> bool | str:
        """Whether the clip exists, if it is read; files uploaded a moment ago are not in the list yet."""
        return True if frames is None else host.file_exists(video)

    @classmethod
    def IS_CHANGED(cls, video: str | None, frames: Any = _UNCONNECTED, **_others: Any) -> str:
        """What changes when the file does, if it is read."""
        return "" if frames is None else host.fingerprint(video)
