"""Messages that are logged once in a process."""

import logging
from functools import cache


@cache
def log_once(log: logging.Logger, message: str) -> None:
    """Logs a message at level INFO, unless it was logged to the same logger before."""
    log.info(message)
