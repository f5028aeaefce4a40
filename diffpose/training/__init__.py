"""Training code: nothing that runs imports it."""
