"""The LivePortrait renderer and motion extractor, for its published networks."""
