"""Ctrl-C and SIGTERM, put off to a moment at which nothing is half done."""

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # a scheduler's notice is an interruption like Ctrl-C


class Deferral:
    """While it is entered, the first interruption is only noted in `asked`; a second one raises at once.

    On leaving, a noted interruption is raised as `KeyboardInterrupt`, unless an exception is under way. Signals reach
    the main thread only: elsewhere nothing is put off.
    """

    def __init__(self) -> None:
        self.asked = False
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
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
