"""Two people in one picture speak in turn, the left one first.

python examples/several_speakers.py pair.jpg first.wav second.wav talk.mp4
"""

import sys

from talking_head import (
    Audio,
    choose_generator,
    choose_renderer,
    find_faces,
    load_picture,
    render_together,
    write_video,
)
from talking_head.lp_core.faces.faces import ordered
from talking_head.lp_core.media.voices import mixed, on_one_timeline, starts_in_turn

pair, *voices, output = sys.argv[1:]

picture, renderer, generator = load_picture(pair), choose_renderer(), choose_generator()
faces = ordered(find_faces(picture), "left to right")[: len(voices)]
portraits = [renderer.portrait(picture, face) for face in faces]

alone = [Audio.load(voice) for voice in voices]
pauses = [0.0] + [0.3] * (len(alone) - 1)  # seconds before each
tracks = on_one_timeline(alone, starts_in_turn(alone, pauses))
motions = [generator.generate(track, fps=25, seed=number) for number, track in enumerate(tracks)]
write_video(output, render_together(portraits, motions), motions[0].fps, mixed(tracks))
