"""One-dimensional optimal transport: the sliced Wasserstein distance, and histograms of single filters."""

import numpy
import torch
from torch import Tensor

from nst_lab.config.schema import Loss
from nst_lab.losses.distributions import directions, part_means
from nst_lab.losses.statistics.gram import Gram
from nst_lab.losses.statistics.measuring import Measured
from nst_lab.losses.terms import squared_error


class SlicedWasserstein:
    """Sliced Wasserstein distance: mean over directions θ of ∫ (Q_θ − R_θ)², quantile functions of θᵀF and of the style.

    As in Heitz et al. 2021 a layer is seen along as many directions as it has filters, a sorted
    projection is a quantile function, and a difference is squared and averaged; `style_reduction: sum` adds up over the
    directions. Here they are an orthonormal basis, so that a translation by v costs ‖v‖² / N, drawn once and for all by
    `seed` and the layer's name; there they are drawn anew for every step. Pictures of different sizes compare because
    each of the picture's M sorted values meets the mean of R_θ over its M-th part of mass; what R_θ varies within the
    parts, which no picture of M positions can match, is left out, a constant.
    """

    def __init__(self, loss: Loss, seed: int):
        self.reduction, self.seed = loss.style_reduction, seed

    def measure(self, features: Tensor) -> Measured:
        projected = directions(features.shape[1], seed=self.seed).to(features) @ features.flatten(2)
        return projected, order_of(projected)

    def target(self, measured: Measured) -> Measured:
        return (measured[0].gather(-1, measured[1]),)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        return transport_cost(*measured, *target, self.reduction)


class Histogram:
    """E = E_Gram + `histogram_weight` · mean over positions, mean or sum over filters, of (F − R(F))².

    R(F) are the activations with each filter's histogram replaced by the style's, in their order, and a constant to
    the gradient (Risser et al. 2017; there with 256 bins; here with every value, which is the Wasserstein
    distance of each filter). There it is used at relu1_1 and relu4_1 (`histogram_layers`) beside Gram matrices.
    """

    def __init__(self, loss: Loss):
        self.gram, self.reduction, self.weight = Gram(loss), loss.style_reduction, loss.histogram_weight

    def measure(self, features: Tensor) -> Measured:
        flat = features.flatten(2)
        return *self.gram.measure(features), flat, order_of(flat)

    def target(self, measured: Measured) -> Measured:
        gram, flat, order = measured
        return *self.gram.target((gram,)), flat.gather(-1, order)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        matched = transport_cost(*measured[1:], target[1], self.reduction)
        return self.gram.distance(measured[:1], target[:1]) + self.weight * matched


def order_of(values: Tensor) -> Tensor:
    """The positions of (…, M) in ascending order of their values; NumPy sorts twice as fast as torch on a CPU."""
    if values.device.type == "cpu":
        return torch.from_numpy(numpy.argsort(values.detach().numpy(), axis=-1))
    return values.argsort(-1)


def transport_cost(values: Tensor, order: Tensor, target: Tensor, reduction: str) -> Tensor:
    """Squared distance of values (B, n, M) to where they go in a sorted target (B, n, K): mean over positions.

    The k-th smallest value goes to the mean of the target's k-th part of M parts of equal mass. Where they go is a
    constant to the gradient: the assignment is the best one, so its change costs nothing (almost everywhere).
    """
    with torch.no_grad():
        wanted = torch.empty_like(values).scatter_(-1, order, part_means(target, values.shape[-1]))
    error = squared_error(values, wanted, "mean")
    return error * values.shape[1] if reduction == "sum" else error
