"""One loop for every optimiser. Its unit is the closure evaluation: one forward and backward pass of the objective."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from nst_lab.config.schema import Optimizer
from nst_lab.images.pictures import size_of
from nst_lab.losses.objective import Losses, Objective, Seen, see_together
from nst_lab.optimisation.ahead import ASYNCHRONOUS, read_later
from nst_lab.optimisation.averaging import Average
from nst_lab.optimisation.bounds import BoundedLBFGS, Box, StraightThrough
from nst_lab.optimisation.device_memory import with_less_memory
from nst_lab.optimisation.graphs import RECORDING, Repeated
from nst_lab.optimisation.lbfgs import LBFGS, step_as_batch
from nst_lab.optimisation.parametrisation import PIXELS, Parametrisation
from nst_lab.optimisation.stopping import Progress, Stop, not_finite


@dataclass(frozen=True)
class Step:
    """One closure evaluation: what it saw and what it found.

    `image` is the picture (1, 3, H, W) whose losses these are, as evaluated (not clipped to [0, 1]); `evaluation`
    counts from 1 over the whole run, `scale` from 0. `accepted` is false for a trial step that L-BFGS takes back and
    for an evaluation that is not finite; `fallback` is then the last accepted step, if there was one. Only the last
    step of a scale carries `stop`, and only the last one of the run carries it as its `end`. With
    `optimizer.averaging`, `average` is the average of all iterates so far, the one after this evaluation included.
    `gradient_norm` is with respect to the picture in [0, 1], or its coefficients, without what `bounds: project` holds.
    `finish` is what colour control does to a picture on its way out.
    """

    evaluation: int
    image: Tensor
    losses: Losses
    gradient_norm: Tensor
    accepted: bool = True
    stop: Stop | None = None
    scale: int = 0
    end: Stop | None = None
    fallback: "Step | None" = None
    average: Tensor | None = None
    finish: Callable[[Tensor], Tensor] = lambda picture: picture

    @property
    def last(self) -> bool:
        """Whether the run ended with it."""
        return self.end is not None

    @property
    def result(self) -> "Step":
        """The last accepted step, whose losses are those of the run if it ended here."""
        return self.fallback or self

    @property
    def picture(self) -> Tensor:
        """The result if the run ended here, finished: the average of the iterates, or the last accepted picture.

        The iterate after an accepted one may be beyond all numbers, and the average with it.
        """
        if self.average is not None and self.average.isfinite().all():
            return self.finish(self.average)
        return self.finish(self.result.image)

    @property
    def shown(self) -> Tensor:
        """The picture evaluated, finished."""
        return self.finish(self.image)


def _lbfgs(
    variable: Tensor,
    options: Optimizer,
    space: Parametrisation,
    box: Box | None,
    leap: Tensor | None,
    preconditioner: Tensor | None,
) -> LBFGS:
    kind = partial(BoundedLBFGS, box=box) if box is not None and options.bounds == "project" else LBFGS
    return kind(
        variable,
        learning_rate=options.learning_rate,
        history=options.history,
        pixel_range=options.pixel_scale,
        picture=space.picture,
        preconditioner=preconditioner,
        scaling=options.scaling,
        leap=leap,
    )


def _lbfgs_torch(variable: Tensor, options: Optimizer, *_: object) -> torch.optim.Optimizer:
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
OPTIMIZERS: dict[
    str, Callable[[Tensor, Optimizer, Parametrisation, Box | None, Tensor | None, Tensor | None], Made]
] = {
    "lbfgs": _lbfgs,
    "lbfgs_torch": _lbfgs_torch,
    "adam": lambda variable, o, *_: torch.optim.Adam([variable], lr=o.learning_rate, betas=tuple(o.betas)),
    "sgd": lambda variable, o, *_: torch.optim.SGD([variable], lr=o.learning_rate, momentum=o.momentum),
}


@dataclass(frozen=True)
class Evaluated:
    """The picture as the objective saw it, its losses, and what the optimiser follows, with its gradient."""

    image: Tensor
    losses: Losses
    followed: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Moved:
    """An evaluation after which the picture has moved on, and the numbers of it that are still to be read."""

    evaluation: int
    image: Tensor
    losses: Losses
    numbers: Tensor


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
        preconditioner: of our L-BFGS, of the variable's shape.
        revive: evaluations at first in which it follows what the objective adds to revive units (`Objective.reviving`).
        recorded: whether evaluations, and the steps of our L-BFGS, are recorded as CUDA graphs, on CUDA.
    """

    def __init__(
        self,
        objective: Objective,
        start: Tensor,
        options: Optimizer,
        evaluations: int,
        *,
        used: int = 0,
        scale: int = 0,
        parametrisation: Parametrisation | None = None,
        box: Box | None = None,
        leap: Tensor | None = None,
        preconditioner: Tensor | None = None,
        revive: int = 0,
        recorded: bool = False,
    ):
        self.objective, self.options, self.scale, self.size = objective, options, scale, size_of(start)
        if revive and leap is not None:
            revive = max(revive, 2)  # start and leap are compared by one loss
        self.evaluation, self.revived, self.final = used, used + revive, used + evaluations
        self.parametrisation = parametrisation or PIXELS
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
        make = OPTIMIZERS[options.name]
        self.optimizer = make(self.variable, options, self.parametrisation, self.limits, leap, preconditioner)
        self.recorded = recorded and self.variable.device.type in RECORDING
        self.repeated = Repeated[list[Evaluated]](self.variable.device)
        self.identity = object()  # of this optimisation, without holding it
        if self.recorded and isinstance(self.optimizer, LBFGS):
            self.optimizer.repeated = Repeated(self.variable.device)
        start = self.parametrisation.picture(coefficients)
        self.average = Average(options.averaging, start) if options.averaging else None
        self.progress = Progress(options.tolerance, options.window)
        self.kept: Step | None = None  # the last accepted step
        self.stopped = self.diverged = False
        self.evaluated: Tensor | None = None  # the present picture, once it is evaluated
        self.losses: Losses

    def recall(self, moves: Tensor, changes: Tensor) -> None:
        """Begin with the pairs (m, N) of another run's L-BFGS, if they are of as many values."""
        if isinstance(self.optimizer, LBFGS) and moves.shape[1] == self.variable.numel():
            self.optimizer.pairs.recall(moves, changes)

    @property
    def picture(self) -> Tensor:
        """The result so far: the average of the iterates, or the last accepted picture."""
        if self.average is not None:
            return self.average.value
        assert self.kept is not None  # some step was accepted
        return self.kept.image

    def __iter__(self) -> Iterator[Step]:
        while not self.stopped:
            yield self.step()

    def step(self) -> Step:
        """Evaluate once, at the current picture, and move to the next one."""
        [step] = step_together([self])
        return step

    @property
    def revives(self) -> bool:
        """Whether the next evaluation follows what is added to revive units, too."""
        return self.evaluation < self.revived

    @property
    def recordable(self) -> bool:
        """Whether its evaluations are recorded."""
        return self.recorded and not self.objective.in_strips

    def begin(self) -> None:
        """Before an evaluation."""
        if self.evaluation == self.revived and isinstance(self.optimizer, LBFGS):
            self.optimizer.begin_anew()
        self.variable.grad = None
        self.before = self.variable.detach().clone()

    def see(self) -> Tensor:
        """The picture that is evaluated, with the graph behind it."""
        return self._seen(self.variable)

    def loss(self, picture: Tensor, *seen: Seen) -> tuple[Losses, Tensor]:
        """Its losses, and what the optimiser follows; `see_together` may have seen all that counts of it."""
        if self.revives:
            losses, more = self.objective.reviving(picture, *seen)
            return losses, losses.total + more
        losses = self.objective(picture, *seen)
        return losses, losses.total

    def take(self, found: Evaluated) -> None:
        """Take the result of an evaluation."""
        self.evaluated, self.losses, self.followed = found.image, found.losses, found.followed
        self.variable.grad = found.gradient

    @property
    def goes_on(self) -> bool:
        """Whether there is an evaluation left of the budget."""
        return self.evaluation < self.final

    @property
    def kind(self) -> Hashable:
        """What those have in common whose optimisers can step as one; itself where none can."""
        return (self.optimizer.kind, self.parametrisation) if isinstance(self.optimizer, LBFGS) else self

    def move(self) -> None:
        """Move to the next picture, by the gradient that is there now."""
        self.optimizer.step(lambda: self.followed)  # type: ignore[arg-type, return-value]  # to torch a loss is a float
        if self.limits is not None and not self.options.name.startswith("lbfgs"):
            self.variable.data.copy_(self.limits.project(self.variable.data))

    def moved(self) -> Moved:
        """What `tell` needs of the evaluation before that move, its numbers on the device."""
        assert self.evaluated is not None  # at that picture
        norm = torch.linalg.vector_norm(self._free_gradient(self.before)) * self.options.pixel_scale
        moved = (self.before != self.variable.detach()).any()
        rejected = self.optimizer.rejected if isinstance(self.optimizer, LBFGS) else torch.zeros_like(moved)
        scalars = (*self.losses.values(), norm, rejected, moved)
        numbers = torch.stack([value.to(norm).reshape(()) for value in scalars])
        self.evaluation += 1
        image, self.evaluated = self.evaluated, None
        return Moved(self.evaluation, image, self.losses, numbers)

    def tell(self, made: Moved, read: list[float]) -> Step:
        """The step of an evaluation, from its numbers read from the device."""
        *losses, norm, rejected, moved = read
        measured = made.losses.with_values(torch.tensor(losses, dtype=self.variable.dtype).unbind())
        total = losses[len(measured.terms)]
        named = dict(zip((*measured.terms, "total"), losses, strict=False)) | {"gradient": norm}
        failure = not_finite(named, made.evaluation)
        accepted = failure is None and not rejected
        stop = failure or self._judge(total, norm, bool(moved))
        self.stopped, self.diverged = stop is not None, failure is not None
        if self.stopped:
            self.repeated.forget()
        gradient_norm = torch.tensor(norm, dtype=self.variable.dtype)
        step = Step(made.evaluation, made.image, measured, gradient_norm, accepted, stop, self.scale)
        if accepted:
            self.kept = step
        if accepted and self.average is not None:
            self.average.update(self._seen(self.variable.detach()))
        return replace(
            step,
            average=None if self.average is None else self.average.value,
            fallback=None if accepted else self.kept,
        )

    def _seen(self, variable: Tensor) -> Tensor:
        """The picture that the objective sees."""
        picture = self.parametrisation.picture(variable / self.options.pixel_scale)
        # A projected picture is inside already, but for the rounding of `pixel_scale`.
        clipped = self.projected or self.options.bounds == "straight_through"
        seen: Tensor = StraightThrough.apply(picture, self.box.low, self.box.high) if clipped else picture
        return seen

    def _free_gradient(self, variable: Tensor) -> Tensor:
        gradient = self.variable.grad
        assert gradient is not None  # after an evaluation
        if self.limits is None or not self.projected:
            return gradient
        return gradient.masked_fill(self.limits.held(variable, gradient), 0)

    def _judge(self, total: float, norm: float, moved: bool) -> Stop | None:
        stop = self.progress.judge(total, norm, moved)
        if stop is None and not self.goes_on:
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
            losses, norm = Losses(**kept["losses"]), kept["gradient_norm"]
            self.kept = Step(kept["evaluation"], kept["image"].to(device), losses, norm, scale=self.scale)


def step_together(optimisations: Sequence[Optimisation]) -> list[Step]:
    """One step of each. Their objectives share a network, which sees their pictures, of one size, as a batch.

    The device is waited for once, and an asynchronous one has the next evaluation to do meanwhile. That of a run which
    then ends is for nothing. Where it has not the memory, they are evaluated one by one, and strip by strip.

    Raises:
        DeviceMemoryError: even so.
    """
    _evaluate_within_memory([each for each in optimisations if each.evaluated is None])
    _move(optimisations)
    moved = [each.moved() for each in optimisations]
    read = read_later(torch.cat([each.numbers for each in moved]))
    for each in optimisations:
        if not each.goes_on:
            each.repeated.forget()  # makes room for the others
    if optimisations[0].variable.device.type in ASYNCHRONOUS:
        _evaluate_within_memory([each for each in optimisations if each.goes_on])
    numbers = iter(read())
    pairs = zip(optimisations, moved, strict=True)
    return [each.tell(made, list(islice(numbers, len(made.numbers)))) for each, made in pairs]


def _move(optimisations: Sequence[Optimisation]) -> None:
    """Move each to its next picture; our L-BFGS of one kind as one, where the device has the memory to join them."""
    kinds: dict[Hashable, list[Optimisation]] = defaultdict(list)
    for each in optimisations:
        kinds[each.kind].append(each)
    for alike in kinds.values():
        _move_alike(alike)


def _move_alike(alike: Sequence[Optimisation]) -> None:
    optimizers = [each.optimizer for each in alike if isinstance(each.optimizer, LBFGS)]
    losses = [each.followed for each in alike]

    def one_by_one() -> None:
        for each in alike:
            each.move()

    if len(optimizers) > 1:
        with_less_memory(lambda: step_as_batch(optimizers, losses), one_by_one)
    else:
        one_by_one()


def _evaluate_within_memory(optimisations: Sequence[Optimisation]) -> None:
    """Losses and gradients at the present pictures, where it must be one by one and strip by strip."""

    def at_once() -> None:
        try:
            _evaluate(optimisations)
        except torch.OutOfMemoryError:
            for each in optimisations:
                each.repeated.forget()
            raise

    def one_by_one() -> None:
        for each in optimisations:
            each.objective.in_strips = True
            _evaluate([each])

    if optimisations:
        with_less_memory(at_once, one_by_one)


def _evaluate(optimisations: Sequence[Optimisation]) -> None:
    for each in optimisations:
        each.begin()
    if all(each.recordable for each in optimisations):
        key = tuple((each.identity, each.revives) for each in optimisations)
        made = optimisations[0].repeated(key, lambda: _found(optimisations))
        # The next evaluation is made in the same memory, when the picture may still be wanted.
        made = [replace(found, image=found.image.clone()) for found in made]
    else:
        made = _found(optimisations)
    for each, found in zip(optimisations, made, strict=True):
        each.take(found)


def _found(optimisations: Sequence[Optimisation]) -> list[Evaluated]:
    """What evaluating the present pictures gives; the same operators on the same tensors as the last time."""
    pictures = [each.see() for each in optimisations]
    seen = see_together([each.objective for each in optimisations], torch.cat(pictures)) if pictures[1:] else []
    own: list[tuple[Seen, ...]] = [(one,) for one in seen] or [()]
    losses, followed = zip(
        *(each.loss(picture, *one) for each, picture, one in zip(optimisations, pictures, own, strict=True)),
        strict=True,
    )
    gradients = torch.autograd.grad(followed, [each.variable for each in optimisations])
    return [
        Evaluated(picture.detach(), each.with_values([value.detach() for value in each.values()]), loss.detach(), g)
        for picture, each, loss, g in zip(pictures, losses, followed, gradients, strict=True)
    ]
