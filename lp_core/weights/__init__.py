"""Published weight files: which exist, where they lie, fetching them."""
