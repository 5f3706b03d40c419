"""L-BFGS for pictures: torch's update with the safeguards that a picture needs, one evaluation per step.

`torch.optim.LBFGS` without a line search takes a first step of L1 length 1 whatever the number of pixels. From a
content image, where the gradient is large and the curvature along it small, that step is lost in rounding and the
next ones explode. Here the first step is a stated change per pixel, steps are capped, and a step that does not lower
the loss is taken back and shortened.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

FIRST_STEP = 0.01  # root mean square change per pixel of the first step, in units of the pixel range
LONGEST_STEP = 0.25  # cap on the same for every step
Pair = tuple[Tensor, Tensor, Tensor]  # a move, the change of the gradient along it, one over their product
LEAST_CURVATURE = 1e-10  # cosine between a move and the change of the gradient, below which a pair says nothing
SUFFICIENT_DECREASE = 1e-4  # Armijo's constant (Nocedal and Wright 2006, eq. 3.4)


class LBFGS(torch.optim.Optimizer):
    """Limited-memory BFGS with backtracking (Nocedal and Wright 2006, algorithms 7.4 and 7.5, and 3.1).

    Args:
        variable: the picture, one leaf tensor.
        learning_rate: factor on every step.
        history: number of correction pairs; each takes two pictures of memory.
        pixel_range: the range of the variable, which the step lengths refer to.
        picture: the linear map from a change of the variable to that of the picture, whose step lengths count.

    Every `step` evaluates the closure exactly once, at the current picture. If that picture did not sufficiently
    lower the loss, the variable moves back towards the last accepted one, and the next call judges the shorter step.
    """

    STATE = ("accepted", "step_taken", "slope", "fraction", "rejected")

    def __init__(
        self,
        variable: Tensor,
        *,
        learning_rate: float,
        history: int,
        pixel_range: float,
        picture: Callable[[Tensor], Tensor] = lambda change: change,
    ):
        super().__init__([variable], {"lr": learning_rate, "history": history, "pixel_range": pixel_range})
        self.variable, self.picture = variable, picture
        self.pairs: deque[Pair] = deque(maxlen=history)
        self.accepted: tuple[Tensor, Tensor, Tensor] | None = None
        self.step_taken: Tensor | None = None
        self.slope = 0.0
        self.fraction = 1.0
        self.rejected = False  # whether the picture of the last evaluation was

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """Evaluate the closure at the current picture, then move to the next one; returns the loss evaluated."""
        with torch.enable_grad():
            loss = closure().detach()
        gradient = self.variable.grad.flatten()
        self.rejected = self.accepted is not None and not self._decreased(loss)
        if self.rejected:
            self._shorten(loss)
            return loss
        if self.accepted is not None:
            self._remember(gradient)
        position = self.variable.detach().flatten().clone()
        self.accepted = (position, loss, gradient.clone())
        self._advance(gradient)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The history and the step in progress."""
        return {name: getattr(self, name) for name in self.STATE} | {"pairs": list(self.pairs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        state = _moved(state, self.variable.device)
        for name in self.STATE:
            setattr(self, name, state[name])
        self.pairs.extend(state["pairs"])

    def _decreased(self, loss: Tensor) -> bool:
        previous = self.accepted[1]
        return bool(loss <= previous + SUFFICIENT_DECREASE * self.fraction * self.slope)

    def _shorten(self, loss: Tensor) -> None:
        """Back to the minimum of the parabola through both losses and the slope, within a tenth and a half."""
        rise = float(loss - self.accepted[1] - self.fraction * self.slope)
        best = -self.slope * self.fraction**2 / (2 * rise) if 0 < rise < float("inf") else 0.0
        self.fraction = min(max(best, 0.1 * self.fraction), 0.5 * self.fraction)
        if self.fraction < 1e-3:
            self.pairs.clear()  # the model of the curvature is wrong here: after the next step, follow the gradient
        self._place(self.accepted[0] + self.fraction * self.step_taken)

    def _remember(self, gradient: Tensor) -> None:
        position, _, previous = self.accepted
        moved, change = self.variable.detach().flatten() - position, gradient - previous
        curvature = moved.dot(change)
        if curvature > LEAST_CURVATURE * moved.norm() * change.norm():
            self.pairs.append((moved, change, 1 / curvature))

    def _advance(self, gradient: Tensor) -> None:
        group, pairs = self.param_groups[0], self._usable_pairs()
        direction = _direction(gradient, pairs)
        slope = float(gradient.dot(direction))
        if not (slope < 0 and pairs):
            self.pairs.clear()
            pairs, direction, slope = [], -gradient, -float(gradient.dot(gradient))
        length = self._length(direction)
        limit = (LONGEST_STEP if pairs else FIRST_STEP) * group["pixel_range"]
        longest = limit / length if length > 0 else 0.0
        factor = min(group["lr"], longest) if pairs else min(group["lr"], 1.0) * longest
        self.step_taken = direction * factor
        self.slope, self.fraction = slope * factor, 1.0
        self._place(self.accepted[0] + self.step_taken)

    def _usable_pairs(self) -> list[Pair]:
        return list(self.pairs)

    def _length(self, direction: Tensor) -> float:
        """Root mean square change per pixel."""
        change = self.picture(direction.view_as(self.variable)).flatten()
        return float(change.norm()) / change.numel() ** 0.5

    def _place(self, position: Tensor) -> None:
        self.variable.copy_(position.view_as(self.variable))


def _direction(gradient: Tensor, pairs: list[Pair]) -> Tensor:
    """-H g by the two-loop recursion."""
    direction, shares = -gradient, []
    for moved, change, inverse_curvature in reversed(pairs):
        shares.append(inverse_curvature * moved.dot(direction))
        direction = direction - shares[-1] * change
    if pairs:
        _, change, inverse_curvature = pairs[-1]
        direction = direction / (inverse_curvature * change.dot(change))
    for (moved, change, inverse_curvature), share in zip(pairs, reversed(shares), strict=True):
        direction = direction + (share - inverse_curvature * change.dot(direction)) * moved
    return direction


def _moved(value: Any, device: torch.device) -> Any:
    """The same structure with its tensors on a device."""
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value
