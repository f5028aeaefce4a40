"""Scripts that made the shipped assets, not imported by the rest of the pack; see README.md here."""
