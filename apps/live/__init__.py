"""A live head for others to watch: the page and its server."""
