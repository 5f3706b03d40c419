"""What a run says on the terminal: a live line for each where there is a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from nst_lab.optimisation.optimize import Step

PLAIN_LINE_SECONDS = 10.0  # between plain lines; the first and the last evaluation are always told


class _Display:
    """The live lines of a terminal: one display, which all runs at work share."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.lines = 0

    def add(self, console: Console, label: str, evaluations: int) -> tuple[Progress, TaskID]:
        """A line more: where it is shown, and which it is there."""
        if self.progress is None:
            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[loss]}"),
                TimeRemainingColumn(),
            )
            self.progress = Progress(*columns, console=console, expand=True)
            self.progress.start()
        self.lines += 1
        return self.progress, self.progress.add_task(label, total=evaluations, loss="")

    def end(self) -> None:
        """One of them is over; with the last one all stay on the terminal as they are."""
        self.lines -= 1
        if self.progress is not None and self.lines == 0:
            self.progress.stop()
            self.progress = None


DISPLAY = _Display()


class ProgressLine:
    """Evaluation, loss and time left of one run; a context manager.

    Args:
        label: what the run is called.
        evaluations: its budget.
    """

    def __init__(self, label: str, evaluations: int):
        self.label, self.evaluations = label, evaluations
        self.console = Console(file=sys.stderr, highlight=False)
        self.live: tuple[Progress, TaskID] | None = None
        self.started = self.told = time.monotonic()
        self.total = float("nan")

    def __enter__(self) -> "ProgressLine":
        if self.console.is_terminal:
            self.live = DISPLAY.add(self.console, self.label, self.evaluations)
        else:
            self._say(f"{self.label}: starting")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.live is not None:
            DISPLAY.end()

    def update(self, step: Step) -> None:
        """Show one evaluation; the total is that of the last accepted one, since a trial step may rise."""
        if step.accepted or step.evaluation == 1:
            self.total = step.losses.total.item()
        if self.live is not None:
            progress, task = self.live
            progress.update(task, completed=step.evaluation, loss=f"total {self.total:.4g}")
            return
        now = time.monotonic()
        if step.last or step.evaluation == 1 or now - self.told >= PLAIN_LINE_SECONDS:
            self.told = now
            each = (now - self.started) / step.evaluation
            left = 0.0 if step.last else each * (self.evaluations - step.evaluation)
            self._say(
                f"{self.label}: evaluation {step.evaluation}/{self.evaluations}, "
                f"total {self.total:.4g}, {each:.2f} s each, {left:.0f} s left"
            )

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)
