"""Several runs at once, their evaluations as one batch: a few small pictures cost little more than one."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from nst_lab.optimisation.numerics import plain_torch
from nst_lab.optimisation.optimize import Step
from nst_lab.optimisation.synthesis import Synthesis, step_syntheses
from nst_lab.running.interruption import BetweenSteps, Deferral

T = TypeVar("T")
Coroutine = Generator[Synthesis, Step, T]  # asks for the next step of a synthesis, is sent it, and returns T in the end


def drive(coroutines: Iterable[Coroutine[T]], batch: int = 1) -> list[T]:
    """What the coroutines return, in their order; up to `batch` are at work at once, and one that ends makes room.

    Those at once must compute alike: one device, precision and number of threads. An interruption lets the step in
    progress end, and is then that of all of them. An error of one is raised when the others have ended.
    """
    return _Drive(coroutines, batch).run()


class _Drive(Generic[T]):
    def __init__(self, coroutines: Iterable[Coroutine[T]], batch: int):
        self.coming, self.batch = enumerate(coroutines), batch
        self.working: dict[int, tuple[Coroutine[T], Synthesis]] = {}
        self.returned: dict[int, T] = {}
        self.errors: list[Exception] = []
        self.halfway = False  # through a step: what has moved on and what was told of it may differ

    @plain_torch()
    def run(self) -> list[T]:
        try:
            while self._fill():
                with Deferral():
                    self._step()
        except BaseException as error:
            self._end(error)
            raise
        if self.errors:
            raise self.errors[0]
        return [self.returned[index] for index in sorted(self.returned)]

    def _fill(self) -> bool:
        """Start as many as there is room for; whether any is at work."""
        while len(self.working) < self.batch and (new := next(self.coming, None)):
            index, coroutine = new
            self._resume(index, coroutine, coroutine.send, None)
        return bool(self.working)

    def _step(self) -> None:
        """One step of all that are at work."""
        self.halfway, working = True, dict(self.working)
        try:
            steps = step_syntheses([synthesis for _, synthesis in working.values()])
        except Exception as error:
            for index, (coroutine, _) in working.items():
                self._resume(index, coroutine, coroutine.throw, error)
        else:
            for (index, (coroutine, _)), step in zip(working.items(), steps, strict=True):
                self._resume(index, coroutine, coroutine.send, step)
        self.halfway = False

    def _resume(self, index: int, coroutine: Coroutine[T], how: Callable[[Any], Synthesis], what: Any) -> None:
        """Go on with a coroutine to where it asks for its next step, or to its end."""
        self.working.pop(index, None)
        try:
            self.working[index] = coroutine, how(what)
        except StopIteration as end:
            self.returned[index] = end.value
        except Exception as error:
            self.errors.append(error)

    def _end(self, error: BaseException) -> None:
        """Tell all that are at work what has ended them."""
        between = isinstance(error, KeyboardInterrupt) and not self.halfway
        for coroutine, _ in self.working.values():
            with suppress(Exception, KeyboardInterrupt):  # the first error is the one to be raised
                coroutine.throw(BetweenSteps() if between else error)
