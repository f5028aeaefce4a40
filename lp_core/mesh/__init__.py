"""The renderer that needs no weights: a dense warp of the photograph driven by face landmarks."""
