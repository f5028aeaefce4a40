"""A voice that is still arriving, drawn in time, recorded."""
