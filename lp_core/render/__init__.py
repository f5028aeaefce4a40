"""The seams for renderers and motion extractors, and the loops that draw."""
