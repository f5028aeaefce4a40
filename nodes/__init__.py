"""The pack's ComfyUI nodes, one module a stage."""
