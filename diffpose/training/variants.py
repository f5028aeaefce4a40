"""Make stills speak, so that the landmark nets see one face with many mouths.

    python -m talking_head.diffpose.training.variants PICTURES -o FOLDER

Writes a lossless clip NAME.mkv for each picture with a face: the mesh renderer moves its lips and turns its head a
little, from landmarks that MediaPipe Face Mesh found. `landmarks label` then labels the frames anew.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...lp_core.controls import Controls, to_expression
from ...lp_core.crop import CropOptions, crop_to_picture, cut
from ...lp_core.mesh.mediapipe_finder import MediapipeFinder
from ...lp_core.mesh.renderer import MeshRenderer
from ...lp_core.motion import MotionSequence, frame_rate
from ...lp_core.picture import load_picture
from ...lp_core.renderer import render

FRAMES = 40
SILENT, PARTED = 0.25, 0.45  # shares of the frames with the lips as they are or pressed, and only just apart
HEAD_TURN = 3.0  # standard deviation, degrees


def random_mouths(frames: int) -> Controls:
    """Lips at random: a quarter at rest or pressed, half of them parted a little, the rest open."""
    kind = torch.rand(frames)
    jaw = torch.where(kind < SILENT + PARTED, 0.08 * torch.rand(frames), 0.08 + 0.15 * torch.rand(frames))
    spoken = (kind >= SILENT).float()
    return Controls.still(
        frames,
        jaw=jaw * spoken,
        press=(1 - spoken) * (torch.rand(frames) < 0.6),
        wide=0.05 * torch.randn(frames),
        pout=0.04 * torch.rand(frames),
        smile=0.04 * torch.randn(frames),
        lip_raise=0.02 * torch.rand(frames) * spoken,
        tuck=(torch.rand(frames) < 0.1).float() * spoken,
        tongue=torch.rand(frames),
    )


def variants(picture: Tensor, finder: MediapipeFinder, frames: int = FRAMES) -> Tensor | None:
    """Frames (T, 512, 512, 3) of the largest face in a picture (H, W, 3) at random; None without a face."""
    found = finder.find(picture)
    if not found:
        return None
    close = cut(picture, crop_to_picture(found[0].landmarks, CropOptions())).image
    faces = finder.find(close)
    if not faces:
        return None
    motion = MotionSequence.still(frames, frame_rate(25))
    moved = replace(
        motion,
        expression=to_expression(random_mouths(frames)),
        rotation=HEAD_TURN * torch.randn(frames, 3),
    )
    return torch.cat(list(render(MeshRenderer().portrait(close, faces[0]), moved)))


def save_lossless(frames: Tensor, path: Path) -> None:
    """Write frames (T, H, W, 3) as FFV1 in Matroska."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "bgr0"
        for frame in (frames * 255).round().byte().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line described at the top."""
    parser = argparse.ArgumentParser(description="Make stills speak, to train landmark nets on.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(None if arguments is None else list(arguments))
    torch.manual_seed(0)
    finder = MediapipeFinder()
    for picture in options.pictures:
        frames = variants(load_picture(picture), finder)
        if frames is None:
            sys.stderr.write(f"{picture}: no face\n")
            continue
        save_lossless(frames, options.output / f"{picture.stem}.mkv")


if __name__ == "__main__":
    main()
