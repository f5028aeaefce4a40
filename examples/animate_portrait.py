"""A portrait speaks what a voice says.

python examples/animate_portrait.py portrait.jpg voice.wav talking.mp4
"""

import sys

from talking_head import MotionOptions, animate

portrait, voice, output = sys.argv[1:]

animation = animate(portrait, voice, fps=25, motion_options=MotionOptions(head=0.8), seed=1)
animation.write(output)
print(f"{output}: {len(animation)} frames at {animation.fps} a second")
