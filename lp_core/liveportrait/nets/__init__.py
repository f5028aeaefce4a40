"""LivePortrait's networks, implemented from their specification."""
