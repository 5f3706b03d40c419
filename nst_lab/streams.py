"""Standard output and error of a process: work goes on where nobody reads them, or where they cannot be written."""

import io
import os
import sys
from typing import Any, TextIO


class Outlet(io.FileIO):
    """A descriptor that leads to nowhere from the first write that fails; nothing written to it ever raises."""

    failure: OSError | None = None  # of that write; a reader who has seen enough (… | head) is none

    def write(self, data: Any, /) -> int:  # of bytes, as a buffer
        try:
            return super().write(data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = error
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())  # also for the processes that are started from now on
            return len(data)


def guard_streams() -> Outlet | None:
    """Let the standard streams of this process go through outlets; that of standard output, None if it is not its own.

    What the encoding lacks is escaped. Closed streams are opened on nowhere. Streams that something else has put in
    place of the process's own stay as they are, as do outlets.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # the next file opened would become it, and get what libraries and other processes print
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(Outlet(2, "w", closefd=False), sys.stderr)
    if sys.stdout is not sys.__stdout__:
        return None
    outlet = Outlet(1, "w", closefd=False)
    sys.stdout = _stream(outlet, sys.stdout)
    return outlet


def _stream(outlet: Outlet, like: TextIO | None) -> TextIO:
    unbuffered = getattr(like, "write_through", False)  # PYTHONUNBUFFERED
    return io.TextIOWrapper(
        outlet if unbuffered else io.BufferedWriter(outlet),  # as Python itself does it
        encoding=getattr(like, "encoding", None),
        errors="backslashreplace",
        line_buffering=getattr(like, "line_buffering", False),
        write_through=unbuffered,
    )
