"""A portrait moves as the face in a clip does, with the clip's sound.

python examples/drive_by_clip.py portrait.jpg clip.mp4 driven.mp4
"""

import sys

from talking_head import Animation, Portrait, extractor_for, read_video

picture, clip_file, output = sys.argv[1:]

portrait = Portrait.load(picture)
clip = read_video(clip_file)
extraction = extractor_for(portrait.renderer).extract(clip.frames(), clip.fps)
print(f"frame {extraction.neutral} is the face at rest; {len(extraction.faceless)} frames have no face")
Animation(portrait, extraction.motion, clip.audio()).write(output)
