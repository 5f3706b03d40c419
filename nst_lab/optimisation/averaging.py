"""What an optimisation carries along: the average of its iterates, and Adam's moments from one scale to the next."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor


class Average:
    """Moving average of pictures with its bias corrected: Σ_k d^(n−k) x_k / Σ_k d^(n−k) over x_0, the start, to x_n.

    Args:
        decay: d, in [0, 1).
        start: the first picture.

    The correction is that of Adam's moments (Kingma and Ba 2015, section 3).
    """

    def __init__(self, decay: float, start: Tensor):
        self.decay, self.sum, self.weight = decay, start.clone(), 1.0

    def update(self, picture: Tensor) -> None:
        """Take in the next picture."""
        self.sum = self.decay * self.sum + picture
        self.weight = self.decay * self.weight + 1

    @property
    def value(self) -> Tensor:
        """The average so far."""
        return self.sum / self.weight


def resize_moments(state: dict[str, Any], height: int, width: int) -> dict[str, Any]:
    """Adam's `state_dict` with its moments at another size: the first bicubic, the second bilinear and not negative."""
    size = (height, width)
    resized = {
        key: {
            "step": moments["step"],
            "exp_avg": F.interpolate(moments["exp_avg"], size, mode="bicubic"),
            "exp_avg_sq": F.interpolate(moments["exp_avg_sq"], size, mode="bilinear").clamp_min(0),
        }
        for key, moments in state["state"].items()
    }
    return state | {"state": resized}
