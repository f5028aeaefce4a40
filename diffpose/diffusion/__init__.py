"""The DiffPoseTalk family: motion from speech by diffusion."""
