"""Motion in LivePortrait's keypoint space: sequences, named controls, edits, filters and files."""
