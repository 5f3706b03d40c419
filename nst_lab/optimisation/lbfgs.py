"""L-BFGS for pictures: torch's update with the safeguards that a picture needs, one evaluation per step.

`torch.optim.LBFGS` without a line search takes a first step of L1 length 1 whatever the number of pixels. From a
content image, where the gradient is large and the curvature along it small, that step is lost in rounding and the
next ones explode. Here the first step is a stated change per pixel, steps are capped, and a step that does not lower
the loss is taken back and shortened.
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, Self

import torch
from torch import Tensor

from nst_lab.optimisation.graphs import Repeated
from nst_lab.optimisation.pairs import Pairs, dot

FIRST_STEP = 0.01  # root mean square change per pixel of the first step, in units of the pixel range
LONGEST_STEP = 0.25  # cap on the same for every step
SHORTEST_FRACTION = 1e-3  # of a step; below it the model of the curvature is wrong
SUFFICIENT_DECREASE = 1e-4  # Armijo's constant (Nocedal and Wright 2006, eq. 3.4)


class LBFGS:
    """Limited-memory BFGS with backtracking (Nocedal and Wright 2006, algorithms 7.5 and 3.1), for a batch of pictures.

    Every `step` evaluates the closure exactly once, at the current pictures. A picture that did not sufficiently lower
    its loss moves back towards its last accepted one, and the next call judges the shorter step; the others go on, for
    every picture has its own pairs, step length and verdict. All decisions are taken on the device: nothing here waits
    for it.

    Args:
        variable: the pictures (B, …), one leaf tensor.
        learning_rate: factor on every step.
        history: number of correction pairs; each takes two pictures of memory.
        pixel_range: the range of the variable, which the step lengths refer to.
        picture: the linear map from a change of the variable to that of the picture, whose step lengths count.
        preconditioner: P (1, …) of `Pairs`, by which the first step goes, too; the identity by default.
        scaling: of `Pairs`; torch's by default.
        leap: other pictures (B, …) to go to after the first evaluation: their losses decide whether from there or from
            the start.
    """

    STATE = ("started", "position", "loss", "gradient", "move", "modelled", "slope", "fraction", "leaping", "rejected")

    def __init__(
        self,
        variable: Tensor,
        *,
        learning_rate: float,
        history: int,
        pixel_range: float,
        picture: Callable[[Tensor], Tensor] = lambda change: change,
        preconditioner: Tensor | None = None,
        scaling: str = "newest",
        leap: Tensor | None = None,
    ):
        self.variable, self.picture = variable, picture
        self.learning_rate, self.pixel_range = learning_rate, pixel_range
        self.pairs = Pairs(variable, history, preconditioner, scaling)
        self.started = False  # whether the present loss was evaluated; the first picture is accepted whatever it is
        # Of the accepted pictures, vectors (B, N) and (B,).
        self.position, self.gradient, self.move = torch.zeros_like(variable).flatten(1).repeat(3, 1, 1).unbind()
        # The present pictures are this fraction of the move away from them; the slope of that move.
        self.loss, self.fraction, self.slope = variable.new_zeros(3, variable.shape[0]).unbind()
        # Whether that move is one of the pairs, whether it is the leap; which of the pictures evaluated last were bad.
        self.modelled, self.leaping, self.rejected = torch.zeros_like(self.loss, dtype=torch.bool).repeat(3, 1).unbind()
        self.leap = leap
        self.held: Tensor | None = None  # values of the accepted pictures that must not move
        self.whole: Self | None = None  # the batch that its last step was one of, and which
        self.row = 0
        self.repeated: Repeated[None] | None = None  # where steps are recorded
        self.given: tuple[Tensor, Tensor] | None = None  # losses and gradients, where a recording finds them

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """Evaluate the closure, one loss for each picture, at the current pictures, and move to the next ones."""
        with torch.enable_grad():
            losses = closure().detach()
        self.whole = None
        assert self.variable.grad is not None  # of those losses
        self.advance(losses.reshape(-1), self.variable.grad.flatten(1))
        return losses

    def advance(self, loss: Tensor, gradient: Tensor) -> None:
        """To the next pictures, by the losses (B,) of the present ones and their gradients (B, N)."""
        if self.repeated is None:
            self._advance(loss, gradient)
            return
        given = self.given = self.given or (loss.clone(), gradient.clone())
        for place, value in zip(given, (loss, gradient), strict=True):
            place.copy_(value)
        self.repeated((self.started, self.leap is not None), lambda: self._advance(*given))

    def _advance(self, loss: Tensor, gradient: Tensor) -> None:
        """The state stays where it is in memory, where a recording finds it."""
        if self.started:
            self.rejected.copy_(~self._decreased(loss))
            self.fraction.copy_(torch.where(self.rejected & ~self.leaping, self._shortened(loss), 1.0))
            self._learn(gradient)
        else:
            self.rejected.zero_()
            self.fraction.fill_(1.0)
        self._accept(loss, gradient)
        self._aim()
        self.leaping.zero_()
        if not self.started and self.leap is not None:
            self._leap(self.leap)
        self.started = True
        self._place()

    def begin_anew(self) -> None:
        """From the next evaluation on the closure means another loss, not to be compared with the ones so far."""
        self.started = False

    def state_dict(self) -> dict[str, Any]:
        """The pairs and the step in progress, in memory of their own."""
        own = {name: getattr(self, name) for name in self.STATE}
        own = {name: value.clone() if isinstance(value, Tensor) else value for name, value in own.items()}
        return own | {"pairs": self.pairs.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.whole = None
        for name in self.STATE:
            value = state[name]
            setattr(self, name, value.to(self.variable.device, copy=True) if isinstance(value, Tensor) else value)
        self.pairs.load_state_dict(state["pairs"])
        self._moved_in_memory()

    @property
    def kind(self) -> tuple[object, ...]:
        """What those have in common that can step as one batch."""
        shape, device, leaps = self.variable.shape[1:], self.variable.device, self.leap is not None
        settings = self.learning_rate, self.pixel_range, self.pairs.kind
        return type(self), shape, self.variable.dtype, device, settings, self.started, leaps

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One for the pictures of all, which are of one kind."""
        whole = copy(parts[0])
        whole.whole = None  # of an earlier batch, which ends here
        whole.repeated = None if whole.repeated is None else Repeated(whole.variable.device)
        whole.given = None
        whole.variable = torch.cat([each.variable.detach() for each in parts]).requires_grad_()
        for name in cls.STATE:
            values = [getattr(each, name) for each in parts]
            setattr(whole, name, torch.cat(values) if isinstance(values[0], Tensor) else values[0])
        leaps = [each.leap for each in parts if each.leap is not None]
        whole.leap = torch.cat(leaps) if leaps else None
        whole.pairs = Pairs.joined([each.pairs for each in parts])
        return whole

    def _follow(self, whole: Self, row: int) -> None:
        """Be as that picture of a batch is, without a copy of its pairs."""
        own = slice(row, row + 1)
        self.whole, self.row, self.leap = whole, row, None
        for name in self.STATE:
            value = getattr(whole, name)
            setattr(self, name, value[own] if isinstance(value, Tensor) else value)
        self.pairs.follow(whole.pairs, own)
        self.variable.copy_(whole.variable[own])
        self._moved_in_memory()

    def _moved_in_memory(self) -> None:
        if self.repeated is not None:
            self.repeated.forget()

    def _decreased(self, loss: Tensor) -> Tensor:
        return loss <= self.loss + SUFFICIENT_DECREASE * self.fraction * self.slope

    def _shortened(self, loss: Tensor) -> Tensor:
        """Back to the minimum of the parabola through both losses and the slope, within a tenth and a half."""
        rise = loss - self.loss - self.fraction * self.slope
        usable = (rise > 0) & (rise < torch.inf)
        best = torch.where(usable, -self.slope * self.fraction.square() / (2 * rise), 0.0)
        return best.clamp(0.1 * self.fraction, 0.5 * self.fraction)

    def _learn(self, gradient: Tensor) -> None:
        """What the move of the pictures that were not rejected taught."""
        move, change = self.variable.detach().flatten(1) - self.position, gradient - self.gradient
        self.pairs.add(move, change, wanted=~(self.rejected | self.leaping))
        # After the next step of those that had to turn back this far, follow the gradient.
        self.pairs.clear(self.rejected & (self.fraction < SHORTEST_FRACTION))

    def _accept(self, loss: Tensor, gradient: Tensor) -> None:
        """Remember the pictures that were not rejected."""
        accepted, position = ~self.rejected, self.variable.detach().flatten(1)
        self.loss.copy_(torch.where(accepted, loss, self.loss))
        self.position.copy_(torch.where(accepted[:, None], position, self.position))
        self.gradient.copy_(torch.where(accepted[:, None], gradient, self.gradient))

    def _free_gradient(self) -> Tensor:
        return self.gradient if self.held is None else self.gradient.masked_fill(self.held, 0)

    def _aim(self) -> None:
        """The next move of the accepted pictures: by the pairs, or by P and the gradient where these do not go down."""
        gradient = self._free_gradient()
        direction, modelled = self.pairs.direction(gradient, self.held)
        modelled &= dot(gradient, direction) < 0
        self.pairs.clear(~(modelled | self.rejected))
        direction = torch.where(modelled[:, None], direction, -self.pairs.scaled(gradient))
        self._set_move(gradient, direction, modelled, chosen=~self.rejected | self.leaping)

    def _leap(self, leap: Tensor) -> None:
        """Go from the first pictures to the other ones, whatever the gradient says, as long as the loss falls."""
        move, self.leap = leap.flatten(1) - self.position, None
        self.leaping.copy_((move != 0).any(dim=1))
        self.move.copy_(torch.where(self.leaping[:, None], move, self.move))
        self.slope.copy_(torch.where(self.leaping, 0.0, self.slope))
        self.modelled.copy_(self.modelled & ~self.leaping)

    def _set_move(self, gradient: Tensor, direction: Tensor, modelled: Tensor, chosen: Tensor) -> None:
        """Move the chosen pictures along a direction, as far as the learning rate and the longest step allow."""
        length = self.picture(direction.view_as(self.variable)).flatten(1).square().mean(dim=1).sqrt()
        limit = torch.where(modelled, LONGEST_STEP, FIRST_STEP) * self.pixel_range
        longest = torch.where(length > 0, limit / length, 0.0)
        alike = longest.clamp(max=self.learning_rate)
        factor = torch.where(modelled, alike, min(self.learning_rate, 1.0) * longest)
        move = direction * factor[:, None]
        self.move.copy_(torch.where(chosen[:, None], move, self.move))
        self.slope.copy_(torch.where(chosen, dot(gradient, move), self.slope))
        self.modelled.copy_(torch.where(chosen, modelled, self.modelled))

    def _place(self) -> None:
        position = self.position + self.fraction[:, None] * self.move
        self.variable.copy_(position.view_as(self.variable))


@torch.no_grad()
def step_as_batch(several: Sequence[LBFGS], losses: Sequence[Tensor]) -> None:
    """One step of each of several of one kind, by its loss and the gradient of its variable.

    They step as one optimiser of all their pictures, which launches as much as one of them alone. It is kept for as
    long as the same ones step together.
    """
    whole = several[0].whole
    rows = [each.row for each in several if each.whole is whole]
    if whole is None or rows != list(range(len(whole.variable))) or len(rows) != len(several):
        whole = type(several[0]).joined(several)
    whole.started = several[0].started
    gradients = [each.variable.grad.flatten(1) for each in several if each.variable.grad is not None]
    whole.advance(torch.stack([loss.detach() for loss in losses]), torch.cat(gradients))
    for row, each in enumerate(several):
        each._follow(whole, row)
