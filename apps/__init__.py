"""Applications on top of `diffpose` and `lp_core` other than the ComfyUI nodes: command line, live page."""
