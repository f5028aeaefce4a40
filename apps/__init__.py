"""What stands on top of both floors and is no ComfyUI node: command line, live page."""
