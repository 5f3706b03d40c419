"""Ctrl-C and SIGTERM, put off to a moment at which nothing is half done."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a scheduler's notice is an interruption like Ctrl-C
SAME_SECONDS = 2.0  # within these, signals are of one interruption: a terminal's and its launcher's, or a scheduler's
FAREWELL_SECONDS = 60.0  # that workers are given to end their evaluation and to write a checkpoint


class BetweenSteps(KeyboardInterrupt):
    """An interruption at a moment at which a run is between two steps, and can be gone on with from there."""


class Deferral:
    """While it is entered, an interruption is only noted in `asked`; one that comes again later raises at once.

    On leaving, a noted interruption is raised as `KeyboardInterrupt`, unless an exception is under way. Signals reach
    the main thread only: elsewhere nothing is put off.
    """

    def __init__(self) -> None:
        self.asked = False
        self.noted = 0.0
        self.handlers: dict[int, Any] = {}

    def __enter__(self) -> "Deferral":
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: Any) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        if self.asked and kind is None:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked and time.monotonic() - self.noted > SAME_SECONDS:
            raise KeyboardInterrupt
        self.asked, self.noted = True, self.noted or time.monotonic()


class Farewell:
    """While it is entered, an interruption is passed on to worker processes, which are waited for before it is raised.

    Args:
        announce: tells those that have not begun yet.
        workers: the numbers of those that are at work on this machine.
    """

    def __init__(self, announce: Callable[[], None], workers: Callable[[], list[int]]):
        self.announce, self.workers = announce, workers
        self.handlers: dict[int, Any] = {}

    def __enter__(self) -> "Farewell":
        self.handlers = {number: signal.signal(number, self._pass_on) for number in SIGNALS}
        return self

    def __exit__(self, *_exception: Any) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _pass_on(self, _number: int, _frame: FrameType | None) -> None:
        self.__exit__()  # a second interruption does not wait
        self.announce()
        told: set[int] = set()
        until = time.monotonic() + FAREWELL_SECONDS
        while (workers := set(self.workers())) and time.monotonic() < until:
            for worker in workers - told:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGTERM)
            told |= workers
            time.sleep(0.1)
        raise KeyboardInterrupt
