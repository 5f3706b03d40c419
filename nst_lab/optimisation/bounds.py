"""Bounds on the pixels, and L-BFGS that keeps them at every evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from nst_lab.optimisation.lbfgs import LBFGS
from nst_lab.optimisation.pairs import dot


@dataclass(frozen=True)
class Box:
    """The interval of every value, as tensors (1, 3, 1, 1), or (1, 1, 1, 1) for all channels."""

    low: Tensor
    high: Tensor

    def project(self, values: Tensor) -> Tensor:
        """The nearest values inside."""
        return values.clamp(self.low, self.high)

    def held(self, values: Tensor, gradient: Tensor) -> Tensor:
        """Which values lie at a bound that going down the gradient would cross."""
        return (values <= self.low) & (gradient > 0) | (values >= self.high) & (gradient < 0)

    @classmethod
    def unit(cls, picture: Tensor) -> "Box":
        """[0, 1], where the picture is."""
        low = picture.new_zeros(1, 1, 1, 1)
        return cls(low, low + 1)

    @classmethod
    def around(cls, picture: Tensor) -> "Box":
        """From the least to the greatest value of each channel of a picture."""
        return cls(picture.amin((0, 2, 3), keepdim=True), picture.amax((0, 2, 3), keepdim=True))

    def map(self, change: Callable[[Tensor], Tensor]) -> "Box":
        """The box between the changed ends."""
        return Box(change(self.low), change(self.high))


class StraightThrough(torch.autograd.Function):
    """Clip to a box going forward, pass the gradient unchanged going back."""

    @staticmethod
    def forward(_context: Any, picture: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return picture.clamp(low, high)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient, None, None


class BoundedLBFGS(LBFGS):
    """`LBFGS` in a box: projected quasi-Newton steps of the free variables (Bertsekas 1982; Schmidt et al. 2009).

    At an accepted picture, the values at a bound whose gradient points outwards are held. The direction is that of the
    pairs restricted to the space of the others, and those whose curvature there is not positive are left out; so it is
    one of descent. The step is projected, P(x + t d), the sufficient decrease is that which the gradient promises for
    the move really made, and the pairs are of that move. Where a projected move, or a shorter one, would not go down,
    the step follows the free gradient instead, whose projection always does.

    Args:
        box: in the units of the variable.
        others: as for `LBFGS`.
    """

    def __init__(self, variable: Tensor, *, box: Box, **others: Any):
        super().__init__(variable, **others)
        self.box = box

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        whole = super().joined(parts)
        whole.box = Box(torch.cat([each.box.low for each in parts]), torch.cat([each.box.high for each in parts]))
        return whole

    def _decreased(self, loss: Tensor) -> Tensor:
        self.slope.copy_(self._promised() / self.fraction)
        return super()._decreased(loss)

    def _promised(self) -> Tensor:
        """The change of the loss that the gradient promises for the move really made."""
        return dot(self.gradient, self.variable.detach().flatten(1) - self.position)

    def _aim(self) -> None:
        position = self.position.view_as(self.variable)
        self.held = self.box.held(position, self.gradient.view_as(position)).flatten(1)
        super()._aim()

    def _place(self) -> None:
        self._project()
        # Another step where this one does not go down.
        up = self.modelled & ~(self._promised() < 0)
        self.pairs.clear(up)
        free = self._free_gradient()
        self._set_move(free, -self.pairs.scaled(free), modelled=self.modelled & ~up, chosen=up)
        self.fraction.copy_(torch.where(up, 1.0, self.fraction))
        self._project()

    def _project(self) -> None:
        super()._place()
        self.variable.copy_(self.box.project(self.variable))
