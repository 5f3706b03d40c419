"""What a user should know although the run goes on."""

import logging
from functools import cache

log = logging.getLogger(__name__)


@cache
def say_once(line: str) -> None:
    """One line in the log, the first time it is said in this process: a sweep does the same for every cell."""
    log.warning(line)
