"""Why an optimisation ends: what is not finite, and rules that are relative, for a loss's scale is its convention's."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """Why an optimisation ended.

    `reason` is `budget` (all evaluations used), `converged` (over the last `window` evaluations the best total fell by
    less than `tolerance` of itself, or the gradient is zero), `stalled` (no new best in `window` evaluations, or the
    optimiser no longer moves the image) or `not_finite`; `detail` says it in words.
    """

    reason: str
    detail: str


def not_finite(values: Mapping[str, float], evaluation: int) -> Stop | None:
    """The first of the values, by name, that is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            return Stop("not_finite", f"{name} is {value} at evaluation {evaluation}")
    return None


class Progress:
    """The relative rules: `tolerance` over the last `window` evaluations."""

    def __init__(self, tolerance: float, window: int):
        self.tolerance, self.window = tolerance, window
        self.best: deque[float] = deque(maxlen=window + 1)

    def judge(self, total: float, gradient_norm: float, moved: bool) -> Stop | None:
        """Whether the optimisation ends with this evaluation."""
        self.best.append(min(total, self.best[-1]) if self.best else total)
        if gradient_norm == 0:
            return Stop("converged", "the gradient is zero")
        if not moved:
            return Stop("stalled", "the optimiser no longer moves the image")
        if len(self.best) <= self.window:
            return None
        gain = self.best[0] - self.best[-1]
        if gain == 0:
            return Stop("stalled", f"no evaluation of the last {self.window} was better than the best before them")
        if gain < self.tolerance * abs(self.best[0]):
            return Stop("converged", f"the total fell by less than {self.tolerance:g} in {self.window} evaluations")
        return None
