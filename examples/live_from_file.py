"""A portrait speaks along with a voice that arrives at its own pace, as from a microphone; the result is recorded.

python examples/live_from_file.py portrait.jpg voice.wav live.mp4
"""

import sys
from pathlib import Path

from talking_head import (
    ArrivingAudio,
    Audio,
    LiveHead,
    LiveSession,
    Portrait,
    Recording,
    Tally,
    choose_generator,
    live_stream,
    measured_latency,
)
from talking_head.lp_core.live.voices import at_its_pace

picture, voice, output = sys.argv[1:]

portrait, generator = Portrait.load(picture), choose_generator()
latency = measured_latency(portrait, live_stream(generator, fps=25))  # seconds that this machine can hold
audio = Audio.load(voice).resampled(48_000)
head = LiveHead(portrait, live_stream(generator, fps=25), ArrivingAudio(audio.sample_rate, audio.channels), latency)

still = (portrait.picture * 255).byte().cpu()  # shown until the first frame
recording = Recording(Path(output), still, head.schedule.fps, audio.sample_rate, audio.channels)
tally = Tally()
with LiveSession(head, [tally, recording]) as session:
    for piece in at_its_pace(audio.waveform, audio.sample_rate):
        session.push(piece)
    session.finish()
print(f"{output}: {tally.frames} frames, {tally.dropped} dropped, {latency:.2f} s from sound to frame")
