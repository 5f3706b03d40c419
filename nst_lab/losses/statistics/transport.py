"""One-dimensional optimal transport: the sliced Wasserstein distance, and histograms of single filters."""

from functools import lru_cache

import numpy
import torch
from torch import Tensor

from nst_lab.config.schema import Loss
from nst_lab.losses.distributions import directions, part_means
from nst_lab.losses.statistics.gram import Gram
from nst_lab.losses.statistics.measuring import Measured
from nst_lab.losses.terms import squared_error


class SlicedWasserstein:
    """Sliced Wasserstein distance: mean over directions θ of ∫ (Q_θ − R_θ)², the quantile functions of θᵀF and θᵀS.

    As in Heitz et al. 2021 a layer is seen along as many directions as it has filters, and sorted projections are
    quantile functions; `style_reduction: sum` adds up over the directions. Here these are an orthonormal basis, so that
    a translation by v costs ‖v‖² / N, and are drawn once and for all by `seed` and the layer's name; there anew for
    every step. Pictures of different sizes compare because each of the picture's M sorted values meets the mean of R_θ
    over its part of M parts of equal mass. How R_θ varies within the parts, which no picture of M positions can match,
    is left out: a constant.
    """

    def __init__(self, loss: Loss, seed: int):
        self.reduction = loss.style_reduction
        # The same for all evaluations: directions on the device, the style's quantiles at the picture's size.
        self.directions = lru_cache(lambda channels, *place: directions(channels, seed=seed).to(*place))
        self.part_means = lru_cache(part_means)

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        projected = self.directions(features.shape[1], features.device, features.dtype) @ features.flatten(2)
        return projected, order_of(projected)

    def target(self, measured: Measured) -> Measured:
        return (measured[0].gather(-1, measured[1]),)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        projected, order = measured
        return transport_cost(projected, order, self.part_means(*target, projected.shape[-1]), self.reduction)


class Histogram:
    """E = E_Gram + `histogram_weight` · mean over positions, mean or sum over filters, of (F − R(F))².

    R(F) are the activations with each filter's histogram replaced by the style's, in their order, and a constant to
    the gradient (Risser et al. 2017, with bins; here with every value, which makes it the Wasserstein distance of each
    filter). As there it is used at relu1_1 and relu4_1 (`histogram_layers`), beside Gram matrices everywhere.
    """

    def __init__(self, loss: Loss):
        self.gram, self.reduction, self.weight = Gram(loss), loss.style_reduction, loss.histogram_weight
        self.part_means = lru_cache(part_means)

    def measure(self, features: Tensor, guide: Tensor | None = None) -> Measured:
        flat = features.flatten(2)
        return *self.gram.measure(features), flat, order_of(flat)

    def target(self, measured: Measured) -> Measured:
        gram, flat, order = measured
        return *self.gram.target((gram,)), flat.gather(-1, order)

    def distance(self, measured: Measured, target: Measured) -> Tensor:
        (gram, flat, order), (target_gram, ascending) = measured, target
        matched = transport_cost(flat, order, self.part_means(ascending, flat.shape[-1]), self.reduction)
        return self.gram.distance((gram,), (target_gram,)) + self.weight * matched


def order_of(values: Tensor) -> Tensor:
    """The positions of (…, M) in ascending order of their values; NumPy sorts twice as fast as torch on a CPU."""
    if values.device.type == "cpu":
        return torch.from_numpy(numpy.argsort(values.detach().numpy(), axis=-1))
    return values.argsort(-1)


def transport_cost(values: Tensor, order: Tensor, ascending: Tensor, reduction: str) -> Tensor:
    """Squared distance of values (B, n, M) to the ascending ones of the target that take their places.

    Mean over positions, mean or sum over the n rows. Which value goes where is a constant to the gradient: it is the
    best assignment, so that changing it costs nothing (almost everywhere).
    """
    wanted = torch.empty_like(values).scatter_(-1, order, ascending)
    error = squared_error(values, wanted, "mean")
    return error * values.shape[1] if reduction == "sum" else error
