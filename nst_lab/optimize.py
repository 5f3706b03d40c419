"""One loop for every optimiser. Its unit is the closure evaluation: one forward and backward pass of the objective."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nst_lab.averaging import Average
from nst_lab.config import Optimizer
from nst_lab.lbfgs import LBFGS
from nst_lab.objective import Losses


@dataclass(frozen=True)
class Stop:
    """Why an optimisation ended.

    `reason` is `budget` (all evaluations used), `converged` (over the last `window` evaluations the best total fell by
    less than `tolerance` of itself, or the gradient is zero), `stalled` (no new best in `window` evaluations, or the
    optimiser no longer moves the image) or `not_finite`; `detail` says it in words.
    """

    reason: str
    detail: str


@dataclass(frozen=True)
class Step:
    """One closure evaluation: what it saw and what it found.

    `image` is the picture (1, 3, H, W) whose losses these are, as evaluated (not clipped to [0, 1]); `evaluation`
    counts from 1 over the whole run, `scale` from 0. `accepted` is false for a trial step that L-BFGS takes back and
    for an evaluation that is not finite; `fallback` is then the last accepted step, if there was one. Only the last
    step of a scale carries `stop`, and only the last one of the run is `last`. With `optimizer.averaging`, `average` is
    the average of all iterates so far, the one after this evaluation included; with `optimizer.carry_state`, `state`
    of a scale's last step is Adam's.
    """

    evaluation: int
    image: Tensor
    losses: Losses
    gradient_norm: Tensor
    accepted: bool = True
    stop: Stop | None = None
    scale: int = 0
    last: bool = False
    fallback: "Step | None" = None
    average: Tensor | None = None
    state: dict[str, Any] | None = None

    @property
    def result(self) -> "Step":
        """The last accepted step, whose losses are those of the run if it ended here."""
        return self.fallback or self

    @property
    def picture(self) -> Tensor:
        """The result if the run ended here: the average of the iterates, or the last accepted picture."""
        return self.result.image if self.average is None else self.average


def _lbfgs_torch(variable: Tensor, options: Optimizer) -> torch.optim.Optimizer:
    # max_iter=1 makes one step one closure evaluation; the state persists, so the trajectory is that of a long step.
    # Absolute tolerances are 0: on small losses they end a run that is still improving.
    return torch.optim.LBFGS(
        [variable],
        lr=options.learning_rate,
        max_iter=1,
        history_size=options.history,
        tolerance_grad=0,
        tolerance_change=0,
    )


OPTIMIZERS: dict[str, Callable[[Tensor, Optimizer], torch.optim.Optimizer]] = {
    "lbfgs": lambda variable, o: LBFGS(
        variable, learning_rate=o.learning_rate, history=o.history, pixel_range=o.pixel_scale
    ),
    "lbfgs_torch": _lbfgs_torch,
    "adam": lambda variable, o: torch.optim.Adam([variable], lr=o.learning_rate, betas=tuple(o.betas)),
    "sgd": lambda variable, o: torch.optim.SGD([variable], lr=o.learning_rate, momentum=o.momentum),
}


class _StraightThroughClip(torch.autograd.Function):
    """Clip to [0, 1] going forward, pass the gradient unchanged going back."""

    @staticmethod
    def forward(_context, image: Tensor) -> Tensor:
        return image.clamp(0, 1)

    @staticmethod
    def backward(_context, gradient: Tensor) -> Tensor:
        return gradient


def optimise(
    objective: Callable[[Tensor], Losses],
    start: Tensor,
    options: Optimizer,
    evaluations: int,
    *,
    used: int = 0,
    scale: int = 0,
    state: dict[str, Any] | None = None,
) -> Iterator[Step]:
    """Minimise `objective` from the picture `start`, yielding one `Step` per closure evaluation.

    The optimiser sees z = `pixel_scale` · x, and its learning rate is in those units. With `bounds: straight_through`
    the objective sees x clipped to [0, 1]; with `bounds: clip` Adam and SGD clip x itself after every step. The last
    step carries the reason for stopping. `used` evaluations of the run and `scale` scales came before this call, and
    `state` is the optimiser's to start from.
    """
    unit = options.pixel_scale
    variable = (start * unit).contiguous().requires_grad_()
    optimizer = OPTIMIZERS[options.name](variable, options)
    if state is not None:
        optimizer.load_state_dict(state)
    average = Average(options.averaging, start) if options.averaging else None
    progress = _Progress(options.tolerance, options.window)
    losses: Losses | None = None
    kept: Step | None = None

    def picture(z: Tensor) -> Tensor:
        return _StraightThroughClip.apply(z / unit) if options.bounds == "straight_through" else z / unit

    def closure() -> Tensor:
        nonlocal losses
        optimizer.zero_grad()
        losses = objective(picture(variable))
        losses.total.backward()
        return losses.total

    for evaluation in range(used + 1, used + evaluations + 1):
        before = variable.detach().clone()
        optimizer.step(closure)
        if options.bounds == "clip" and not options.name.startswith("lbfgs"):
            variable.data.clamp_(0, unit)
        norm = torch.linalg.vector_norm(variable.grad) * unit
        stop = _not_finite(losses, norm, evaluation)
        accepted = stop is None and not (isinstance(optimizer, LBFGS) and optimizer.rejected)
        if stop is None:
            moved = not torch.equal(before, variable.detach())
            stop = progress.judge(losses.total.item(), norm.item(), moved)
        if stop is None and evaluation == used + evaluations:
            stop = Stop("budget", f"all {evaluation} evaluations used")
        step = Step(evaluation, picture(before), losses.detach(), norm, accepted, stop, scale)
        if accepted:
            kept = step
        if average is not None:
            if accepted:
                average.update(picture(variable.detach()))
            step = replace(step, average=average.value)
        if stop and options.carry_state and options.name == "adam":
            step = replace(step, state=optimizer.state_dict())
        yield step if accepted else replace(step, fallback=kept)
        if stop:
            return


def _not_finite(losses: Losses, norm: Tensor, evaluation: int) -> Stop | None:
    for name, value in {**losses.terms, "total": losses.total, "gradient": norm}.items():
        if not torch.isfinite(value):
            return Stop("not_finite", f"{name} is {value.item()} at evaluation {evaluation}")
    return None


class _Progress:
    """The relative stop rules: the scale of a loss depends on its convention, so nothing absolute is compared."""

    def __init__(self, tolerance: float, window: int):
        self.tolerance = tolerance
        self.best: deque[float] = deque(maxlen=window + 1)

    def judge(self, total: float, gradient_norm: float, moved: bool) -> Stop | None:
        self.best.append(min(total, self.best[-1]) if self.best else total)
        if gradient_norm == 0:
            return Stop("converged", "the gradient is zero")
        if not moved:
            return Stop("stalled", "the optimiser no longer moves the image")
        if len(self.best) < self.best.maxlen:
            return None
        window, gain = len(self.best) - 1, self.best[0] - self.best[-1]
        if gain == 0:
            return Stop("stalled", f"no evaluation of the last {window} was better than the best before them")
        if gain < self.tolerance * abs(self.best[0]):
            return Stop("converged", f"the total fell by less than {self.tolerance:g} in {window} evaluations")
        return None
