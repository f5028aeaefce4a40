"""Motion from a voice is edited, kept as a file, read again and drawn.

python examples/edit_motion.py portrait.jpg voice.wav motion.safetensors edited.mp4
"""

import sys

from talking_head import Animation, Audio, MotionSequence, Portrait, choose_generator
from talking_head.lp_core.motion.edits import head_pose, move_pupils, retarget_lips, smooth

picture, voice, motion_file, output = sys.argv[1:]

audio = Audio.load(voice)
motion = choose_generator().generate(audio, fps=25, seed=0)
motion = retarget_lips(motion, gain=1.3)  # 1 is as generated
motion = head_pose(motion, gain=0.5, offset=(0.0, -5.0, 0.0))  # degrees pitch, yaw, roll
motion = move_pupils(motion, contact=1.0)  # the eyes stay on the viewer
smooth(motion, seconds=0.03).save(motion_file)

Animation(Portrait.load(picture), MotionSequence.load(motion_file), audio).write(output)
