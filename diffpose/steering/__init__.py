"""Options, style and small expressions, applied to any generator's motion."""
