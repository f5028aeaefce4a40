"""Messages that are logged once in a process."""

import logging
from functools import cache


@cache
def log_once(log: logging.Logger, message: str) -> None:
    """Log a message at level INFO, unless the same log has shown it before."""
    log.info(message)
