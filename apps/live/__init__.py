"""The web page of a live session, and its server."""
