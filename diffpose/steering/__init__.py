"""Options, style and small expressions: what is done to any generator's motion."""
