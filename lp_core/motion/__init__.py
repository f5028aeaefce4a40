"""Motion in LivePortrait's space: the value, its controls, edits, filters and files."""
