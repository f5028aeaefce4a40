"""The interfaces of renderers and motion extractors, and the render loops."""
