"""Live sessions: frames for speech as it arrives, in real time, and their recording."""
