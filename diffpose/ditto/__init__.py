"""Ditto: motion from speech by its own diffusion network (LMDM)."""
