"""LivePortrait's networks, written from their specification."""
