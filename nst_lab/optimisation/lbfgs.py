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
STATE = ("accepted", "step_taken", "slope", "fraction", "rejected")
SUFFICIENT_DECREASE = 1e-4  # Armijo's constant (Nocedal and Wright 2006, eq. 3.4)


class LBFGS(torch.optim.Optimizer):
    """Limited-memory BFGS with backtracking (Nocedal and Wright 2006, algorithms 7.4 and 7.5, and 3.1).

    Args:
        variable: the picture, one leaf tensor.
        learning_rate: factor on every step.
        history: number of correction pairs; each takes two pictures of memory.
        pixel_range: the range of the variable, which the step lengths refer to.

    Every `step` evaluates the closure exactly once, at the current picture. If that picture did not sufficiently
    lower the loss, the variable moves back towards the last accepted one, and the next call judges the shorter step.
    """

    def __init__(self, variable: Tensor, *, learning_rate: float, history: int, pixel_range: float):
        super().__init__([variable], {"lr": learning_rate, "history": history, "pixel_range": pixel_range})
        self.variable = variable
        self.pairs: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=history)
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
        return {name: getattr(self, name) for name in STATE} | {"pairs": list(self.pairs)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        state = _moved(state, self.variable.device)
        for name in STATE:
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
        if curvature > 1e-10 * moved.norm() * change.norm():
            self.pairs.append((moved, change, 1 / curvature))

    def _advance(self, gradient: Tensor) -> None:
        group, pixels = self.param_groups[0], gradient.numel() ** 0.5
        direction = self._direction(gradient)
        slope = float(gradient.dot(direction))
        if not slope < 0:
            self.pairs.clear()
            direction, slope = -gradient, -float(gradient.dot(gradient))
        length = float(direction.norm()) / pixels
        limit = (LONGEST_STEP if self.pairs else FIRST_STEP) * group["pixel_range"]
        longest = limit / length if length > 0 else 0.0
        factor = min(group["lr"], longest) if self.pairs else min(group["lr"], 1.0) * longest
        self.step_taken = direction * factor
        self.slope, self.fraction = slope * factor, 1.0
        self._place(self.accepted[0] + self.step_taken)

    def _direction(self, gradient: Tensor) -> Tensor:
        """-H g by the two-loop recursion."""
        direction, shares = -gradient, []
        for moved, change, inverse_curvature in reversed(self.pairs):
            shares.append(inverse_curvature * moved.dot(direction))
            direction = direction - shares[-1] * change
        if self.pairs:
            _, change, inverse_curvature = self.pairs[-1]
            direction = direction / (inverse_curvature * change.dot(change))
        for (moved, change, inverse_curvature), share in zip(self.pairs, reversed(shares), strict=True):
            direction = direction + (share - inverse_curvature * change.dot(direction)) * moved
        return direction

    def _place(self, position: Tensor) -> None:
        self.variable.copy_(position.view_as(self.variable))


def _moved(value: Any, device: torch.device) -> Any:
    """The same structure with its tensors on a device."""
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value
