"""Workers whose launcher was killed: they finish the run under way and end, where they would wait for it for ever."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from nst_lab.running.processes import Process, alive, this_process

POLL_SECONDS = 2.0

_at_work = threading.Lock()


@contextmanager
def at_work_for(launcher: Process | None) -> Iterator[None]:
    """Around a job of a worker process: as soon as `launcher` is dead, this process ends, but not within the job.

    A worker gives what a job returned to its launcher, and waits for the next one, on pipes that a dead launcher leaves
    open. So a thread looks after it, whatever the worker is waiting for. Nothing happens without a launcher, or with
    one of another machine, or in the launcher itself.
    """
    if launcher in (None, this_process()):
        yield
        return
    _watch(launcher)
    with _at_work:
        _end_without(launcher)  # a job that was handed out before is not to be begun
        yield


@cache
def _watch(launcher: Process) -> None:
    """Begin to look after a launcher, once in a worker."""
    threading.Thread(target=_outlive, args=(launcher,), name="watch over the launcher", daemon=True).start()


def _outlive(launcher: Process) -> None:
    while True:
        time.sleep(POLL_SECONDS)
        if alive(launcher) is False:
            with _at_work:
                _end_without(launcher)


def _end_without(launcher: Process) -> None:
    """End this process at once if its launcher is dead: an orderly exit would wait for the launcher, too."""
    if alive(launcher) is False:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the terminal may be gone
                stream.flush()
        os._exit(0)
