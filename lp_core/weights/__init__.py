"""Published weight files: their registry, the folders they are stored in, and their download."""
