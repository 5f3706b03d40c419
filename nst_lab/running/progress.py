"""What a run says on the terminal: one live line where there is a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nst_lab.optimisation.optimize import Step

PLAIN_LINE_SECONDS = 10.0  # between plain lines; the first and the last evaluation are always told


class ProgressLine:
    """Evaluation, loss and time left of one run; a context manager.

    Args:
        label: what the run is called.
        evaluations: its budget.
    """

    def __init__(self, label: str, evaluations: int):
        self.label, self.evaluations = label, evaluations
        self.console = Console(file=sys.stderr, highlight=False)
        self.live = self._live() if self.console.is_terminal else None
        self.task = self.live.add_task(label, total=evaluations, loss="") if self.live else None
        self.started = self.told = time.monotonic()
        self.total = float("nan")

    def _live(self) -> Progress:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(),
        )
        return Progress(*columns, console=self.console, expand=True)

    def __enter__(self) -> "ProgressLine":
        if self.live:
            self.live.start()
        else:
            self._say(f"{self.label}: starting")
        return self

    def __exit__(self, *_exception) -> None:
        if self.live:
            self.live.stop()

    def update(self, step: Step) -> None:
        """Show one evaluation; the total is that of the last accepted one, since a trial step may rise."""
        if step.accepted or step.evaluation == 1:
            self.total = step.losses.total.item()
        if self.live:
            self.live.update(self.task, completed=step.evaluation, loss=f"total {self.total:.4g}")
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
