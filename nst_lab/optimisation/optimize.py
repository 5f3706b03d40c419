"""One loop for every optimiser. Its unit is the closure evaluation: one forward and backward pass of the objective."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nst_lab.config.schema import Optimizer
from nst_lab.losses.objective import Losses
from nst_lab.optimisation.averaging import Average
from nst_lab.optimisation.bounds import BoundedLBFGS, Box, StraightThrough
from nst_lab.optimisation.lbfgs import LBFGS
from nst_lab.optimisation.parametrisation import Parametrisation, Pixels


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
    the average of all iterates so far, the one after this evaluation included. `gradient_norm` is with respect to the
    picture in [0, 1], or its coefficients, without what `bounds: project` holds. `finish` is what colour control does
    to a picture on its way out.
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
    finish: Callable[[Tensor], Tensor] = lambda picture: picture

    @property
    def result(self) -> "Step":
        """The last accepted step, whose losses are those of the run if it ended here."""
        return self.fallback or self

    @property
    def picture(self) -> Tensor:
        """The result if the run ended here: the average of the iterates, or the last accepted picture, finished."""
        return self.finish(self.result.image if self.average is None else self.average)

    @property
    def shown(self) -> Tensor:
        """The picture evaluated, finished."""
        return self.finish(self.image)


def _lbfgs(
    variable: Tensor, options: Optimizer, space: Parametrisation, box: Box | None, leap: Tensor | None
) -> LBFGS:
    settings = {
        "learning_rate": options.learning_rate,
        "history": options.history,
        "pixel_range": options.pixel_scale,
        "picture": space.picture,
        "leap": leap,
    }
    if options.bounds == "project":
        return BoundedLBFGS(variable, box=box, **settings)
    return LBFGS(variable, **settings)


def _lbfgs_torch(variable: Tensor, options: Optimizer, *_) -> torch.optim.Optimizer:
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


Made = LBFGS | torch.optim.Optimizer
OPTIMIZERS: dict[str, Callable[[Tensor, Optimizer, Parametrisation, Box | None, Tensor | None], Made]] = {
    "lbfgs": _lbfgs,
    "lbfgs_torch": _lbfgs_torch,
    "adam": lambda variable, o, *_: torch.optim.Adam([variable], lr=o.learning_rate, betas=tuple(o.betas)),
    "sgd": lambda variable, o, *_: torch.optim.SGD([variable], lr=o.learning_rate, momentum=o.momentum),
}


class Optimisation:
    """Minimises an objective from a picture, one closure evaluation per `step`; iterating goes on until it stops.

    The optimiser sees z = `pixel_scale` · v with v the variable of the picture x in its parametrisation (x itself, or
    its coefficients), and its learning rate is in those units. With `bounds: straight_through` the objective sees x
    clipped to the box; with `bounds: clip` Adam and SGD clip x itself after every step; with `bounds: project` x is in
    the box from the start on, for our L-BFGS too (`BoundedLBFGS`). The last step carries the reason for stopping.

    Args:
        objective: picture (1, 3, H, W) -> losses.
        start: the first picture.
        options: the optimiser and its settings.
        evaluations: its budget.
        used: evaluations of the run that came before.
        scale: scales of the run that came before.
        parametrisation: what the optimiser's variable means.
        box: the range of the pixels, for bounds; [0, 1] by default.
        leap: another picture, from which our L-BFGS goes on after the first evaluation if its losses are lower.
        revive: evaluations at first in which it follows what the objective adds to revive units (`Objective.reviving`).
    """

    def __init__(
        self,
        objective: Callable[[Tensor], Losses],
        start: Tensor,
        options: Optimizer,
        evaluations: int,
        *,
        used: int = 0,
        scale: int = 0,
        parametrisation: Parametrisation | None = None,
        box: Box | None = None,
        leap: Tensor | None = None,
        revive: int = 0,
    ):
        self.objective, self.options, self.scale = objective, options, scale
        if revive and leap is not None:
            revive = max(revive, 2)  # start and leap are compared by one loss
        self.evaluation, self.revived, self.final = used, used + revive, used + evaluations
        self.parametrisation = parametrisation or Pixels()
        self.box = box or Box.unit(start)
        self.projected = options.bounds == "project"
        if self.projected:
            start = self.box.project(start)
        coefficients = self.parametrisation.variable(start)
        self.variable = (coefficients * options.pixel_scale).contiguous().requires_grad_()
        self.limits = None  # of the variable
        if options.bounds in ("clip", "project"):
            self.limits = self.box.map(lambda end: self.parametrisation.variable(end) * options.pixel_scale)
        leap = None if leap is None else self.parametrisation.variable(leap) * options.pixel_scale
        self.optimizer = OPTIMIZERS[options.name](self.variable, options, self.parametrisation, self.limits, leap)
        start = self.parametrisation.picture(coefficients)
        self.average = Average(options.averaging, start) if options.averaging else None
        self.progress = _Progress(options.tolerance, options.window)
        self.kept: Step | None = None  # the last accepted step
        self.stopped = False
        self.losses: Losses

    @property
    def picture(self) -> Tensor:
        """The result so far: the average of the iterates, or the last accepted picture."""
        return self.kept.image if self.average is None else self.average.value

    def __iter__(self) -> Iterator[Step]:
        while not self.stopped:
            yield self.step()

    def step(self) -> Step:
        """Evaluate once, at the current picture, and move to the next one."""
        if self.evaluation == self.revived and isinstance(self.optimizer, LBFGS):
            self.optimizer.begin_anew()
        before = self.variable.detach().clone()
        self.optimizer.step(self._closure)
        if self.options.bounds in ("clip", "project") and not self.options.name.startswith("lbfgs"):
            self.variable.data.copy_(self.limits.project(self.variable.data))
        self.evaluation += 1
        norm = torch.linalg.vector_norm(self._free_gradient(before)) * self.options.pixel_scale
        values, rejected, moved = self._read(norm, moved=(before != self.variable.detach()).any())
        failure = _not_finite(values, self.evaluation)
        accepted = failure is None and not rejected
        stop = failure or self._judge(values["total"], values["gradient"], moved)
        self.stopped = stop is not None
        step = Step(self.evaluation, self._seen(before), self.losses.detach(), norm, accepted, stop, self.scale)
        if accepted:
            self.kept = step
        if accepted and self.average is not None:
            self.average.update(self._seen(self.variable.detach()))
        return replace(
            step,
            average=None if self.average is None else self.average.value,
            fallback=None if accepted else self.kept,
        )

    def _read(self, norm: Tensor, moved: Tensor) -> tuple[dict[str, float], bool, bool]:
        """The losses and the gradient's norm by name, and two verdicts, as Python's: the one wait for the device."""
        rejected = self.optimizer.rejected if isinstance(self.optimizer, LBFGS) else torch.zeros_like(moved)
        named = {**self.losses.terms, "total": self.losses.total, "gradient": norm}
        scalars = [value.detach().to(norm).reshape(()) for value in (*named.values(), rejected, moved)]
        *values, rejected, moved = torch.stack(scalars).tolist()
        return dict(zip(named, values, strict=True)), bool(rejected), bool(moved)

    def _seen(self, variable: Tensor) -> Tensor:
        """The picture that the objective sees."""
        picture = self.parametrisation.picture(variable / self.options.pixel_scale)
        # A projected picture is inside already, but for the rounding of `pixel_scale`.
        clipped = self.projected or self.options.bounds == "straight_through"
        return StraightThrough.apply(picture, self.box.low, self.box.high) if clipped else picture

    def _free_gradient(self, variable: Tensor) -> Tensor:
        gradient = self.variable.grad
        return gradient.masked_fill(self.limits.held(variable, gradient), 0) if self.projected else gradient

    def _closure(self) -> Tensor:
        self.variable.grad = None
        picture = self._seen(self.variable)
        if self.evaluation < self.revived:
            self.losses, more = self.objective.reviving(picture)
            loss = self.losses.total + more
        else:
            self.losses = self.objective(picture)
            loss = self.losses.total
        loss.backward()
        return loss

    def _judge(self, total: float, norm: float, moved: bool) -> Stop | None:
        stop = self.progress.judge(total, norm, moved)
        if stop is None and self.evaluation == self.final:
            stop = Stop("budget", f"all {self.evaluation} evaluations used")
        return stop

    def state_dict(self) -> dict[str, Any]:
        """Everything that the steps to come depend on, in tensors and plain values."""
        kept = self.kept and {
            "evaluation": self.kept.evaluation,
            "image": self.kept.image,
            "losses": vars(self.kept.losses),
            "gradient_norm": self.kept.gradient_norm,
        }
        return {
            "evaluation": self.evaluation,
            "revived": self.revived,
            "final": self.final,
            "stopped": self.stopped,
            "variable": self.variable.detach(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average and (self.average.sum, self.average.weight),
            "best": list(self.progress.best),
            "kept": kept,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken; the steps that follow are the same to the last bit."""
        device = self.variable.device
        self.evaluation, self.final, self.stopped = state["evaluation"], state["final"], state["stopped"]
        self.revived = state["revived"]
        self.variable.data.copy_(state["variable"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            total, self.average.weight = state["average"]
            self.average.sum = total.to(device)
        self.progress.best.extend(state["best"])
        if kept := state["kept"]:
            losses = Losses(**kept["losses"]).to(device)
            norm = kept["gradient_norm"].to(device)
            self.kept = Step(kept["evaluation"], kept["image"].to(device), losses, norm, scale=self.scale)


def _not_finite(values: dict[str, float], evaluation: int) -> Stop | None:
    for name, value in values.items():
        if not math.isfinite(value):
            return Stop("not_finite", f"{name} is {value} at evaluation {evaluation}")
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
