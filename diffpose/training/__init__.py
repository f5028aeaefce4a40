"""Training code, not imported by the rest of the pack."""
