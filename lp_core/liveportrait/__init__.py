"""The renderer and extractor of LivePortrait's published networks."""
