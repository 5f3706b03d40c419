"""Writing beside the optimisation: a thread that encodes and writes in order, while the next evaluation is computed."""

import queue
import threading
from collections.abc import Callable

ROOM = 64  # pieces of work; whoever is faster than the disk waits


class Writer:
    """Does pieces of work one after another in a thread of its own.

    After one that fails none is done any more, and its error is raised at the next call.
    """

    def __init__(self, name: str) -> None:
        self.works: queue.Queue[Callable[[], None] | None] = queue.Queue(ROOM)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def put(self, work: Callable[[], None]) -> None:
        """Have something done after all that was put before."""
        self._check()
        self.works.put(work)

    def drain(self) -> None:
        """Wait until all that was put is done."""
        self.works.join()
        self._check()

    def close(self) -> None:
        """Wait, and put no more."""
        self.works.put(None)
        self.thread.join()

    def _check(self) -> None:
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        while (work := self.works.get()) is not None:
            try:
                if self.error is None:
                    work()
            except Exception as error:
                self.error = error
            finally:
                self.works.task_done()
