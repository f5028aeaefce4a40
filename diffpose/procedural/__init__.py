"""The built-in generator: motion from speech by rules and a small viseme network."""
